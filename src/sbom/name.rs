//! Names and versions, as nixpkgs means them.
//!
//! `builtins.parseDrvName` splits at the first dash that no letter follows
//! (`DrvName::DrvName` in Nix's `src/libstore/names.cc`). Derivations of
//! nixpkgs state `pname` and `version` themselves, which counts more.

use std::fmt::Write as _;

use crate::nix::derivation::{Derivation, OUT};

/// Longest name or version that is taken; the rest of hostile ones is cut.
const MAX_TEXT: usize = 512;

/// A name and, if there is one, a version.
pub type NameVersion = (String, Option<String>);

/// Splits the name of a package as Nix does.
#[must_use]
pub fn split(full: &str) -> NameVersion {
    let mut previous = None;
    for (at, character) in full.char_indices() {
        if previous == Some('-') && !character.is_ascii_alphabetic() {
            let name = full.get(..at.saturating_sub(1)).unwrap_or(full);
            return (name.to_owned(), full.get(at..).map(str::to_owned));
        }
        previous = Some(character);
    }
    (full.to_owned(), None)
}

/// Name and version of what a derivation makes. `full` is the name of the
/// derivation, without `.drv`.
#[must_use]
pub fn of(derivation: &Derivation, full: &str) -> NameVersion {
    let stated = |variable: &str| {
        derivation.variable(variable).filter(|value| !value.is_empty()).map(printable)
    };
    let (name, version) = split(full);
    match (stated("pname"), stated("version")) {
        (Some(name), Some(version)) => (name, Some(version)),
        (Some(stated), None) => {
            // The name behind it, as `pname-VERSION`.
            let rest = full.strip_prefix(&stated).and_then(|rest| rest.strip_prefix('-'));
            (stated, rest.map(str::to_owned).or(version))
        }
        // A version alone is what the name ends with.
        (None, Some(version)) => {
            let name = full.strip_suffix(&version).and_then(|name| name.strip_suffix('-'));
            (name.unwrap_or(full).to_owned(), Some(version))
        }
        (None, None) => (name, version),
    }
}

/// The output that a path with this name is, of a derivation with that name.
#[must_use]
pub fn output(path: &str, derivation: &str) -> Option<String> {
    match path.strip_prefix(derivation)? {
        "" => Some(OUT.to_owned()),
        rest => rest.strip_prefix('-').map(str::to_owned),
    }
}

/// Bytes from a derivation as text that any format can carry: what is no UTF-8
/// and every control character as an escape, bounded.
#[must_use]
pub fn printable(bytes: &[u8]) -> String {
    bounded(bytes, MAX_TEXT)
}

/// The same with a bound of one's own, in bytes; what is longer is cut and ends
/// in an ellipsis.
#[must_use]
pub fn bounded(bytes: &[u8], most: usize) -> String {
    let mut text = String::new();
    for character in String::from_utf8_lossy(bytes).chars() {
        if character.is_control() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\u{{{:x}}}", u32::from(character));
        } else {
            text.push(character);
        }
        if text.len() > most {
            text.push('…');
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_split_as_in_nix() {
        for (full, name, version) in [
            ("hello-2.12.1", "hello", Some("2.12.1")),
            ("gcc-wrapper-12.3.0", "gcc-wrapper", Some("12.3.0")),
            ("font-misc-misc-1.1.3", "font-misc-misc", Some("1.1.3")),
            ("source", "source", None),
            ("foo-bar", "foo-bar", None),
            ("foo-", "foo-", None),
            ("a--1", "a", Some("-1")),
            ("zlib-1.3-dev", "zlib", Some("1.3-dev")),
            ("", "", None),
        ] {
            assert_eq!(split(full), (name.to_owned(), version.map(str::to_owned)), "{full}");
        }
    }

    #[test]
    fn outputs_are_told_by_what_follows_the_name() {
        for (path, derivation, wanted) in [
            ("zlib-1.3", "zlib-1.3", Some("out")),
            ("zlib-1.3-dev", "zlib-1.3", Some("dev")),
            ("zlib-1.30", "zlib-1.3", None),
            ("other", "zlib-1.3", None),
        ] {
            assert_eq!(output(path, derivation).as_deref(), wanted, "{path}");
        }
    }

    #[test]
    fn what_no_format_can_carry_is_escaped() {
        assert_eq!(printable(b"a\x1b[31m\n"), "a\\u{1b}[31m\\u{a}");
        assert_eq!(printable(b"\xff"), "\u{fffd}");
        assert!(printable(&[b'x'; 10_000]).len() < 600);
    }
}
