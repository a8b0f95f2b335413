//! JavaScript with npm: `package-lock.json` and `npm-shrinkwrap.json` of all
//! three versions, the hidden lock of `node_modules`, and packages that lie
//! there.
//!
//! Follows <https://docs.npmjs.com/cli/configuring-npm/package-lock-json>.
//! From version 2 on `packages` says where each package lies; entries outside
//! of `node_modules` are the project's own.

use super::package::{Digest, Ecosystem, Package};
use super::statement::{ReadError, Statements, is_set, scope_of, string, vcs_url};
use crate::nix::json::Node;

/// Where packages are installed.
const INSTALLED: &str = "node_modules/";

/// Reads a lock file.
///
/// # Errors
/// See [`ReadError`].
pub fn lock(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    let root = out.json(bytes)?;
    if let Some(packages) = root.member("packages") {
        return installed(packages, out);
    }
    let Some(dependencies) = root.member("dependencies") else {
        // A project that depends on nothing says so with its version.
        return match root.member("lockfileVersion") {
            Some(_) => Ok(()),
            None => {
                Err(ReadError::Missing { at: "the file".to_owned(), what: "'lockfileVersion'" })
            }
        };
    };
    nested(dependencies, out)
}

/// Versions 2 and 3.
fn installed(packages: &Node, out: &mut Statements) -> Result<(), ReadError> {
    for entry in packages.members().unwrap_or_default() {
        let Some((_, path_name)) = entry.key.rsplit_once(INSTALLED) else { continue };
        let node = &entry.value;
        if is_set(node, "link") {
            continue;
        }
        let name = string(node, "name").unwrap_or(path_name);
        let mut package = Package::new(Ecosystem::Npm, name, string(node, "version"));
        let optional = is_set(node, "optional") || is_set(node, "devOptional");
        package.scope = scope_of(is_set(node, "dev"), optional);
        locate(&mut package, string(node, "resolved"), string(node, "integrity"));
        out.push(package)?;
    }
    Ok(())
}

/// Version 1: dependencies within dependencies.
fn nested(dependencies: &Node, out: &mut Statements) -> Result<(), ReadError> {
    let mut open = vec![dependencies];
    while let Some(dependencies) = open.pop() {
        for entry in dependencies.members().unwrap_or_default() {
            let node = &entry.value;
            open.extend(node.member("dependencies"));
            let stated = string(node, "version").unwrap_or_default();
            if stated.starts_with("file:") && node.member("resolved").is_none() {
                continue;
            }
            let (name, version) = match stated.strip_prefix("npm:") {
                Some(alias) => alias.rsplit_once('@').unwrap_or((alias, "")),
                None => (entry.key.as_ref(), stated),
            };
            let is_url = version.contains(':') || version.contains('/');
            let mut package = Package::new(Ecosystem::Npm, name, (!is_url).then_some(version));
            package.scope = scope_of(is_set(node, "dev"), is_set(node, "optional"));
            let resolved = string(node, "resolved").or_else(|| is_url.then_some(version));
            locate(&mut package, resolved, string(node, "integrity"));
            out.push(package)?;
        }
    }
    Ok(())
}

/// Says where a package comes from and what its archive hashes to.
pub(super) fn locate(package: &mut Package, resolved: Option<&str>, integrity: Option<&str>) {
    package.digests.extend(integrity.iter().flat_map(|text| Digest::from_integrity(text)));
    let Some(resolved) = resolved else { return };
    let repository = ["git+", "git:", "git@", "github:"];
    if repository.iter().any(|prefix| resolved.starts_with(prefix)) {
        let (url, revision) = resolved.split_once('#').unwrap_or((resolved, ""));
        package.vcs = Some(vcs_url(url, revision));
    } else if resolved.starts_with("https://") || resolved.starts_with("http://") {
        let url = resolved.split('#').next().unwrap_or_default();
        package.sources.insert(url.to_owned());
    }
}

/// Reads the `package.json` of a package that lies there.
///
/// # Errors
/// See [`ReadError`].
pub fn manifest(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    let root = out.json(bytes)?;
    // Without a name it only says how files below it are to be read.
    let Some(name) = string(&root, "name") else { return Ok(()) };
    let Some(version) = string(&root, "version") else { return Ok(()) };
    out.push(Package::new(Ecosystem::Npm, name, Some(version)))
}

#[cfg(test)]
mod tests {
    use super::super::{Scope, Technique};
    use super::*;

    fn read(text: &str) -> Vec<Package> {
        let mut out = Statements::new(Technique::Locked);
        lock(text.as_bytes(), &mut out).unwrap();
        out.packages
    }

    #[test]
    fn all_versions_say_the_same() {
        let one = read(
            r#"{"lockfileVersion":1,"dependencies":{
            "a":{"version":"1.0.0","resolved":"https://r/a.tgz","dependencies":{"@s/b":{"version":"2.0.0","dev":true}}},
            "al":{"version":"npm:real@3.0.0"},
            "g":{"version":"git+ssh://git@h/g.git#abc","from":"x"}}}"#,
        );
        let three = read(
            r#"{"lockfileVersion":3,"packages":{"":{"name":"own","version":"0"},"packages/w":{"version":"0"},
            "node_modules/w":{"resolved":"packages/w","link":true},
            "node_modules/a":{"version":"1.0.0","resolved":"https://r/a.tgz"},
            "node_modules/a/node_modules/@s/b":{"version":"2.0.0","dev":true},
            "node_modules/al":{"name":"real","version":"3.0.0"},
            "node_modules/g":{"version":"4.0.0","resolved":"git+ssh://git@h/g.git#abc"}}}"#,
        );
        let shown = |packages: &[Package]| {
            let mut all: Vec<_> =
                packages.iter().map(|package| (package.purl().unwrap(), package.scope)).collect();
            all.sort();
            all
        };
        let expected = [
            ("pkg:npm/%40s/b@2.0.0".to_owned(), Scope::Development),
            ("pkg:npm/a@1.0.0".to_owned(), Scope::Required),
            (
                "pkg:npm/g@4.0.0?vcs_url=git%2Bssh:%2F%2Fgit%40h%2Fg.git%40abc".to_owned(),
                Scope::Required,
            ),
            ("pkg:npm/real@3.0.0".to_owned(), Scope::Required),
        ];
        assert_eq!(shown(&three), expected);
        let mut one = shown(&one);
        one[2].0 = one[2].0.replace("g?", "g@4.0.0?");
        assert_eq!(one, expected);
    }

    #[test]
    fn doubled_keys_are_named_and_other_files_refused() {
        let mut out = Statements::new(Technique::Locked);
        let doubled =
            br#"{"packages":{"node_modules/a":{"version":"1"},"node_modules/a":{"version":"2"}}}"#;
        lock(doubled, &mut out).unwrap();
        assert_eq!(out.flaws, [ReadError::DoubledKey("node_modules/a".to_owned())]);
        assert_eq!(out.packages.len(), 2);
        let mut out = Statements::new(Technique::Locked);
        let unnamed = br#"{"packages":{"node_modules/":{"version":"1"}}}"#;
        lock(unnamed, &mut out).unwrap();
        assert_eq!((out.flaws, out.packages), (vec![ReadError::Name(0)], Vec::new()));
        for bad in ["{}", "[]", "", "{\"a\":"] {
            let mut out = Statements::new(Technique::Locked);
            assert!(lock(bad.as_bytes(), &mut out).is_err(), "{bad}");
        }
    }
}
