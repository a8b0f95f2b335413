//! Closures as Nix lists them for builders: the file of `exportReferencesGraph`,
//! the registration that `nix-store --load-db` reads, and the graphs among
//! structured attributes (`makeValidityRegistration` and
//! `decodeValidPathInfo` in `src/libstore/store-api.cc`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::hash::{Hash, HashAlgorithm, NarHash};
use super::store_path::{StoreDir, StorePath};

/// Most paths of a listing.
pub const MAX_PATHS: usize = 1_000_000;

/// What a listing says about one path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// The hash of the NAR, and its size.
    pub nar: Option<(NarHash, u64)>,
    /// What made it, if the listing says so.
    pub deriver: Option<StorePath>,
    /// What it refers to.
    pub references: BTreeSet<StorePath>,
}

/// A listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The paths.
    pub paths: BTreeMap<StorePath, Listed>,
}

/// Why a text is no listing.
#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    /// A line that should be something else.
    #[error("line {line}: found '{found}' (expected {expected})")]
    Line {
        /// From 1.
        line: usize,
        /// What is there.
        found: String,
        /// What should be.
        expected: &'static str,
    },
    /// The text stops in the middle.
    #[error("it ends after line {0}, in the middle of an entry")]
    Ended(usize),
    /// No JSON.
    #[error("it is not valid JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON of another shape.
    #[error(
        "{0} (expected the graphs of exportReferencesGraph: lists of objects with path and references)"
    )]
    Shape(String),
    /// One path twice, with different facts.
    #[error("it lists {0} twice, with different facts")]
    Twice(StorePath),
    /// Too many paths.
    #[error("it lists more than {MAX_PATHS} paths")]
    TooMany,
    /// A reference that leads nowhere.
    #[error("it says that {path} refers to {reference}, which it does not list")]
    Hole {
        /// Who refers.
        path: StorePath,
        /// To what.
        reference: StorePath,
    },
    /// Every path is referred to by another.
    #[error(
        "it has no beginning, for each path in it is referred to by another: name the store path that it is the closure of as well"
    )]
    Cyclic,
}

impl Listing {
    /// Whether bytes look like a listing: a store path in the first line, or JSON
    /// that is no single value.
    #[must_use]
    pub fn is_likely(bytes: &[u8], store_dir: &StoreDir) -> bool {
        let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let first = std::str::from_utf8(first).unwrap_or_default();
        store_dir.parse(first).is_ok()
            || matches!(bytes.trim_ascii_start().first(), Some(b'[' | b'{'))
    }

    /// Reads a listing in any of its forms.
    ///
    /// # Errors
    /// Anything else, and a listing with a hole: a closure that is not closed
    /// is not what it says.
    pub fn parse(bytes: &[u8], store_dir: &StoreDir) -> Result<Self, ListingError> {
        let mut listing = Self::default();
        match bytes.trim_ascii_start().first() {
            Some(b'[' | b'{') => listing.read_json(bytes, store_dir)?,
            _ => listing.read_lines(bytes, store_dir)?,
        }
        for (path, listed) in &listing.paths {
            let missing = |reference: &&StorePath| !listing.paths.contains_key(*reference);
            if let Some(reference) = listed.references.iter().find(missing) {
                return Err(ListingError::Hole {
                    path: path.clone(),
                    reference: reference.clone(),
                });
            }
        }
        Ok(listing)
    }

    /// The paths that no other refers to: what it is the closure of.
    ///
    /// # Errors
    /// There is none, because of a cycle.
    pub fn roots(&self) -> Result<BTreeSet<StorePath>, ListingError> {
        let mut roots: BTreeSet<&StorePath> = self.paths.keys().collect();
        for (path, listed) in &self.paths {
            for reference in listed.references.iter().filter(|reference| *reference != path) {
                roots.remove(reference);
            }
        }
        if roots.is_empty() && !self.paths.is_empty() {
            return Err(ListingError::Cyclic);
        }
        Ok(roots.into_iter().cloned().collect())
    }

    fn insert(&mut self, path: StorePath, listed: Listed) -> Result<(), ListingError> {
        if self.paths.len() >= MAX_PATHS {
            return Err(ListingError::TooMany);
        }
        match self.paths.get(&path) {
            Some(known) if *known != listed => Err(ListingError::Twice(path)),
            Some(_) => Ok(()),
            None => {
                self.paths.insert(path, listed);
                Ok(())
            }
        }
    }

    fn read_lines(&mut self, bytes: &[u8], store_dir: &StoreDir) -> Result<(), ListingError> {
        let mut lines = Lines { rest: bytes, number: 0 };
        while let Some(first) = lines.next() {
            if first.is_empty() && lines.rest.is_empty() {
                break;
            }
            let path = lines.path(first, store_dir)?;
            let mut listed = Listed::default();
            let mut second = lines.more()?;
            // A registration has hash and size before the deriver.
            if second.len() == 64 && second.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                let hash = Hash::parse(second, Some(HashAlgorithm::Sha256)).ok();
                let hash = hash.as_ref().and_then(NarHash::from_sha256);
                let hash = hash.ok_or_else(|| lines.unlike(second, "a SHA-256 in base 16"))?;
                let size = lines.more()?;
                let size = size.parse().map_err(|_| lines.unlike(size, "a size in bytes"))?;
                listed.nar = Some((hash, size));
                second = lines.more()?;
            }
            if !second.is_empty() {
                listed.deriver = Some(lines.path(second, store_dir)?);
            }
            let count = lines.more()?;
            let count: usize =
                count.parse().map_err(|_| lines.unlike(count, "a number of references"))?;
            for _ in 0..count {
                let reference = lines.more()?;
                listed.references.insert(lines.path(reference, store_dir)?);
            }
            self.insert(path, listed)?;
        }
        Ok(())
    }

    fn read_json(&mut self, bytes: &[u8], store_dir: &StoreDir) -> Result<(), ListingError> {
        let value: Value = serde_json::from_slice(bytes)?;
        let graphs: Vec<&Value> = match &value {
            Value::Array(_) => vec![&value],
            // The file of structured attributes has other attributes too.
            Value::Object(all) => all.values().filter(|one| is_graph(one)).collect(),
            _ => Vec::new(),
        };
        if graphs.is_empty() {
            return Err(ListingError::Shape("it has no such list".to_owned()));
        }
        for node in graphs.into_iter().filter_map(Value::as_array).flatten() {
            let path = |value: &Value| {
                let text = value.as_str().unwrap_or_default();
                store_dir.parse(text).map_err(|error| {
                    ListingError::Shape(format!("'{}': {error}", text.escape_debug()))
                })
            };
            let field = |name: &str| {
                node.get(name).ok_or_else(|| ListingError::Shape(format!("there is no '{name}'")))
            };
            let mut listed = Listed::default();
            let references = field("references")?.as_array();
            let references = references
                .ok_or_else(|| ListingError::Shape("'references' is no list".to_owned()))?;
            for reference in references {
                listed.references.insert(path(reference)?);
            }
            if let (Some(hash), Some(size)) = (node.get("narHash"), node.get("narSize")) {
                let hash = hash.as_str().and_then(|text| NarHash::parse(text).ok());
                let nar = hash.zip(size.as_u64());
                listed.nar = Some(nar.ok_or_else(|| {
                    ListingError::Shape("'narHash' or 'narSize' is none".to_owned())
                })?);
            }
            self.insert(path(field("path")?)?, listed)?;
        }
        Ok(())
    }
}

fn is_graph(value: &Value) -> bool {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.first().is_some_and(|one| one.get("path").is_some() && one.get("references").is_some())
}

/// The lines of a text, counted.
struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    /// The next line, if there is one. What is no UTF-8 is no path either.
    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let (line, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest.get(1..).unwrap_or_default();
        self.number += 1;
        Some(std::str::from_utf8(line).unwrap_or("\u{fffd}"))
    }

    fn more(&mut self) -> Result<&'a str, ListingError> {
        self.next().ok_or(ListingError::Ended(self.number))
    }

    fn unlike(&self, found: &str, expected: &'static str) -> ListingError {
        let found = found.chars().take(120).collect::<String>().escape_debug().to_string();
        ListingError::Line { line: self.number, found, expected }
    }

    fn path(&self, text: &str, store_dir: &StoreDir) -> Result<StorePath, ListingError> {
        store_dir.parse(text).map_err(|_| self.unlike(text, "a store path"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a";
    const B: &str = "/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-b";

    fn parse(text: &str) -> Result<Listing, ListingError> {
        Listing::parse(text.as_bytes(), &StoreDir::default())
    }

    #[test]
    fn all_forms_say_the_same() {
        let hash = "0".repeat(64);
        let sri = NarHash::from_sha256(&Hash::parse(&hash, Some(HashAlgorithm::Sha256)).unwrap());
        let sri = sri.unwrap();
        let plain = parse(&format!("{A}\n\n2\n{A}\n{B}\n{B}\n\n0\n")).unwrap();
        let registered =
            parse(&format!("{A}\n{hash}\n7\n\n2\n{A}\n{B}\n{B}\n{hash}\n8\n\n0\n")).unwrap();
        let json = parse(&format!(
            r#"{{ "name": "x", "graph": [
                {{ "path": "{A}", "narHash": "{sri}", "narSize": 7, "references": ["{A}", "{B}"] }},
                {{ "path": "{B}", "narHash": "{sri}", "narSize": 8, "references": [], "valid": true }}
            ] }}"#
        ))
        .unwrap();
        assert_eq!(json, registered);
        let root: StorePath = StoreDir::default().parse(A).unwrap();
        for listing in [&plain, &registered, &json] {
            assert_eq!(listing.paths.len(), 2);
            assert_eq!(listing.roots().unwrap(), BTreeSet::from([root.clone()]));
        }
    }

    #[test]
    fn what_is_not_closed_or_has_no_beginning_is_refused() {
        for (text, says) in [
            (format!("{A}\n\n1\n{B}\n"), "does not list"),
            (format!("{A}\n\n2\n{A}\n"), "ends after line 4"),
            (format!("{A}\nx\n0\n"), "a store path"),
            (format!("{A}\n\nmany\n"), "number of references"),
            (format!("{A}\n\n0\n{A}\n{B}\n0\n"), "twice"),
            ("{\"a\": 1}".to_owned(), "no such list"),
            ("[{}]".to_owned(), "no 'references'"),
            ("[".to_owned(), "valid JSON"),
        ] {
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
        let cyclic = parse(&format!("{A}\n\n1\n{B}\n{B}\n\n1\n{A}\n")).unwrap();
        assert!(matches!(cyclic.roots(), Err(ListingError::Cyclic)));
        assert_eq!(parse("").unwrap().roots().unwrap(), BTreeSet::new());
    }
}
