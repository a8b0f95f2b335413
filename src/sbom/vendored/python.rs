//! Python: the lock files of Poetry, uv, PDM and Pipenv, `pylock.toml`, and
//! distributions that lie there.
//!
//! Follows `src/poetry/packages/locker.py`, `crates/uv-resolver/src/lock/`,
//! `src/pdm/project/lockfile/`, `pipenv/utils/locking.py` and
//! <https://packaging.python.org/en/latest/specifications/pylock-toml/>.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::package::{Digest, DigestKind, Ecosystem, Package, Scope};
use super::statement::{ReadError, Statements, string, text, toml, vcs_url};
use crate::nix::json::{Node, Value};

/// The index that needs no naming.
const INDEX: [&str; 2] = ["https://pypi.org/simple", "https://pypi.org/simple/"];

#[derive(Deserialize)]
struct Lock {
    /// Poetry, PDM and uv.
    package: Option<Vec<Locked>>,
    /// `pylock.toml`.
    packages: Option<Vec<Locked>>,
    metadata: Option<Metadata>,
    /// uv's own version.
    version: Option<toml::Value>,
}

/// Old files of Poetry and PDM have hashes apart.
#[derive(Deserialize, Default)]
struct Metadata {
    #[serde(default)]
    files: BTreeMap<String, toml::Value>,
    #[serde(default)]
    hashes: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: Option<String>,
    category: Option<String>,
    optional: Option<bool>,
    groups: Option<Vec<String>>,
    source: Option<toml::Table>,
    #[serde(default)]
    files: Vec<File>,
    sdist: Option<File>,
    #[serde(default)]
    wheels: Vec<File>,
    archive: Option<File>,
    vcs: Option<toml::Table>,
    directory: Option<toml::Value>,
    // PDM: where a package is taken from instead of the index.
    git: Option<String>,
    revision: Option<String>,
    path: Option<String>,
    url: Option<String>,
}

/// A file of a distribution.
#[derive(Deserialize)]
struct File {
    url: Option<String>,
    hash: Option<String>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

impl File {
    fn describe(&self, package: &mut Package) {
        package.digests.extend(self.hash.as_deref().and_then(Digest::from_prefixed));
        package.digests.extend(
            self.hashes.iter().filter_map(|(name, digits)| {
                Digest::from_hex(DigestKind::from_name(name)?, digits)
            }),
        );
        package.sources.extend(self.url.clone());
    }
}

/// Reads `poetry.lock`, `uv.lock`, `pdm.lock` or `pylock.toml`.
///
/// # Errors
/// See [`ReadError`].
pub fn lock(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    let lock: Lock = toml(bytes)?;
    let known = lock.package.is_some() || lock.packages.is_some() || lock.metadata.is_some();
    if !known && lock.version.is_none() {
        return Err(ReadError::Missing { at: "the file".to_owned(), what: "'package'" });
    }
    let metadata = lock.metadata.unwrap_or_default();
    for locked in lock.package.iter().chain(&lock.packages).flatten() {
        if let Some(package) = locked.package(&metadata) {
            out.push(package)?;
        }
    }
    Ok(())
}

impl Locked {
    /// The package, unless it is a directory of the project.
    fn package(&self, metadata: &Metadata) -> Option<Package> {
        let source = |key: &str| self.source.as_ref()?.get(key)?.as_str();
        let is_directory = source("type") == Some("directory");
        let local = ["editable", "virtual", "directory"].iter().any(|key| source(key).is_some());
        if local || is_directory || self.directory.is_some() || self.is_local_path() {
            return None;
        }
        let mut package = Package::new(Ecosystem::Pypi, &self.name, self.version.as_deref());
        package.scope = self.scope();
        let files = self.files.iter().chain(&self.wheels);
        files.chain(&self.sdist).chain(&self.archive).for_each(|file| file.describe(&mut package));
        self.older_hashes(metadata, &mut package);
        if let Some(table) = &self.vcs {
            let text = |key| table.get(key).and_then(toml::Value::as_str);
            package.vcs = Some(vcs_url(text("url")?, text("commit-id").unwrap_or_default()));
        } else if let Some(git) = source("git") {
            // uv: https://host/path?rev=x#revision
            let (url, revision) = git.split_once('#').unwrap_or((git, ""));
            package.vcs = Some(vcs_url(url, revision));
        } else if source("type") == Some("git") {
            let revision = source("resolved_reference").or_else(|| source("reference"));
            package.vcs = Some(vcs_url(source("url")?, revision.unwrap_or_default()));
        } else if let Some(git) = &self.git {
            package.vcs = Some(vcs_url(git, self.revision.as_deref().unwrap_or_default()));
        } else if source("type") == Some("url") || self.source_is_url() {
            package.sources.extend(source("url").map(str::to_owned));
        } else if let Some(registry) = source("registry").or_else(|| source("url"))
            && !INDEX.contains(&registry)
            && registry.contains("://")
        {
            package.registry = Some(registry.to_owned());
        }
        package.sources.extend(self.url.clone());
        Some(package)
    }

    /// PDM's path to a directory of the project.
    fn is_local_path(&self) -> bool {
        self.path.as_deref().is_some_and(|path| path.starts_with('.')) && self.files.is_empty()
    }

    /// uv's source that is one file.
    fn source_is_url(&self) -> bool {
        self.source.as_ref().is_some_and(|table| table.len() == 1 && table.contains_key("url"))
    }

    fn scope(&self) -> Scope {
        let groups = self.groups.as_deref().unwrap_or_default();
        let ships = groups.iter().any(|group| group == "main" || group == "default");
        if self.category.as_deref() == Some("dev") || (!groups.is_empty() && !ships) {
            Scope::Development
        } else if self.optional == Some(true) {
            Scope::Optional
        } else if self.category.is_some() || self.optional.is_some() || ships {
            Scope::Required
        } else {
            Scope::Unstated
        }
    }

    fn older_hashes(&self, metadata: &Metadata, package: &mut Package) {
        // Poetry keys by name, PDM by "name version".
        let version = self.version.as_deref().unwrap_or_default();
        let keys = [self.name.clone(), format!("{} {version}", self.name)];
        for key in keys {
            let files = metadata.files.get(&key).and_then(toml::Value::as_array);
            for file in files.into_iter().flatten() {
                let hash = file.get("hash").and_then(toml::Value::as_str);
                package.digests.extend(hash.and_then(Digest::from_prefixed));
            }
            let hashes = metadata.hashes.get(&key).into_iter().flatten();
            package
                .digests
                .extend(hashes.filter_map(|digits| Digest::from_hex(DigestKind::Sha256, digits)));
        }
    }
}

/// Reads a `Pipfile.lock`.
///
/// # Errors
/// See [`ReadError`].
pub fn pipfile_lock(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    let root = out.json(bytes)?;
    if root.member("_meta").is_none() {
        return Err(ReadError::Missing { at: "the file".to_owned(), what: "'_meta'" });
    }
    for group in root.members().unwrap_or_default().iter().filter(|group| group.key != "_meta") {
        let scope = if group.key == "default" { Scope::Required } else { Scope::Development };
        for entry in group.value.members().unwrap_or_default() {
            out.push(pipenv_entry(&entry.key, &entry.value).needed(scope))?;
        }
    }
    Ok(())
}

fn pipenv_entry(name: &str, node: &Node) -> Package {
    let version = string(node, "version").map(|version| version.trim_start_matches('='));
    let mut package = Package::new(Ecosystem::Pypi, name, version);
    if let Some(Value::Array(hashes)) = node.member("hashes").map(|hashes| &hashes.value) {
        let hashes = hashes.iter().filter_map(Node::string);
        package.digests.extend(hashes.filter_map(Digest::from_prefixed));
    }
    if let Some(git) = string(node, "git") {
        package.vcs = Some(vcs_url(git, string(node, "ref").unwrap_or_default()));
    }
    package.sources.extend(string(node, "file").map(str::to_owned));
    package
}

/// Reads the `METADATA` or `PKG-INFO` of a distribution that lies there: the
/// headers up to the first empty line.
///
/// # Errors
/// See [`ReadError`].
pub fn metadata(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    // Only the headers are needed, and a description may be in any encoding.
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap_or(bytes.len());
    let headers = text(bytes.get(..end).unwrap_or_default())?;
    let header = |name: &str| {
        headers.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let missing = |what| ReadError::Missing { at: "the file".to_owned(), what };
    let name = header("Name").ok_or_else(|| missing("'Name'"))?;
    let version = header("Version").ok_or_else(|| missing("'Version'"))?;
    out.push(Package::new(Ecosystem::Pypi, name, Some(version)))
}

#[cfg(test)]
mod tests {
    use super::super::Technique;
    use super::*;

    type Read = fn(&[u8], &mut Statements) -> Result<(), ReadError>;

    fn read(read: Read, text: &str) -> Vec<Package> {
        let mut out = Statements::new(Technique::Locked);
        read(text.as_bytes(), &mut out).unwrap();
        out.packages
    }

    fn shown(packages: &[Package]) -> Vec<(String, Scope, usize)> {
        let one = |one: &Package| (one.purl().unwrap(), one.scope, one.digests.len());
        packages.iter().map(one).collect()
    }

    const SUM: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    #[test]
    fn poetry_of_all_ages() {
        let old = format!(
            "[[package]]\nname='A_b'\nversion='1'\ncategory='dev'\noptional=false\n[metadata.files]\nA_b=[{{file='x',hash='{SUM}'}}]\n"
        );
        let expected = [("pkg:pypi/a-b@1".to_owned(), Scope::Development, 1)];
        assert_eq!(shown(&read(lock, &old)), expected);
        let new = format!(
            "[[package]]\nname='a-b'\nversion='1'\noptional=false\ngroups=['dev']\nfiles=[{{file='x',hash='{SUM}'}}]\n[[package]]\nname='g'\nversion='2'\noptional=true\ngroups=['main']\nfiles=[]\n[package.source]\ntype='git'\nurl='https://h/g.git'\nreference='x'\nresolved_reference='abc'\n[[package]]\nname='d'\nversion='1'\n[package.source]\ntype='directory'\nurl='../d'\n"
        );
        let git = "pkg:pypi/g@2?vcs_url=git%2Bhttps:%2F%2Fh%2Fg.git%40abc".to_owned();
        let expected = [expected[0].clone(), (git, Scope::Optional, 0)];
        assert_eq!(shown(&read(lock, &new)), expected);
    }

    #[test]
    fn uv_pdm_and_pylock() {
        let uv = format!(
            "version=1\n[[package]]\nname='own'\nversion='0'\nsource={{editable='.'}}\n[[package]]\nname='a'\nversion='1'\nsource={{registry='https://pypi.org/simple'}}\nsdist={{url='https://f/a.tar.gz',hash='{SUM}',size=1}}\n[[package]]\nname='g'\nversion='2'\nsource={{git='https://h/g?rev=x#abc'}}\n"
        );
        let git = "pkg:pypi/g@2?vcs_url=git%2Bhttps:%2F%2Fh%2Fg%40abc".to_owned();
        let expected = [("pkg:pypi/a@1".to_owned(), Scope::Unstated, 1), (git, Scope::Unstated, 0)];
        assert_eq!(shown(&read(lock, &uv)), expected);
        let pdm = format!(
            "[[package]]\nname='a'\nversion='1'\ngroups=['default']\nfiles=[{{file='x',hash='{SUM}'}}]\n[[package]]\nname='own'\nversion='0'\npath='./x'\n"
        );
        assert_eq!(shown(&read(lock, &pdm)), [("pkg:pypi/a@1".to_owned(), Scope::Required, 1)]);
        let digits = "a".repeat(64);
        let pylock = format!(
            "lock-version='1.0'\n[[packages]]\nname='a'\nversion='1'\nwheels=[{{url='https://f/a.whl',hashes={{sha256='{digits}'}}}}]\n[[packages]]\nname='own'\ndirectory={{path='.'}}\n"
        );
        assert_eq!(shown(&read(lock, &pylock)), [("pkg:pypi/a@1".to_owned(), Scope::Unstated, 1)]);
    }

    #[test]
    fn pipenv_and_installed_distributions() {
        let pipfile = format!(
            r#"{{"_meta":{{}},"default":{{"a":{{"version":"==1","hashes":["{SUM}"]}}}},"develop":{{"b":{{"version":"==2"}}}}}}"#
        );
        let expected = [
            ("pkg:pypi/a@1".to_owned(), Scope::Required, 1),
            ("pkg:pypi/b@2".to_owned(), Scope::Development, 0),
        ];
        assert_eq!(shown(&read(pipfile_lock, &pipfile)), expected);
        let found = read(metadata, "Metadata-Version: 2.1\nName: A.b\nVersion: 1\n\nName: no\n");
        assert_eq!(shown(&found), [("pkg:pypi/a-b@1".to_owned(), Scope::Unstated, 0)]);
        let mut out = Statements::new(Technique::Present);
        assert!(metadata(b"Name: a\n", &mut out).is_err());
        assert!(pipfile_lock(b"{}", &mut out).is_err());
    }
}
