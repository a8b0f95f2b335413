//! Dependencies that lie inside a source or a program without being store
//! objects of their own: crates, npm packages, Go modules, wheels, jars.
//!
//! Nix sees a fixed output full of them as one object. What is in it is said by
//! lock files, by the metadata of the packages that lie there, and by what
//! compilers leave in programs. Each statement is kept as [`Evidence`]: where
//! it stands, of what kind it is, how much it is worth. What should have been
//! read and could not is [`Unread`]; nothing is left out in silence.
//! `docs/vendored.md` lists every format.
//!
//! The work is done by a [`Scanner`], a visitor that is handed one file after
//! another and does not care whether they come from a tree, a NAR or an archive.

pub mod cargo;
mod detect;
mod elf;
pub mod go;
pub mod go_program;
pub mod gradle;
pub mod maven;
pub mod npm;
pub mod others;
mod package;
pub mod pnpm;
pub mod python;
pub mod requirements;
pub mod rust_program;
mod scanner;
pub mod statement;
pub mod yaml;
pub mod yarn;

use std::collections::BTreeSet;

pub use package::{Digest, DigestKind, Ecosystem, Package, Scope};
pub use scanner::{MAX_PROGRAM, Place, Scanner};
pub use statement::{MAX_PACKAGES, MAX_STATEMENT, ReadError, Statements};

/// A dependency found inside an object, with all that was said about it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vendored {
    /// Where it is published.
    pub ecosystem: Ecosystem,
    /// Its name as the ecosystem writes it: `@scope/name` for npm,
    /// `group:artifact` for Maven, the module path for Go.
    pub name: String,
    /// Its version, if one is stated; a range is none.
    pub version: Option<String>,
    /// Its package URL, if the name can have one.
    pub purl: Option<String>,
    /// What its published files hash to, as stated.
    pub digests: BTreeSet<Digest>,
    /// Where it is said to come from: URLs.
    pub sources: BTreeSet<String>,
    /// What it is needed for: the strongest need that is stated anywhere.
    pub scope: Scope,
    /// Who says so, sorted; never empty.
    pub evidence: Vec<Evidence>,
}

impl Vendored {
    /// The confidence of its best evidence.
    #[must_use]
    pub fn confidence(&self) -> Confidence {
        let best = self.evidence.iter().map(|one| one.confidence).max();
        best.unwrap_or(Confidence::NONE)
    }
}

/// One statement that a dependency is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Evidence {
    /// The file that says so, relative to the object; within an archive behind
    /// `!/`. Bytes that are no UTF-8 are replaced.
    pub place: String,
    /// The format of the file, by its usual name: `Cargo.lock`.
    pub format: &'static str,
    /// What kind of statement it is.
    pub technique: Technique,
    /// How much it is worth.
    pub confidence: Confidence,
}

/// What kind of statement a piece of evidence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Technique {
    /// A compiler left it in the program.
    Embedded,
    /// The package itself lies there, with its metadata.
    Present,
    /// A lock file pins it to a version.
    Locked,
    /// A manifest asks for it; what is chosen stands elsewhere.
    Declared,
    /// A list of checksums has it, which names more than is used.
    Mentioned,
}

impl Technique {
    /// How `CycloneDX` calls it (`evidence.identity.methods.technique`).
    #[must_use]
    pub const fn cyclonedx(self) -> &'static str {
        match self {
            Self::Embedded => "binary-analysis",
            _ => "manifest-analysis",
        }
    }

    /// Its name in our own outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Present => "present",
            Self::Locked => "locked",
            Self::Declared => "declared",
            Self::Mentioned => "mentioned",
        }
    }

    /// What such a statement is worth where it is made about the object itself.
    #[must_use]
    pub const fn confidence(self) -> Confidence {
        Confidence(match self {
            Self::Embedded => 95,
            Self::Present => 90,
            Self::Locked => 80,
            Self::Declared => 50,
            Self::Mentioned => 30,
        })
    }
}

/// How likely a statement is to hold for what is built, in percent. The steps
/// are ours and only order statements; `docs/vendored.md` explains them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Confidence(u8);

impl Confidence {
    /// Nobody says so.
    pub const NONE: Self = Self(0);

    /// From 0 to 100.
    #[must_use]
    pub const fn percent(self) -> u8 {
        self.0
    }

    /// What the statement is worth among tests, examples and documentation.
    #[must_use]
    pub const fn aside(self) -> Self {
        Self(self.0 / 2)
    }
}

/// A file that should have been read for dependencies and was not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unread {
    /// The file, as in [`Evidence::place`].
    pub place: String,
    /// The format it was taken for.
    pub format: &'static str,
    /// Why, in words fit for a report.
    pub reason: String,
}

/// What a scan found in one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The dependencies, sorted by ecosystem, name and version.
    pub found: Vec<Vendored>,
    /// What could not be read, sorted. If there is any, the list above may lack
    /// something.
    pub unread: Vec<Unread>,
    /// How much was looked at.
    pub looked_at: LookedAt,
}

impl Inventory {
    /// Whether everything that could have named a dependency was read. It
    /// cannot mean that there are no others: a program that was stripped says
    /// nothing.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.unread.is_empty()
    }
}

/// How much a scan looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LookedAt {
    /// Regular files, those within archives included.
    pub files: u64,
    /// Lock files, manifests and metadata read.
    pub statements: u64,
    /// Programs and libraries looked into.
    pub binaries: u64,
    /// Archives looked into.
    pub archives: u64,
    /// Lock files of dependencies, which say what these were developed with and
    /// which nobody who uses them reads: passed over.
    pub second_hand: u64,
}
