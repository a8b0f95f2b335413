//! What a reader of one format hands over, and why a file cannot be read.

use super::package::Package;
use super::{Scope, Technique};
use crate::nix::json::{self, JsonError, Node};

/// Packages that one file may name. The largest genuine lock files known have
/// some ten thousand.
pub const MAX_PACKAGES: usize = 200_000;

/// Bytes of a file that names packages. The largest genuine lock files known
/// have some five million.
pub const MAX_STATEMENT: u64 = 32 << 20;

/// Bytes of a package's name. Registries allow a few hundred.
pub const MAX_NAME: usize = 2048;

/// Names of a file that are refused one by one.
const MAX_FLAWS: usize = 100;

/// Why a file that names packages could not be read, or not wholly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not text.
    #[error("byte {0} is not UTF-8 (expected text)")]
    NotUtf8(usize),
    /// No JSON.
    #[error("not JSON: {0}")]
    Json(#[from] JsonError),
    /// A key of an object stands there twice, and readers differ in which they
    /// take.
    #[error("the key '{0}' stands twice in one object (the last was taken)")]
    DoubledKey(String),
    /// No TOML, or not of the right shape.
    #[error("not the TOML that is expected: {0}")]
    Toml(String),
    /// No YAML, or something no lock file has.
    #[error("not the YAML that is expected, at line {line}: {what}")]
    Yaml {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// No XML.
    #[error("not XML, at byte {offset}: {what}")]
    Xml {
        /// The offset.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// Something that must be there is not.
    #[error("{at} has no {what}")]
    Missing {
        /// Where it should stand.
        at: String,
        /// What is missing.
        what: &'static str,
    },
    /// A line that means nothing in this format.
    #[error("line {line} is not {expected}")]
    Line {
        /// The line, counted from 1.
        line: usize,
        /// What could stand there.
        expected: &'static str,
    },
    /// A version of the format that this does not know.
    #[error("version '{found}' of the format is not known (expected {expected})")]
    Version {
        /// What the file says.
        found: String,
        /// What is known.
        expected: &'static str,
    },
    /// More packages than any genuine file has.
    #[error("more than {MAX_PACKAGES} packages are named (a limit of this tool)")]
    TooMany,
    /// A name that no package can have.
    #[error("a package has a name of {0} bytes (expected 1 to {MAX_NAME})")]
    Name(usize),
    /// Information in a program is damaged.
    #[error("{0}")]
    Program(String),
}

/// What one file says.
#[derive(Debug)]
pub struct Statements {
    /// What kind of statements they are, unless they pin no version.
    pub technique: Technique,
    /// The packages, in the order of the file.
    pub packages: Vec<Package>,
    /// What is wrong with the file though it could be read.
    pub flaws: Vec<ReadError>,
}

impl Statements {
    /// None yet.
    #[must_use]
    pub const fn new(technique: Technique) -> Self {
        Self { technique, packages: Vec::new(), flaws: Vec::new() }
    }

    /// Adds a package.
    ///
    /// # Errors
    /// [`ReadError::TooMany`].
    pub fn push(&mut self, package: Package) -> Result<(), ReadError> {
        if self.packages.len() >= MAX_PACKAGES {
            return Err(ReadError::TooMany);
        }
        let length = package.name.len();
        if length == 0 || length > MAX_NAME {
            if self.flaws.len() < MAX_FLAWS {
                self.flaws.push(ReadError::Name(length));
            }
            return Ok(());
        }
        self.packages.push(package);
        Ok(())
    }

    /// Reads JSON and notes doubled keys.
    ///
    /// # Errors
    /// [`ReadError::Json`].
    pub fn json<'t>(&mut self, bytes: &'t [u8]) -> Result<Node<'t>, ReadError> {
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        let document = json::parse(bytes)?;
        if let Some(doubled) = document.duplicates.named.first() {
            self.flaws.push(ReadError::DoubledKey(doubled.key.clone()));
        }
        Ok(document.root)
    }
}

/// What editors on Windows put before text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The text of a file.
///
/// # Errors
/// [`ReadError::NotUtf8`].
pub fn text(bytes: &[u8]) -> Result<&str, ReadError> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| ReadError::NotUtf8(error.valid_up_to()))
}

/// A file in TOML.
///
/// # Errors
/// [`ReadError::NotUtf8`] and [`ReadError::Toml`].
pub fn toml<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, ReadError> {
    toml::from_str(text(bytes)?).map_err(|error| {
        // The parser's own display quotes the file over several lines.
        ReadError::Toml(error.message().lines().next().unwrap_or_default().to_owned())
    })
}

/// The string of a member, if it has one.
#[must_use]
pub fn string<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    node.member(key)?.string()
}

/// Whether a member is `true`.
#[must_use]
pub fn is_set(node: &Node, key: &str) -> bool {
    node.member(key).is_some_and(|member| member.value == json::Value::Bool(true))
}

/// The scope that the usual two marks of lock files mean.
#[must_use]
pub const fn scope_of(development: bool, optional: bool) -> Scope {
    match (development, optional) {
        (true, _) => Scope::Development,
        (false, true) => Scope::Optional,
        (false, false) => Scope::Required,
    }
}

/// A repository and a revision, as package URLs name them: `git+URL@REVISION`.
/// Queries of the URL are left out.
#[must_use]
pub fn vcs_url(repository: &str, revision: &str) -> String {
    let url = repository.split(['?', '#']).next().unwrap_or_default();
    let kind = if url.starts_with("git+") || url.starts_with("git@") { "" } else { "git+" };
    if revision.is_empty() { format!("{kind}{url}") } else { format!("{kind}{url}@{revision}") }
}
