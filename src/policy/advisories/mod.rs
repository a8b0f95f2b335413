//! Known vulnerabilities, from files at hand: advisories in the OSV format
//! (<https://ossf.github.io/osv-schema/>), less what statements (OpenVEX,
//! CycloneDX) say does not apply.
//!
//! OSV has no ecosystem for Nix, so components are matched by the package URL
//! they have upstream. One whose package URL no advisory could speak about is
//! not taken for safe: it cannot be judged.

mod osv;
mod range;
mod vex;

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use packageurl::PackageUrl;

use super::subject::{Field, Subject, Unknown};

pub use osv::Advisory;
pub use vex::Statement;

/// Why a file of advisories or statements cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdvisoryError {
    /// No JSON, or not in the shape of the format.
    #[error("it is no {format}: {message}")]
    Shape {
        /// The format that was expected.
        format: &'static str,
        /// What is wrong.
        message: String,
    },
}

impl AdvisoryError {
    fn new(format: &'static str, message: impl ToString) -> Self {
        Self::Shape { format, message: message.to_string() }
    }
}

/// A package as advisories name it: ecosystem and name.
pub type Package = (String, String);

/// Advisories and statements.
#[derive(Debug, Default)]
pub struct Advisories {
    advisories: Vec<Advisory>,
    by_package: BTreeMap<Package, BTreeSet<usize>>,
    statements: Vec<Statement>,
}

impl Advisories {
    /// How many advisories there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.advisories.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.advisories.is_empty()
    }

    /// Adds a file of the OSV format.
    ///
    /// # Errors
    /// What it is instead.
    pub fn add_osv(&mut self, bytes: &[u8]) -> Result<(), AdvisoryError> {
        let Some(advisory) = osv::read(bytes)? else { return Ok(()) };
        let at = self.advisories.len();
        for package in advisory.packages() {
            self.by_package.entry(package.clone()).or_default().insert(at);
        }
        self.advisories.push(advisory);
        Ok(())
    }

    /// Adds a file of statements, OpenVEX or CycloneDX.
    ///
    /// # Errors
    /// What it is instead.
    pub fn add_vex(&mut self, bytes: &[u8]) -> Result<(), AdvisoryError> {
        self.statements.extend(vex::read(bytes)?);
        Ok(())
    }

    /// The names of the advisories that a component is affected by.
    ///
    /// # Errors
    /// It has no package URL, or none that advisories speak about, or a version
    /// that cannot be compared.
    pub fn about(&self, subject: &Subject) -> Result<Vec<&str>, Unknown> {
        let text = subject.as_text(Field::Purl)?;
        let purl = parse(text)?;
        let package = package(&purl).ok_or_else(|| {
            Unknown::Other(format!(
                "no advisories speak about packages of the type 'pkg:{}'",
                purl.ty()
            ))
        })?;
        let version = match purl.version() {
            Some(version) => version,
            None => subject.as_text(Field::Version)?,
        };
        let mut found = Vec::new();
        for at in self.by_package.get(&package).into_iter().flatten() {
            let Some(advisory) = self.advisories.get(*at) else { continue };
            let affected = advisory.affects(&package, version).map_err(|why| {
                Unknown::Other(format!("whether {} affects it is not known: {why}", advisory.id))
            })?;
            if affected && !vex::excused(&self.statements, &advisory.names, &purl, version) {
                found.push(advisory.id.as_str());
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

fn parse(text: &str) -> Result<PackageUrl<'static>, Unknown> {
    PackageUrl::from_str(text).map_err(|error| Unknown::Unusable {
        field: Field::Purl,
        why: format!("'{text}' is no package URL: {error}"),
    })
}

/// Ecosystem and name of a package URL.
/// <https://ossf.github.io/osv-schema/#affectedpackage-field>
fn package(purl: &PackageUrl<'_>) -> Option<Package> {
    let name = purl.name();
    let joined = |with: &str| match purl.namespace() {
        Some(space) => format!("{space}{with}{name}"),
        None => name.to_owned(),
    };
    let (ecosystem, name) = match purl.ty() {
        "cargo" => ("crates.io", name.to_owned()),
        "npm" => ("npm", joined("/")),
        "pypi" => ("PyPI", normal_python(name)),
        "golang" => ("Go", joined("/")),
        "maven" => ("Maven", joined(":")),
        "gem" => ("RubyGems", name.to_owned()),
        "nuget" => ("NuGet", name.to_ascii_lowercase()),
        "composer" => ("Packagist", joined("/").to_ascii_lowercase()),
        "hex" => ("Hex", joined("/")),
        "pub" => ("Pub", name.to_owned()),
        "hackage" => ("Hackage", name.to_owned()),
        "swift" => ("SwiftURL", joined("/")),
        "github" => (osv::GIT, osv::repository(&format!("https://github.com/{}", joined("/")))),
        "gitlab" => (osv::GIT, osv::repository(&format!("https://gitlab.com/{}", joined("/")))),
        _ => return None,
    };
    Some((ecosystem.to_owned(), name))
}

/// Names of Python packages are the same up to case and separators (PEP 503).
fn normal_python(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            other => normal.push(other.to_ascii_lowercase()),
        }
    }
    normal
}

#[cfg(test)]
mod tests;
