//! JavaScript with Yarn: `yarn.lock` of the classic client, which has a
//! notation of its own, and of Berry (2 and later), which is YAML.
//!
//! Follows `src/lockfile/parse.js` of yarnpkg/yarn and
//! `packages/yarnpkg-core/sources/Project.ts` of yarnpkg/berry.

use super::npm::locate;
use super::package::{Digest, DigestKind, Ecosystem, Package};
use super::statement::{ReadError, Statements, text, vcs_url};
use super::yaml::{self, Yaml};

/// Where a dependency is no copy but a directory of the project.
const LOCAL: [&str; 3] = ["link:", "portal:", "workspace:"];

/// Reads a `yarn.lock`.
///
/// # Errors
/// See [`ReadError`].
pub fn lock(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    let text = text(bytes)?;
    if text.lines().any(|line| line.starts_with("__metadata:")) {
        berry(bytes, out)
    } else {
        classic(text, out)
    }
}

/// An entry of a classic lock file under way.
#[derive(Default)]
struct Entry {
    name: String,
    local: bool,
    version: Option<String>,
    resolved: Option<String>,
    integrity: Option<String>,
}

impl Entry {
    fn finish(self, out: &mut Statements) -> Result<(), ReadError> {
        if self.local || self.name.is_empty() {
            return Ok(());
        }
        if self.version.is_none() {
            out.flaws.push(ReadError::Missing { at: self.name.clone(), what: "'version'" });
        }
        let mut package = Package::new(Ecosystem::Npm, &self.name, self.version.as_deref());
        let resolved = self.resolved.as_deref();
        locate(&mut package, resolved, self.integrity.as_deref());
        if package.vcs.is_none()
            && let Some((_, digits)) = resolved.and_then(|url| url.split_once('#'))
        {
            package.digests.extend(Digest::from_hex(DigestKind::Sha1, digits));
        }
        out.push(package)
    }
}

fn classic(text: &str, out: &mut Statements) -> Result<(), ReadError> {
    let mut entry = Entry::default();
    for (at, line) in text.lines().enumerate() {
        let bad = || ReadError::Line {
            line: at.saturating_add(1),
            expected: "an entry of a yarn.lock ('name@range:' or '  key value')",
        };
        let content = line.trim_start_matches(' ');
        if content.trim().is_empty() || content.starts_with('#') {
            continue;
        }
        match line.len().saturating_sub(content.len()) {
            0 => {
                let header = content.trim_end().strip_suffix(':').ok_or_else(bad)?;
                std::mem::take(&mut entry).finish(out)?;
                let pattern = first_pattern(header).ok_or_else(bad)?;
                let (name, range) = split_pattern(pattern).ok_or_else(bad)?;
                entry.local = LOCAL.iter().any(|prefix| range.starts_with(prefix));
                let aliased = range.strip_prefix("npm:").and_then(split_pattern);
                entry.name = aliased.map_or(name, |(name, _)| name).to_owned();
            }
            2 => {
                if let Some((key, value)) = content.split_once(' ') {
                    let value = Some(value.trim().trim_matches('"').to_owned());
                    match key.trim_matches('"') {
                        "version" => entry.version = value,
                        "resolved" => entry.resolved = value,
                        "integrity" => entry.integrity = value,
                        _ => {}
                    }
                } else if !content.trim_end().ends_with(':') {
                    return Err(bad());
                }
            }
            _ => {} // What the entry depends on has entries of its own.
        }
    }
    entry.finish(out)
}

/// The first of the patterns an entry stands for; all are of one package.
fn first_pattern(header: &str) -> Option<&str> {
    match header.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => header.split(',').next(),
    }
}

/// `@scope/name@range` as name and range.
fn split_pattern(pattern: &str) -> Option<(&str, &str)> {
    let behind_scope = pattern.get(1..)?;
    let at = behind_scope.find('@')?.checked_add(1)?;
    Some((pattern.get(..at)?, pattern.get(at.checked_add(1)?..)?))
}

fn berry(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    for document in yaml::documents(bytes)? {
        for (key, entry) in document.members() {
            if key != "__metadata" {
                berry_entry(key, entry, out)?;
            }
        }
    }
    Ok(())
}

fn berry_entry(key: &str, entry: &Yaml, out: &mut Statements) -> Result<(), ReadError> {
    if entry.string("linkType") == Some("soft") {
        return Ok(());
    }
    let missing = |what| ReadError::Missing { at: key.to_owned(), what };
    let resolution = entry.string("resolution").ok_or_else(|| missing("'resolution'"))?;
    let (name, reference) =
        split_pattern(resolution).ok_or_else(|| missing("'name@reference' as its resolution"))?;
    if LOCAL.iter().any(|prefix| reference.starts_with(prefix)) {
        return Ok(());
    }
    let mut package = Package::new(Ecosystem::Npm, name, entry.string("version"));
    if let Some((url, revision)) = reference.split_once("#commit=") {
        let revision = revision.split('&').next().unwrap_or_default();
        package.vcs = Some(vcs_url(url, revision));
    } else if reference.starts_with("https://") || reference.starts_with("http://") {
        package.sources.insert(reference.to_owned());
    }
    if let Some(checksum) = entry.string("checksum").filter(|_| !reference.starts_with("patch:")) {
        package.digests.insert(Digest { kind: DigestKind::YarnCache, value: checksum.to_owned() });
    }
    out.push(package)
}

#[cfg(test)]
mod tests {
    use super::super::Technique;
    use super::*;

    fn purls(text: &str) -> Vec<String> {
        let mut out = Statements::new(Technique::Locked);
        lock(text.as_bytes(), &mut out).unwrap();
        assert_eq!(out.flaws, []);
        out.packages.iter().map(|package| package.purl().unwrap()).collect()
    }

    #[test]
    fn classic_entries_aliases_and_links() {
        let found = purls(
            "# yarn lockfile v1\n\n\n\"@s/a@^1.0.0\", \"@s/a@^1.1.0\":\n  version \"1.1.0\"\n  resolved \"https://r/a.tgz#da39a3ee5e6b4b0d3255bfef95601890afd80709\"\n  dependencies:\n    b \"^2\"\n\nb@^2:\n  version \"2.0.0\"\n\n\"al@npm:real@^3\":\n  version \"3.0.0\"\n\n\"l@link:./l\":\n  version \"0.0.0\"\n  uid \"\"\n",
        );
        assert_eq!(found, ["pkg:npm/%40s/a@1.1.0", "pkg:npm/b@2.0.0", "pkg:npm/real@3.0.0"]);
    }

    #[test]
    fn berry_entries_aliases_and_workspaces() {
        let found = purls(
            "__metadata:\n  version: 8\n\n\"@s/a@npm:^1.0.0, @s/a@npm:^1.1.0\":\n  version: 1.1.0\n  resolution: \"@s/a@npm:1.1.0\"\n  checksum: 10c0/abc\n  linkType: hard\n\n\"al@npm:real@^3\":\n  version: 3.0.0\n  resolution: \"real@npm:3.0.0\"\n  linkType: hard\n\n\"g@https://h/g.git#x\":\n  version: 1.0.0\n  resolution: \"g@https://h/g.git#commit=abc\"\n  linkType: hard\n\n\"own@workspace:.\":\n  version: 0.0.0-use.local\n  resolution: \"own@workspace:.\"\n  linkType: soft\n",
        );
        let git = "pkg:npm/g@1.0.0?vcs_url=git%2Bhttps:%2F%2Fh%2Fg.git%40abc";
        assert_eq!(found, ["pkg:npm/%40s/a@1.1.0", "pkg:npm/real@3.0.0", git]);
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in
            ["hello\n", "a@1\n", "noversion:\n", "a@1:\n  word\n", "__metadata:\n\"a\": {x\n"]
        {
            let mut out = Statements::new(Technique::Locked);
            assert!(lock(bad.as_bytes(), &mut out).is_err(), "{bad:?}");
        }
        let mut out = Statements::new(Technique::Locked);
        lock(b"a@^1:\n  resolved \"x\"\n", &mut out).unwrap();
        assert_eq!(out.flaws.len(), 1);
    }
}
