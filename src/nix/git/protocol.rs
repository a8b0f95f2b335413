//! What a git server says of itself and of its references, in version 2 of the
//! protocol.
//!
//! Reference: gitprotocol-v2(5).

use super::object_id::ObjectId;

/// What a server can do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// It lists references (`ls-refs`).
    pub lists: bool,
    /// It gives packs (`fetch`).
    pub fetches: bool,
    /// It can cut history off (`fetch=shallow`).
    pub shallow: bool,
    /// It can leave objects out (`fetch=filter`).
    pub filter: bool,
    /// It says that its ids are not of SHA-1: of what.
    pub other_format: Option<String>,
}

impl Capabilities {
    /// Takes in one line of the advertisement.
    pub fn take(&mut self, line: &str) {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        match name {
            "ls-refs" => self.lists = true,
            "fetch" => {
                self.fetches = true;
                self.shallow |= value.split(' ').any(|word| word == "shallow");
                self.filter |= value.split(' ').any(|word| word == "filter");
            }
            "object-format" if value != "sha1" => self.other_format = Some(value.to_owned()),
            _ => {}
        }
    }
}

/// A reference of a server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RemoteReference {
    /// Its full name.
    pub name: String,
    /// What it names.
    pub target: ObjectId,
    /// Of an annotated tag: what that leads to.
    pub peeled: Option<ObjectId>,
}

impl RemoteReference {
    /// Reads a line of `ls-refs`; `None` if it is none of a branch or tag that
    /// exists.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let target = ObjectId::parse(words.next()?).ok()?;
        let name = words.next()?;
        if !is_branch_or_tag(name) {
            return None;
        }
        let peeled = words.find_map(|word| word.strip_prefix("peeled:"));
        let peeled = match peeled {
            Some(id) => Some(ObjectId::parse(id).ok()?),
            None => None,
        };
        Some(Self { name: name.to_owned(), target, peeled })
    }
}

/// Whether it is the full name of a branch or tag, as git-check-ref-format(1)
/// has it.
#[must_use]
pub fn is_branch_or_tag(name: &str) -> bool {
    let short = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/"));
    let bad = |c: char| c <= ' ' || c == '\x7f' || "~^:?*[\\".contains(c);
    short.is_some_and(|short| {
        !name.contains(bad)
            && !name.contains("..")
            && !name.contains("@{")
            && short.split('/').all(|part| {
                !part.is_empty()
                    && !part.starts_with('.')
                    && !part.ends_with('.')
                    && !part.ends_with(".lock")
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_understood() {
        let id = "1".repeat(40);
        let read = |rest: &str| RemoteReference::parse(&format!("{id} {rest}"));
        assert_eq!(read("refs/heads/a/b").unwrap().name, "refs/heads/a/b");
        let tag = read(&format!("refs/tags/v1 peeled:{}", "2".repeat(40))).unwrap();
        assert_eq!(tag.peeled.unwrap().to_string(), "2".repeat(40));
        for bad in [
            "HEAD symref-target:refs/heads/main",
            "refs/pull/1/head",
            "refs/heads/../../x",
            "refs/heads/a\tb",
            "refs/heads/",
            "refs/heads/a.lock",
            "refs/tags/v1 peeled:x",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(RemoteReference::parse("unborn HEAD"), None);
    }

    #[test]
    fn capabilities_are_gathered() {
        let mut found = Capabilities::default();
        for line in ["agent=git/2", "ls-refs=unborn", "fetch=shallow wait-for-done filter"] {
            found.take(line);
        }
        assert!(found.lists && found.fetches && found.shallow && found.filter);
        found.take("object-format=sha1");
        assert_eq!(found.other_format, None);
        found.take("object-format=sha256");
        assert_eq!(found.other_format.as_deref(), Some("sha256"));
    }
}
