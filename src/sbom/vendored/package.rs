//! One package as a reader finds it, and its package URL.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use packageurl::PackageUrl;

/// Where packages are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ecosystem {
    /// Rust's crates.
    Cargo,
    /// PHP's packagist.
    Composer,
    /// Ruby's gems.
    Gem,
    /// Go's modules.
    Golang,
    /// Java's artifacts.
    Maven,
    /// JavaScript's npm registry, whichever client installs from it.
    Npm,
    /// .NET's packages.
    Nuget,
    /// Dart's packages.
    Pub,
    /// Python's package index.
    Pypi,
}

impl Ecosystem {
    /// The type in package URLs
    /// (<https://github.com/package-url/purl-spec>, `types/`).
    #[must_use]
    pub const fn purl_type(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Composer => "composer",
            Self::Gem => "gem",
            Self::Golang => "golang",
            Self::Maven => "maven",
            Self::Npm => "npm",
            Self::Nuget => "nuget",
            Self::Pub => "pub",
            Self::Pypi => "pypi",
        }
    }

    /// Namespace and name of the package URL.
    fn split(self, name: &str) -> (Option<&str>, &str) {
        let parts = match self {
            Self::Maven => name.split_once(':'),
            Self::Composer | Self::Npm | Self::Golang => name.rsplit_once('/'),
            Self::Cargo | Self::Gem | Self::Nuget | Self::Pub | Self::Pypi => None,
        };
        parts.map_or((None, name), |(namespace, name)| (Some(namespace), name))
    }
}

/// What a dependency is needed for. Ordered: what is met in two places has the
/// greater of both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Nothing is said.
    #[default]
    Unstated,
    /// For developing or testing only.
    Development,
    /// For building only.
    Build,
    /// For some users or platforms.
    Optional,
    /// For running.
    Required,
}

impl Scope {
    /// Its name in our own outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unstated => "unstated",
            Self::Development => "development",
            Self::Build => "build",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

/// How a digest is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DigestKind {
    /// MD5 of the published file.
    Md5,
    /// SHA-1 of the published file.
    Sha1,
    /// SHA-256 of the published file.
    Sha256,
    /// SHA-384 of the published file.
    Sha384,
    /// SHA-512 of the published file.
    Sha512,
    /// Go's `h1:`, a SHA-256 over the list of the module's files; the value is
    /// its base64.
    GoH1,
    /// Yarn's, of a zip that Yarn makes itself; the value is what the lock file
    /// has, with the cache key before it.
    YarnCache,
}

impl DigestKind {
    /// The name `CycloneDX` has for it, if it is the digest of a file.
    #[must_use]
    pub const fn cyclonedx(self) -> Option<&'static str> {
        match self {
            Self::Md5 => Some("MD5"),
            Self::Sha1 => Some("SHA-1"),
            Self::Sha256 => Some("SHA-256"),
            Self::Sha384 => Some("SHA-384"),
            Self::Sha512 => Some("SHA-512"),
            Self::GoH1 | Self::YarnCache => None,
        }
    }

    /// Its name in our own outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
            Self::GoH1 => "go-h1",
            Self::YarnCache => "yarn-cache",
        }
    }

    /// The kind of digest of a file of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase().replace('-', "");
        [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    /// Bytes of a digest of a file.
    const fn size(self) -> Option<usize> {
        match self {
            Self::Md5 => Some(16),
            Self::Sha1 => Some(20),
            Self::Sha256 => Some(32),
            Self::Sha384 => Some(48),
            Self::Sha512 => Some(64),
            Self::GoH1 | Self::YarnCache => None,
        }
    }
}

/// What a published file hashes to, as somebody states it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    /// How it is taken.
    pub kind: DigestKind,
    /// Lower-case hex for digests of files, else as [`DigestKind`] says.
    pub value: String,
}

impl Digest {
    /// From hex digits of the right number.
    #[must_use]
    pub fn from_hex(kind: DigestKind, digits: &str) -> Option<Self> {
        let fits = kind.size().is_some_and(|size| digits.len() == size.saturating_mul(2));
        let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        (fits && hex).then(|| Self { kind, value: digits.to_ascii_lowercase() })
    }

    /// From `sha256:<hex>`, as Python's tools write it.
    #[must_use]
    pub fn from_prefixed(text: &str) -> Option<Self> {
        let (name, digits) = text.split_once(':')?;
        Self::from_hex(DigestKind::from_name(name)?, digits)
    }

    /// All that stand in an `integrity` field, as the web and npm write it:
    /// `sha512-<base64>`, several apart by blanks, options behind `?`.
    #[must_use]
    pub fn from_integrity(text: &str) -> BTreeSet<Self> {
        let one = |word: &str| {
            let (name, value) = word.split_once('-')?;
            let kind = DigestKind::from_name(name)?;
            let value = value.split('?').next().unwrap_or_default();
            let bytes = BASE64.decode(value).ok()?;
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            Self::from_hex(kind, &hex)
        };
        text.split_ascii_whitespace().filter_map(one).collect()
    }
}

/// A package as one file names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Where it is published.
    pub ecosystem: Ecosystem,
    /// See [`super::Vendored::name`].
    pub name: String,
    /// See [`super::Vendored::version`].
    pub version: Option<String>,
    /// What its files hash to.
    pub digests: BTreeSet<Digest>,
    /// Where it comes from.
    pub sources: BTreeSet<String>,
    /// The repository and revision it is taken from instead of a registry, as
    /// package URLs have it: `git+https://host/path@revision`.
    pub vcs: Option<String>,
    /// The registry, if it is not the ecosystem's usual one: a URL.
    pub registry: Option<String>,
    /// What it is needed for.
    pub scope: Scope,
}

impl Package {
    /// A package with nothing said but its name and version.
    #[must_use]
    pub fn new(ecosystem: Ecosystem, name: &str, version: Option<&str>) -> Self {
        let mut name = name.to_owned();
        if ecosystem == Ecosystem::Pypi {
            name = python_name(&name);
        }
        Self {
            ecosystem,
            name,
            version: version.filter(|version| !version.is_empty()).map(str::to_owned),
            digests: BTreeSet::new(),
            sources: BTreeSet::new(),
            vcs: None,
            registry: None,
            scope: Scope::Unstated,
        }
    }

    /// The same, needed for something.
    #[must_use]
    pub const fn needed(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// The package URL.
    #[must_use]
    pub fn purl(&self) -> Option<String> {
        let (namespace, name) = self.ecosystem.split(&self.name);
        let mut purl = PackageUrl::new(self.ecosystem.purl_type(), name).ok()?;
        if let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty()) {
            purl.with_namespace(namespace).ok()?;
        }
        if let Some(version) = &self.version {
            purl.with_version(version.as_str()).ok()?;
        }
        if let Some(vcs) = &self.vcs {
            purl.add_qualifier("vcs_url", vcs.as_str()).ok()?;
        }
        if let Some(registry) = &self.registry {
            purl.add_qualifier("repository_url", registry.as_str()).ok()?;
        }
        Some(purl.to_string())
    }
}

/// A Python project's name as the index compares it
/// (<https://packaging.python.org/en/latest/specifications/name-normalization/>).
fn python_name(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            other => normal.extend(other.to_lowercase()),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purl(ecosystem: Ecosystem, name: &str, version: &str) -> String {
        Package::new(ecosystem, name, Some(version)).purl().unwrap()
    }

    #[test]
    fn package_urls_are_those_of_the_specification() {
        for (ecosystem, name, version, expected) in [
            (Ecosystem::Cargo, "serde", "1.0.0", "pkg:cargo/serde@1.0.0"),
            (Ecosystem::Npm, "@babel/core", "7.0.0", "pkg:npm/%40babel/core@7.0.0"),
            (Ecosystem::Golang, "golang.org/x/sys", "v0.1.0", "pkg:golang/golang.org/x/sys@v0.1.0"),
            (
                Ecosystem::Maven,
                "org.slf4j:slf4j-api",
                "2.0.9",
                "pkg:maven/org.slf4j/slf4j-api@2.0.9",
            ),
            (Ecosystem::Pypi, "Zope.Interface_x", "6", "pkg:pypi/zope-interface-x@6"),
        ] {
            assert_eq!(purl(ecosystem, name, version), expected);
        }
    }

    #[test]
    fn digests_are_hex_of_the_right_length_or_none() {
        let sha1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
        assert!(Digest::from_hex(DigestKind::Sha1, sha1).is_some());
        assert!(Digest::from_hex(DigestKind::Sha256, sha1).is_none());
        assert!(Digest::from_hex(DigestKind::Sha1, &sha1.replace('d', "g")).is_none());
        let both = Digest::from_integrity("sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk= md4-xx sha512-AA==");
        assert_eq!(both.len(), 1);
        assert_eq!(both.first().unwrap().value, sha1);
        assert!(Digest::from_prefixed(&format!("SHA1:{sha1}")).is_some());
    }

    #[test]
    fn one_python_project_has_one_name() {
        assert_eq!(python_name("Zope.__Interface"), "zope-interface");
    }
}
