//! Go's files: `go.mod`, `go.sum` and the `vendor/modules.txt` that
//! `go mod vendor` writes.
//!
//! Follows <https://go.dev/ref/mod>. From Go 1.17 on a `go.mod` names every
//! module whose packages are built, before that only those asked for directly.
//! A `go.sum` has checksums of all that was ever looked at.

use std::collections::BTreeMap;

use super::Technique;
use super::package::{Digest, DigestKind, Ecosystem, Package, Scope};
use super::statement::{ReadError, Statements, text};

/// The minor version of Go 1 from which on `go.mod` is the whole list.
const FULL_LIST: u32 = 17;

/// Another module, or a directory, in place of a module.
type Replacements = BTreeMap<(String, Option<String>), (String, Option<String>)>;

/// Reads a `go.mod`.
///
/// # Errors
/// See [`ReadError`].
pub fn module_file(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    let mut required = Vec::new();
    let mut replaced = Replacements::new();
    let mut block: Option<String> = None;
    let mut known = false;
    let mut full_list = false;
    for (at, line) in text(bytes)?.lines().enumerate() {
        let bad = |expected| ReadError::Line { line: at.saturating_add(1), expected };
        let (line, comment) = line.split_once("//").unwrap_or((line, ""));
        let mut words: Vec<String> = line.split_whitespace().map(unquoted).collect();
        let directive = match (&block, words.as_slice()) {
            (_, []) => continue,
            (Some(_), [end]) if end == ")" => {
                block = None;
                continue;
            }
            (Some(directive), _) => directive.clone(),
            (None, [directive, open]) if open == "(" => {
                block = Some(directive.clone());
                continue;
            }
            (None, _) => words.remove(0),
        };
        known = true;
        match (directive.as_str(), words.as_slice()) {
            ("go", [version]) => {
                let minor = version.strip_prefix("1.").and_then(|rest| rest.split('.').next());
                full_list = minor.and_then(|minor| minor.parse::<u32>().ok()) >= Some(FULL_LIST);
            }
            ("require", [path, version]) => {
                let indirect = comment.trim() == "indirect" || comment.contains("indirect;");
                required.push((path.clone(), version.clone(), indirect));
            }
            ("require", _) => return Err(bad("'path version', a module that is required")),
            ("replace", words) => {
                let arrow = words.iter().position(|word| word == "=>");
                let (old, new) = words.split_at(arrow.unwrap_or(words.len()));
                let ([path, old_version @ ..], [_, other, version @ ..]) = (old, new) else {
                    return Err(bad("'path => other', a module that is replaced"));
                };
                let with = (other.clone(), version.first().cloned());
                replaced.insert((path.clone(), old_version.first().cloned()), with);
            }
            _ => {}
        }
    }
    if !known {
        return Err(ReadError::Missing { at: "the file".to_owned(), what: "directive" });
    }
    if !full_list {
        out.technique = Technique::Declared;
    }
    for (path, version, _indirect) in required {
        let exact = replaced.get(&(path.clone(), Some(version.clone())));
        match exact.or_else(|| replaced.get(&(path.clone(), None))) {
            None => out.push(module(&path, Some(&version)))?,
            Some((other, Some(version))) => out.push(module(other, Some(version)))?,
            Some((_, None)) => {} // A directory of the project.
        }
    }
    Ok(())
}

/// A module; nothing in Go's files says what it is needed for.
fn module(path: &str, version: Option<&str>) -> Package {
    Package::new(Ecosystem::Golang, path, version).needed(Scope::Unstated)
}

/// A word without the quotes it may stand in.
fn unquoted(word: &str) -> String {
    word.trim_matches(['"', '`']).to_owned()
}

/// A checksum as Go writes it.
pub(super) fn checksum(text: &str) -> Option<Digest> {
    let value = text.strip_prefix("h1:")?;
    Some(Digest { kind: DigestKind::GoH1, value: value.to_owned() })
}

/// Reads a `go.sum`: the modules whose content was fetched. Those of which
/// only the `go.mod` was, took no part.
///
/// # Errors
/// See [`ReadError`].
pub fn sums(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    for (at, line) in text(bytes)?.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [_, version, _] if version.ends_with("/go.mod") => {}
            [path, version, sum] => {
                let mut package = module(path, Some(version));
                package.digests.extend(checksum(sum));
                out.push(package)?;
            }
            _ => {
                let expected = "'path version checksum', a line of a go.sum";
                return Err(ReadError::Line { line: at.saturating_add(1), expected });
            }
        }
    }
    Ok(())
}

/// Reads a `vendor/modules.txt`: the modules that were copied, each with the
/// packages that are built. Modules without packages are not there.
///
/// # Errors
/// See [`ReadError`].
pub fn vendored(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    let mut pending: Option<Package> = None;
    for line in text(bytes)?.lines() {
        if let Some(header) = line.strip_prefix("# ") {
            let words: Vec<&str> = header.split_whitespace().collect();
            pending = match words.as_slice() {
                // Replaced by a directory of the project.
                [_, _, "=>", _] | [_, "=>", _] => None,
                [_, _, "=>", path, version] | [_, "=>", path, version] => {
                    Some(module(path, Some(version)))
                }
                [path, version] => Some(module(path, Some(version))),
                _ => None,
            };
        } else if !line.starts_with('#')
            && !line.trim().is_empty()
            && let Some(package) = pending.take()
        {
            out.push(package)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = fn(&[u8], &mut Statements) -> Result<(), ReadError>;

    fn purls(read: Read, text: &str) -> (Technique, Vec<String>) {
        let mut out = Statements::new(Technique::Locked);
        read(text.as_bytes(), &mut out).unwrap();
        let purls = out.packages.iter().map(|package| package.purl().unwrap()).collect();
        (out.technique, purls)
    }

    #[test]
    fn required_modules_with_what_replaces_them() {
        let (technique, found) = purls(
            module_file,
            "module example.org/m // own\n\ngo 1.21.3\n\nrequire example.org/a v1.0.0\nrequire (\n\texample.org/b v1.1.0 // indirect\n\t\"example.org/c\" v0.0.0-20200101000000-abcdefabcdef\n\texample.org/d v1.0.0\n)\nreplace example.org/b => example.org/fork v1.2.0\nreplace (\n\texample.org/c v0.0.0-20200101000000-abcdefabcdef => ./c\n\texample.org/d v9.0.0 => ./d\n)\nexclude example.org/x v1.0.0\n",
        );
        let expected = [
            "pkg:golang/example.org/a@v1.0.0",
            "pkg:golang/example.org/fork@v1.2.0",
            "pkg:golang/example.org/d@v1.0.0",
        ];
        assert_eq!(found, expected);
        assert_eq!(technique, Technique::Locked);
        assert_eq!(purls(module_file, "module m\ngo 1.16\n").0, Technique::Declared);
        assert_eq!(purls(module_file, "module m\n").0, Technique::Declared);
    }

    #[test]
    fn sums_of_contents_only() {
        let (_, found) = purls(
            sums,
            "example.org/a v1.0.0 h1:x=\nexample.org/a v1.0.0/go.mod h1:y=\nexample.org/b v2.0.0/go.mod h1:z=\n",
        );
        assert_eq!(found, ["pkg:golang/example.org/a@v1.0.0"]);
        let mut out = Statements::new(Technique::Mentioned);
        assert!(sums(b"one two\n", &mut out).is_err());
    }

    #[test]
    fn vendored_modules_with_packages_only() {
        let (_, found) = purls(
            vendored,
            "# example.org/a v1.0.0\n## explicit; go 1.17\nexample.org/a\nexample.org/a/sub\n# example.org/none v1.0.0\n## explicit\n# example.org/b v1.0.0 => example.org/fork v1.2.0\nexample.org/b\n# example.org/c v1.0.0 => ./c\nexample.org/c\n",
        );
        let expected = ["pkg:golang/example.org/a@v1.0.0", "pkg:golang/example.org/fork@v1.2.0"];
        assert_eq!(found, expected);
    }
}
