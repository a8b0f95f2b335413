//! JavaScript with pnpm: `pnpm-lock.yaml` of the versions 5 to 9.
//!
//! Follows <https://github.com/pnpm/spec/tree/master/lockfile>. What names a
//! package has changed: `/name/1.0.0_peers` in 5, `/name@1.0.0(peers)` in 6,
//! `name@1.0.0` in 9.

use super::npm::locate;
use super::package::{Ecosystem, Package};
use super::statement::{ReadError, Statements, scope_of, vcs_url};
use super::yaml::{self, Yaml};

/// Reads a `pnpm-lock.yaml`.
///
/// # Errors
/// See [`ReadError`].
pub fn lock(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    let documents = yaml::documents(bytes)?;
    if documents.is_empty() {
        return Err(ReadError::Missing { at: "the file".to_owned(), what: "'lockfileVersion'" });
    }
    for document in documents {
        let version = document.string("lockfileVersion").ok_or_else(|| ReadError::Missing {
            at: "the file".to_owned(),
            what: "'lockfileVersion'",
        })?;
        let major = version.split('.').next().unwrap_or_default();
        let slashes = major == "5";
        if !["5", "6", "7", "8", "9"].contains(&major) {
            return Err(ReadError::Version { found: version.to_owned(), expected: "5 to 9" });
        }
        let packages = document.member("packages").map(Yaml::members).unwrap_or_default();
        for (key, entry) in packages {
            entry_of(key, entry, slashes, out)?;
        }
    }
    Ok(())
}

fn entry_of(key: &str, entry: &Yaml, slashes: bool, out: &mut Statements) -> Result<(), ReadError> {
    let resolution = entry.member("resolution");
    let resolved = |name| resolution.and_then(|resolution: &Yaml| resolution.string(name));
    if resolved("type") == Some("directory") || resolved("directory").is_some() {
        return Ok(());
    }
    let (named, versioned) = if slashes { slashed(key) } else { at_sign(key) }.unzip();
    let name = entry.string("name").or(named);
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        out.flaws.push(ReadError::Missing { at: key.to_owned(), what: "name" });
        return Ok(());
    };
    let version = entry.string("version").or(versioned);
    // Packages that are no registry's are keyed by where they come from.
    let version = version.filter(|version| !version.contains([':', '/']));
    let mut package = Package::new(Ecosystem::Npm, name, version);
    if entry.member("dev").is_some() || entry.member("optional").is_some() {
        package.scope = scope_of(entry.is_set("dev"), entry.is_set("optional"));
    }
    locate(&mut package, resolved("tarball"), resolved("integrity"));
    if let (Some(repository), Some(commit)) = (resolved("repo"), resolved("commit")) {
        package.vcs = Some(vcs_url(repository, commit));
    }
    out.push(package)
}

/// `/@scope/name/1.0.0_peers`, with a registry's host before it or not.
fn slashed(key: &str) -> Option<(&str, &str)> {
    let (path, version) = key.rsplit_once('/')?;
    let version = version.split(['_', '(']).next()?;
    let name_at = match path.rfind("/@") {
        Some(at) => at.checked_add(1)?,
        None => path.rfind('/')?.checked_add(1)?,
    };
    Some((path.get(name_at..)?, version))
}

/// `/@scope/name@1.0.0(peers)`, from version 9 on without the slash.
fn at_sign(key: &str) -> Option<(&str, &str)> {
    let key = key.strip_prefix('/').unwrap_or(key);
    let at = key.get(1..)?.find('@')?.checked_add(1)?;
    let version = key.get(at.checked_add(1)?..)?.split(['(', '_']).next()?;
    Some((key.get(..at)?, version))
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
    fn names_of_all_versions() {
        let expected = ["pkg:npm/%40s/a@1.0.0", "pkg:npm/b@2.0.0-rc.1"];
        for (version, a, b) in [
            ("5.4", "/@s/a/1.0.0_react@18.0.0", "/b/2.0.0-rc.1"),
            ("5.3", "/@s/a/1.0.0_5d3f+x@1", "registry.example.org/b/2.0.0-rc.1"),
            ("'6.0'", "/@s/a@1.0.0(@t/x@2.0.0)(react@18.0.0)", "/b@2.0.0-rc.1"),
            ("'9.0'", "'@s/a@1.0.0'", "b@2.0.0-rc.1"),
        ] {
            let text = format!(
                "lockfileVersion: {version}\npackages:\n  {a}:\n    resolution: {{integrity: sha512-x}}\n    dev: false\n  {b}:\n    resolution: {{integrity: sha512-x}}\n"
            );
            assert_eq!(purls(&text), expected, "{version}");
        }
    }

    #[test]
    fn git_archives_and_directories() {
        let found = purls(
            "lockfileVersion: '9.0'\npackages:\n  g@https://codeload.example.org/o/g/tar.gz/abc:\n    resolution: {tarball: https://codeload.example.org/o/g/tar.gz/abc}\n    version: 1.2.3\n  h@git+https://h/h.git#abc:\n    resolution: {type: git, repo: https://h/h.git, commit: abc}\n    version: 4.0.0\n  d@file:d:\n    resolution: {directory: d, type: directory}\n",
        );
        let git = "pkg:npm/h@4.0.0?vcs_url=git%2Bhttps:%2F%2Fh%2Fh.git%40abc";
        assert_eq!(found, ["pkg:npm/g@1.2.3", git]);
    }

    #[test]
    fn unknown_versions_are_refused() {
        for bad in ["lockfileVersion: 4\n", "lockfileVersion: '10.0'\n", "a: b\n", "", "- a\n"] {
            let mut out = Statements::new(Technique::Locked);
            assert!(lock(bad.as_bytes(), &mut out).is_err(), "{bad:?}");
        }
    }
}
