//! What publications ask of a bill of materials, field by field, judged on
//! what it says. Each field with its source and section is in
//! `docs/profiles/`.

mod bsi;
mod cisa;
mod fields;
mod ntia;

use std::fmt;

use serde_json::Value;

use super::outline::Outline;

/// A publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    /// "2026 Minimum Elements for a Software Bill of Materials (SBOM)", CISA
    /// and others, 29 July 2026.
    Cisa2026,
    /// BSI TR-03183-2, version 2.1.0, 20 August 2025.
    Bsi2_1,
    /// "The Minimum Elements For a Software Bill of Materials (SBOM)", NTIA,
    /// 12 July 2021.
    Ntia2021,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cisa2026, Self::Bsi2_1, Self::Ntia2021];

    /// The name used in options and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cisa2026 => "cisa-2026",
            Self::Bsi2_1 => "bsi-2.1",
            Self::Ntia2021 => "ntia-2021",
        }
    }

    /// The profile of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How much a publication wants a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// It should be there, or could be proven elsewhere than in the document.
    Should,
    /// Without it the document does not meet the publication.
    Must,
}

/// Whether a field is missing or says what does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lack {
    /// The document does not say it.
    Missing,
    /// The document says something that does not count.
    Unusable,
}

/// A field of a publication that a document does not fill.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// Where it should stand, or stands, as a JSON pointer.
    pub pointer: String,
    /// The field's name in the publication, in lower case with hyphens.
    pub field: &'static str,
    /// How much it is wanted.
    pub need: Need,
    /// Whether it is missing.
    pub lack: Lack,
    /// The section that asks for it.
    pub section: &'static str,
    /// The component it is missing of; empty for the document itself.
    pub component: String,
    /// What is wrong, and what would do.
    pub message: String,
}

/// Judges a document of which nothing is known but its JSON.
///
/// A document whose format is not known fills nothing: it has one gap, for its
/// format.
#[must_use]
pub fn judge(value: &Value, profile: Profile) -> Vec<Gap> {
    match super::document::recognise(value) {
        Ok(spec) => judge_outline(&Outline::of(spec, value), profile),
        Err(error) => vec![Gap {
            pointer: String::new(),
            field: "data-format",
            need: Need::Must,
            lack: Lack::Unusable,
            section: "format",
            component: String::new(),
            message: error.to_string(),
        }],
    }
}

/// Judges what was looked at in a document.
#[must_use]
pub fn judge_outline(outline: &Outline, profile: Profile) -> Vec<Gap> {
    let mut gaps = match profile {
        Profile::Cisa2026 => cisa::judge(outline),
        Profile::Bsi2_1 => bsi::judge(outline),
        Profile::Ntia2021 => ntia::judge(outline),
    };
    gaps.sort();
    gaps
}

/// The fields of a publication, in its order, each with its section.
#[must_use]
pub const fn fields(profile: Profile) -> &'static [(&'static str, &'static str)] {
    match profile {
        Profile::Cisa2026 => cisa::FIELDS,
        Profile::Bsi2_1 => bsi::FIELDS,
        Profile::Ntia2021 => ntia::FIELDS,
    }
}

#[cfg(test)]
mod tests;
