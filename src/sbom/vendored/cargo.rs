//! Rust: `Cargo.lock` in all its versions, and crates that lie there.
//!
//! Follows `src/cargo/core/resolver/encode.rs` of Cargo: in the first versions
//! checksums stand apart under `[metadata]`. Packages without a source are the
//! workspace's own and no dependencies.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::package::{Digest, DigestKind, Ecosystem, Package};
use super::statement::{ReadError, Statements, toml, vcs_url};

/// The index that `Cargo.lock` names crates.io by, whatever protocol it was
/// reached with.
const CRATES_IO: [&str; 2] =
    ["https://github.com/rust-lang/crates.io-index", "https://index.crates.io/"];

#[derive(Deserialize)]
struct Lock {
    version: Option<toml::Value>,
    package: Option<Vec<Locked>>,
    #[serde(default)]
    metadata: BTreeMap<String, toml::Value>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
}

#[derive(Deserialize)]
struct Manifest {
    package: Option<ManifestPackage>,
}

#[derive(Deserialize)]
struct ManifestPackage {
    name: String,
    version: Option<toml::Value>,
}

/// Reads a `Cargo.lock`.
///
/// # Errors
/// See [`ReadError`].
pub fn lock(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    let lock: Lock = toml(bytes)?;
    if lock.version.is_none() && lock.package.is_none() {
        return Err(ReadError::Missing { at: "the file".to_owned(), what: "'package'" });
    }
    for locked in lock.package.unwrap_or_default() {
        let Some(source) = &locked.source else { continue };
        let mut package = Package::new(Ecosystem::Cargo, &locked.name, Some(&locked.version));
        let old_key = format!("checksum {} {} ({source})", locked.name, locked.version);
        let checksum = locked.checksum.as_deref();
        let checksum = checksum.or_else(|| lock.metadata.get(&old_key)?.as_str());
        package
            .digests
            .extend(checksum.and_then(|digits| Digest::from_hex(DigestKind::Sha256, digits)));
        locate(&mut package, source);
        out.push(package)?;
    }
    Ok(())
}

/// Says where a crate comes from.
fn locate(package: &mut Package, source: &str) {
    let Some((kind, url)) = source.split_once('+') else { return };
    match kind {
        "git" => {
            let (url, revision) = url.split_once('#').unwrap_or((url, ""));
            package.vcs = Some(vcs_url(url, revision));
        }
        _ if CRATES_IO.contains(&url) => {
            let (name, version) = (&package.name, package.version.as_deref().unwrap_or_default());
            package
                .sources
                .insert(format!("https://crates.io/api/v1/crates/{name}/{version}/download"));
        }
        _ => package.registry = Some(url.to_owned()),
    }
}

/// Reads the `Cargo.toml` of a crate as it is published. Vendored copies of
/// workspaces have none of these fields inherited.
///
/// # Errors
/// See [`ReadError`].
pub fn manifest(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    let manifest: Manifest = toml(bytes)?;
    if let Some(package) = manifest.package {
        let version = package.version.as_ref().and_then(toml::Value::as_str);
        out.push(Package::new(Ecosystem::Cargo, &package.name, version))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Technique;
    use super::*;

    fn read(text: &str) -> Vec<Package> {
        let mut out = Statements::new(Technique::Locked);
        lock(text.as_bytes(), &mut out).unwrap();
        out.packages
    }

    #[test]
    fn checksums_of_old_and_new_versions_and_own_packages_left_out() {
        let sum = "a".repeat(64);
        let registry = "registry+https://github.com/rust-lang/crates.io-index";
        let old = format!(
            "[[package]]\nname='own'\nversion='0.1.0'\n[[package]]\nname='a'\nversion='1.0.0'\nsource='{registry}'\n\
             [metadata]\n\"checksum a 1.0.0 ({registry})\"='{sum}'\n"
        );
        let new = format!(
            "version=4\n[[package]]\nname='a'\nversion='1.0.0'\nsource='{registry}'\nchecksum='{sum}'\n"
        );
        assert_eq!(read(&old), read(&new));
        assert_eq!(read(&new)[0].purl().unwrap(), "pkg:cargo/a@1.0.0");
        assert_eq!(read(&new)[0].digests.first().unwrap().value, sum);
    }

    #[test]
    fn git_and_other_registries_are_told_apart() {
        let git = "[[package]]\nname='g'\nversion='1.0.0'\nsource='git+https://example.org/g?branch=x#abc'\n";
        let purl = read(git)[0].purl().unwrap();
        assert_eq!(purl, "pkg:cargo/g@1.0.0?vcs_url=git%2Bhttps:%2F%2Fexample.org%2Fg%40abc");
        let other =
            "[[package]]\nname='o'\nversion='1.0.0'\nsource='sparse+https://example.org/i/'\n";
        let purl = read(other)[0].purl().unwrap();
        assert_eq!(purl, "pkg:cargo/o@1.0.0?repository_url=https:%2F%2Fexample.org%2Fi%2F");
    }

    #[test]
    fn what_is_no_lock_file_is_refused() {
        for bad in ["[[package]]\nname='a'\n", "package = 3\n", "a = \u{1}\n", "<<<<<<< HEAD\n"] {
            let mut out = Statements::new(Technique::Locked);
            assert!(matches!(lock(bad.as_bytes(), &mut out), Err(ReadError::Toml(_))), "{bad:?}");
        }
        let mut out = Statements::new(Technique::Locked);
        assert_eq!(lock(b"a\xff", &mut out), Err(ReadError::NotUtf8(1)));
    }
}
