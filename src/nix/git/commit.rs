//! Commits and annotated tags, and what their signatures cover.
//!
//! Header lines, an empty line, the message. A commit carries its signature in
//! the header `gpgsig`, whose further lines begin with a space; it covers the
//! commit without any header that begins with `gpgsig`. A tag carries it at the
//! end of its message; it covers all that stands before.
//! Reference: gitformat-signature(5).

use super::ObjectId;

/// Most parents of a commit that are read; the widest known merge has 66.
const MAX_PARENTS: usize = 4096;

/// What begins a signature at the end of a tag.
const MARKERS: [&[u8]; 4] = [
    b"-----BEGIN PGP SIGNATURE-----",
    b"-----BEGIN PGP MESSAGE-----",
    b"-----BEGIN SSH SIGNATURE-----",
    b"-----BEGIN SIGNED MESSAGE-----",
];

/// Why bytes are no commit or tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A header that must be there is not, or not in its place.
    #[error("the header '{0}' is missing")]
    Missing(&'static str),
    /// A header's value is not of its form.
    #[error("the header '{0}' is malformed")]
    Malformed(&'static str),
    /// More parents than are read.
    #[error("it has more than {MAX_PARENTS} parents")]
    Parents,
    /// More than one signature.
    #[error("it has more than one 'gpgsig'")]
    Signatures,
}

/// A signature and what it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The armoured signature.
    pub armor: Vec<u8>,
    /// What it covers.
    pub payload: Vec<u8>,
}

/// A commit, as far as anybody here asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its directory.
    pub tree: ObjectId,
    /// Its parents, first parent first.
    pub parents: Vec<ObjectId>,
    /// The committer's time, in seconds since 1970.
    pub time: i64,
    /// Its signature.
    pub signature: Option<Signature>,
}

/// An annotated tag, as far as anybody here asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// What it names.
    pub object: ObjectId,
    /// What that is, such as `commit`.
    pub kind: String,
    /// The name it was made under.
    pub name: Vec<u8>,
    /// The tagger's time, in seconds since 1970; old tags have none.
    pub time: Option<i64>,
    /// Its signature.
    pub signature: Option<Signature>,
}

impl Commit {
    /// Reads a commit.
    ///
    /// # Errors
    /// The first header that is missing or malformed.
    pub fn parse(data: &[u8]) -> Result<Self, CommitError> {
        let mut lines = headers(data).peekable();
        let tree = lines
            .next()
            .and_then(|line| line.strip_prefix(b"tree "))
            .ok_or(CommitError::Missing("tree"))
            .and_then(|value| object(value, "tree"))?;
        let mut parents = Vec::new();
        while let Some(value) = lines.peek().and_then(|line| line.strip_prefix(b"parent ")) {
            if parents.len() == MAX_PARENTS {
                return Err(CommitError::Parents);
            }
            parents.push(object(value, "parent")?);
            lines.next();
        }
        if !lines.next().is_some_and(|line| line.starts_with(b"author ")) {
            return Err(CommitError::Missing("author"));
        }
        let committer = lines
            .next()
            .and_then(|line| line.strip_prefix(b"committer "))
            .ok_or(CommitError::Missing("committer"))?;
        let time = time_of(committer).ok_or(CommitError::Malformed("committer"))?;
        Ok(Self { tree, parents, time, signature: commit_signature(data)? })
    }
}

impl Tag {
    /// Reads an annotated tag.
    ///
    /// # Errors
    /// The first header that is missing or malformed.
    pub fn parse(data: &[u8]) -> Result<Self, CommitError> {
        let mut lines = headers(data);
        let mut header = |name: &'static str, prefix: &[u8]| {
            lines
                .next()
                .and_then(|line| line.strip_prefix(prefix))
                .map(<[u8]>::to_vec)
                .ok_or(CommitError::Missing(name))
        };
        let target = header("object", b"object ")?;
        let kind = String::from_utf8(header("type", b"type ")?)
            .map_err(|_| CommitError::Malformed("type"))?;
        let name = header("tag", b"tag ")?;
        let time = header("tagger", b"tagger ").ok().and_then(|tagger| time_of(&tagger));
        let mut at = None;
        let mut offset = 0;
        for line in data.split_inclusive(|&byte| byte == b'\n') {
            if MARKERS.iter().any(|marker| line.starts_with(marker)) {
                at = Some(offset);
            }
            offset += line.len();
        }
        let signature = at
            .and_then(|at| data.split_at_checked(at))
            .map(|(payload, armor)| Signature { armor: armor.to_vec(), payload: payload.to_vec() });
        Ok(Self { object: object(&target, "object")?, kind, name, time, signature })
    }
}

/// The header lines, without their ends, up to the empty line.
fn headers(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|&byte| byte == b'\n').take_while(|line| !line.is_empty())
}

fn object(value: &[u8], header: &'static str) -> Result<ObjectId, CommitError> {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| ObjectId::parse(text).ok())
        .ok_or(CommitError::Malformed(header))
}

/// The time in `Name <address> SECONDS ZONE`.
fn time_of(person: &[u8]) -> Option<i64> {
    let after = person.iter().rposition(|&byte| byte == b'>')?.checked_add(1)?;
    let text = std::str::from_utf8(person.get(after..)?).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

fn commit_signature(data: &[u8]) -> Result<Option<Signature>, CommitError> {
    let mut armor = Vec::new();
    let mut payload = Vec::with_capacity(data.len());
    /// What the line before belongs to.
    #[derive(PartialEq)]
    enum Within {
        Payload,
        Signature,
        OtherSignature,
    }
    let mut within = Within::Payload;
    let mut found = false;
    let mut rest = data;
    while !rest.is_empty() {
        let end = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        if line == b"\n" {
            payload.extend_from_slice(rest);
            break;
        }
        rest = after;
        match line.strip_prefix(b" ") {
            Some(more) => match within {
                Within::Signature => armor.extend_from_slice(more),
                Within::OtherSignature => {}
                Within::Payload => payload.extend_from_slice(line),
            },
            None => match line.strip_prefix(b"gpgsig ") {
                Some(_) if found => return Err(CommitError::Signatures),
                Some(first) => {
                    found = true;
                    within = Within::Signature;
                    armor.extend_from_slice(first);
                }
                None if line.starts_with(b"gpgsig") => within = Within::OtherSignature,
                None => {
                    within = Within::Payload;
                    payload.extend_from_slice(line);
                }
            },
        }
    }
    Ok(found.then_some(Signature { armor, payload }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

    fn commit(extra: &str) -> String {
        format!(
            "tree {TREE}\nparent {TREE}\nauthor A > B <a@b> 1 +0000\ncommitter C <c@d> 1700000000 -0730\n{extra}\nsubject\n\ngpgsig in the message\n"
        )
    }

    #[test]
    fn a_commit_is_read() {
        let plain = Commit::parse(commit("").as_bytes()).unwrap();
        assert_eq!((plain.time, plain.parents.len()), (1_700_000_000, 1));
        assert_eq!(plain.signature, None);
        let signed =
            commit("gpgsig -----BEGIN\n \n abc\n -----END\ngpgsig-sha256 x\n y\nencoding z\n");
        let signature = Commit::parse(signed.as_bytes()).unwrap().signature.unwrap();
        assert_eq!(signature.armor, b"-----BEGIN\n\nabc\n-----END\n");
        assert_eq!(signature.payload, commit("encoding z\n").into_bytes());
    }

    #[test]
    fn a_tag_is_read() {
        let head = format!("object {TREE}\ntype commit\ntag v1\ntagger T <t@u> 7 +0000\n\nwords\n");
        let tag = Tag::parse(head.as_bytes()).unwrap();
        assert_eq!((tag.time, tag.name.as_slice(), tag.signature), (Some(7), &b"v1"[..], None));
        let signed = format!("{head}-----BEGIN SSH SIGNATURE-----\nx\n");
        let signature = Tag::parse(signed.as_bytes()).unwrap().signature.unwrap();
        assert_eq!(signature.payload, head.as_bytes());
    }

    #[test]
    fn what_is_no_commit_is_refused() {
        let good = commit("");
        for (text, wanted) in [
            (String::new(), CommitError::Missing("tree")),
            (good.replace("tree ", "Tree "), CommitError::Missing("tree")),
            (good.replacen(TREE, "4b", 1), CommitError::Malformed("tree")),
            (good.replace("author", "a"), CommitError::Missing("author")),
            (
                good.replace("1700000000", "99999999999999999999"),
                CommitError::Malformed("committer"),
            ),
            (commit("gpgsig a\ngpgsig b\n"), CommitError::Signatures),
        ] {
            assert_eq!(Commit::parse(text.as_bytes()), Err(wanted), "{text}");
        }
        for end in 0..good.find("1700000000").unwrap() {
            assert!(Commit::parse(&good.as_bytes()[..end]).is_err(), "{end}");
        }
    }
}
