//! Licence expressions: of alternatives (`OR`) any may be allowed, of what
//! counts together (`AND`) all must be.
//!
//! <https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/>

use spdx::{Expression, LicenseItem, LicenseReq, Licensee, ParseMode};

/// Longest expression that is read. The longest in nixpkgs has some hundred
/// bytes.
const MAX_LEN: usize = 4096;

/// What documents write where nobody knows, or there is none.
const NOBODY_KNOWS: [&str; 2] = ["NOASSERTION", "NONE"];

/// How expressions are read: identifiers of the list, deprecated ones too
/// (nixpkgs has them), and references of one's own.
const MODE: ParseMode = ParseMode {
    allow_slash_as_or_operator: false,
    allow_imprecise_license_names: false,
    allow_postfix_plus_on_gpl: true,
    allow_deprecated: true,
    allow_unknown: false,
};

/// Why a licence cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LicenceError {
    /// The document says that it does not say.
    #[error("the licence is {0}")]
    Unsaid(String),
    /// No expression.
    #[error("'{text}' is no SPDX licence expression: {why}")]
    Malformed {
        /// The text.
        text: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Licences that are allowed, or that are not.
#[derive(Debug, Clone, PartialEq)]
pub struct Allowed(Vec<Entry>);

/// One licence in a policy.
#[derive(Debug, Clone, PartialEq)]
enum Entry {
    /// An SPDX identifier, with an exception or not.
    Licence(Licensee),
    /// `LicenseRef-…`; `*` stands for anything.
    Reference(String),
}

impl Allowed {
    /// Reads the licences of a policy: identifiers, `GPL-2.0-only WITH
    /// Classpath-exception-2.0`, `LicenseRef-*`.
    ///
    /// # Errors
    /// One that is none.
    pub fn parse<T: AsRef<str>>(names: &[T]) -> Result<Self, LicenceError> {
        names.iter().map(|name| Entry::parse(name.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a licence can be chosen of which all parts are among these.
    ///
    /// # Errors
    /// An expression that cannot be judged.
    pub fn covers(&self, licence: &str) -> Result<bool, LicenceError> {
        Ok(parse(licence)?.evaluate(|requirement| self.has(requirement)))
    }

    /// Whether a licence can be chosen of which no part is among these.
    ///
    /// # Errors
    /// An expression that cannot be judged.
    pub fn can_be_avoided(&self, licence: &str) -> Result<bool, LicenceError> {
        Ok(parse(licence)?.evaluate(|requirement| !self.has(requirement)))
    }

    fn has(&self, requirement: &LicenseReq) -> bool {
        self.0.iter().any(|entry| match entry {
            Entry::Licence(licensee) => licensee.satisfies(requirement),
            Entry::Reference(pattern) => {
                matches!(requirement.license, LicenseItem::Other(_))
                    && crate::check::lock::config::matches(pattern, &requirement.to_string())
            }
        })
    }
}

impl Entry {
    fn parse(name: &str) -> Result<Self, LicenceError> {
        if name.starts_with("LicenseRef-") || name.starts_with("DocumentRef-") {
            return Ok(Self::Reference(name.to_owned()));
        }
        Licensee::parse_mode(name, MODE).map(Self::Licence).map_err(|error| {
            LicenceError::Malformed { text: name.to_owned(), why: error.reason.to_string() }
        })
    }
}

/// Whether a licence can be chosen all of whose parts are free software by the
/// Free Software Foundation or open source by the Open Source Initiative.
///
/// # Errors
/// An expression that cannot be judged.
pub fn is_free(licence: &str) -> Result<bool, LicenceError> {
    Ok(parse(licence)?.evaluate(|requirement| {
        requirement.license.id().is_some_and(|id| id.is_fsf_free_libre() || id.is_osi_approved())
    }))
}

fn parse(licence: &str) -> Result<Expression, LicenceError> {
    let text = licence.trim();
    if NOBODY_KNOWS.contains(&text) {
        return Err(LicenceError::Unsaid(text.to_owned()));
    }
    let malformed =
        |why: String| LicenceError::Malformed { text: text.chars().take(200).collect(), why };
    if text.len() > MAX_LEN {
        return Err(malformed(format!("it has more than {MAX_LEN} bytes")));
    }
    Expression::parse_mode(text, MODE).map_err(|error| malformed(error.reason.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_and_conjunctions() {
        let allowed = Allowed::parse(&["MIT", "Apache-2.0", "LicenseRef-ours-*"]).unwrap();
        for (licence, wanted) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("MIT OR GPL-3.0-only", true),
            ("MIT AND GPL-3.0-only", false),
            ("MIT AND (Apache-2.0 OR GPL-3.0-only)", true),
            ("LicenseRef-ours-1", true),
            ("LicenseRef-theirs", false),
            ("Apache-2.0 WITH LLVM-exception", false),
        ] {
            assert_eq!(allowed.covers(licence), Ok(wanted), "{licence}");
        }
        let banned = Allowed::parse(&["AGPL-3.0-only", "LicenseRef-*"]).unwrap();
        for (licence, wanted) in [
            ("MIT", true),
            ("AGPL-3.0-only", false),
            ("MIT OR AGPL-3.0-only", true),
            ("MIT AND AGPL-3.0-only", false),
            ("LicenseRef-unfree", false),
        ] {
            assert_eq!(banned.can_be_avoided(licence), Ok(wanted), "{licence}");
        }
    }

    #[test]
    fn freedom() {
        assert_eq!(is_free("GPL-2.0-or-later"), Ok(true));
        assert_eq!(is_free("GPL-2.0+"), Ok(true));
        assert_eq!(is_free("LicenseRef-nixpkgs-unfree"), Ok(false));
        assert_eq!(is_free("MIT AND LicenseRef-nixpkgs-unfree"), Ok(false));
    }

    #[test]
    fn what_is_no_expression_has_no_answer() {
        let allowed = Allowed::parse(&["MIT"]).unwrap();
        for bad in ["", "NOASSERTION", "NONE", "MTI", "MIT OR", "MIT/Apache-2.0", "mit license"] {
            assert!(allowed.covers(bad).is_err(), "{bad}");
            assert!(allowed.can_be_avoided(bad).is_err(), "{bad}");
            assert!(is_free(bad).is_err(), "{bad}");
        }
        assert!(Allowed::parse(&["MIT OR Apache-2.0"]).is_err());
        assert!(allowed.covers(&"(".repeat(MAX_LEN)).is_err());
    }
}
