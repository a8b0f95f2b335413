//! What reading the bytes behind a claim found, judged.

use std::collections::BTreeSet;

use super::rules::{FILE_MISMATCH, MISSING_NAR, MODIFIED_PATH, REFERENCES_MISMATCH};
use crate::check::Finding;
use crate::check::inspect::rules::{MALFORMED_NAR, URL_OUTSIDE_CACHE};
use crate::check::rebuild::rules::NAR_MISMATCH;
use crate::nix::hash::NarHash;
use crate::nix::path_info::PathInfo;
use crate::nix::store_path::{StoreDir, StorePath};

/// What sort of thing is wrong with a NAR in a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FlawKind {
    /// Its address leads out of the cache.
    Outside,
    /// It is not there.
    Missing,
    /// Its bytes are not those claimed.
    Bytes,
    /// It breaks the format.
    Malformed,
    /// The packed file is not as the unsigned fields say.
    File,
}

/// A NAR of a cache, read to its end or to where it went wrong.
#[derive(Debug, Clone, Default)]
pub struct NarRead {
    /// What is wrong with it, in words.
    pub flaws: Vec<(FlawKind, String)>,
    /// The hash and size of what it decompresses to, if that came to its end.
    pub nar: Option<(NarHash, u64)>,
    /// The store paths that were looked for and stand in it.
    pub references: BTreeSet<StorePath>,
}

/// Who claims what.
#[derive(Debug, Clone, Copy)]
pub struct Claimed<'a> {
    /// The facts that are claimed.
    pub facts: &'a PathInfo,
    /// Who says so.
    pub source: &'a str,
    /// The store directory.
    pub store_dir: &'a StoreDir,
}

impl Claimed<'_> {
    fn subject(&self) -> String {
        self.store_dir.full(&self.facts.path)
    }

    /// Everything that is wrong with a NAR: one finding for its bytes, one
    /// for the file around it, one for its references.
    #[must_use]
    pub fn nar(&self, read: &NarRead) -> Vec<Finding> {
        let of = |wanted: &[FlawKind]| -> Vec<&str> {
            let flaws = read.flaws.iter().filter(|(kind, _)| wanted.contains(kind));
            flaws.map(|(_, message)| message.as_str()).collect()
        };
        let right = read.nar == Some((self.facts.nar_hash, self.facts.nar_size));
        let bytes = of(&[FlawKind::Bytes, FlawKind::Malformed]);
        let file = of(&[FlawKind::File]);
        let source = self.source;
        let mut findings = Vec::new();
        if let Some(message) = of(&[FlawKind::Outside]).first() {
            let message = format!("the NAR of {source} was not fetched: {message}");
            findings.push(Finding::new(&URL_OUTSIDE_CACHE, self.subject(), message));
        }
        if let Some(message) = of(&[FlawKind::Missing]).first() {
            let message = format!("{source}: {message}");
            findings.push(Finding::new(&MISSING_NAR, self.subject(), message));
        }
        if !bytes.is_empty() {
            let (rule, what) = if right {
                (&MALFORMED_NAR, "what was signed, but no well-formed NAR")
            } else {
                (&NAR_MISMATCH, "other bytes than its narinfo claims")
            };
            let message = format!("{source} serves {what}: {}", bytes.join("; "));
            let mut finding = Finding::new(rule, self.subject(), message)
                .with("claimed NarHash", self.facts.nar_hash)
                .with("claimed NarSize", self.facts.nar_size);
            if let Some((hash, size)) = read.nar {
                finding = finding.with("found NarHash", hash).with("found NarSize", size);
            }
            for message in &file {
                finding = finding.with("packed file", message);
            }
            findings.push(finding);
        } else if !file.is_empty() {
            let message = format!("{source}: {}", file.join("; "));
            findings.push(Finding::new(&FILE_MISMATCH, self.subject(), message));
        }
        if right {
            findings.extend(self.references(&read.references));
        }
        findings
    }

    /// The bytes of an object of the local store against its database.
    #[must_use]
    pub fn object(&self, found: NarHash, size: u64) -> Option<Finding> {
        (found != self.facts.nar_hash || size != self.facts.nar_size).then(|| {
            let message =
                format!("the object in the {} is not what its database says", self.source);
            Finding::new(&MODIFIED_PATH, self.subject(), message)
                .with("registered NarHash", self.facts.nar_hash)
                .with("found NarHash", found)
                .with("registered NarSize", self.facts.nar_size)
                .with("found NarSize", size)
        })
    }

    /// An object of the local store that no NAR can hold.
    #[must_use]
    pub fn unfit(&self, why: &str) -> Finding {
        let message = format!("the object in the {} cannot be a store object: {why}", self.source);
        Finding::new(&MODIFIED_PATH, self.subject(), message)
            .with("registered NarHash", self.facts.nar_hash)
    }

    /// References in the bytes against those that are claimed. `found` are
    /// those of the paths looked for; all claimed ones were.
    #[must_use]
    pub fn references(&self, found: &BTreeSet<StorePath>) -> Option<Finding> {
        let claimed = &self.facts.references;
        let text = |paths: Vec<&StorePath>| {
            paths.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        let undeclared = text(found.difference(claimed).collect());
        let absent = text(claimed.difference(found).collect());
        let what = match (undeclared.is_empty(), absent.is_empty()) {
            (true, true) => return None,
            (false, true) => "hold references that are not declared",
            (true, false) => "do not hold references that are declared",
            (false, false) => "hold other references than are declared",
        };
        let message = format!("the bytes of {} {what}", self.source);
        let mut finding = Finding::new(&REFERENCES_MISMATCH, self.subject(), message);
        if !undeclared.is_empty() {
            finding = finding.with("in the bytes only", undeclared);
        }
        if !absent.is_empty() {
            finding = finding.with("declared only", absent);
        }
        Some(finding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(seed: u8) -> StorePath {
        StorePath::new([seed; 20], "x").unwrap()
    }

    fn rules(flaws: &[FlawKind], right: bool, found: &[u8]) -> Vec<&'static str> {
        let facts = PathInfo {
            path: path(0),
            nar_hash: NarHash::from_digest([1; 32]),
            nar_size: 96,
            references: BTreeSet::from([path(1), path(2)]),
        };
        let read = NarRead {
            flaws: flaws.iter().map(|kind| (*kind, "it is wrong".to_owned())).collect(),
            nar: Some((NarHash::from_digest([if right { 1 } else { 2 }; 32]), 96)),
            references: found.iter().map(|seed| path(*seed)).collect(),
        };
        let store_dir = StoreDir::default();
        let claimed = Claimed { facts: &facts, source: "file:///c", store_dir: &store_dir };
        claimed.nar(&read).iter().map(|finding| finding.rule.id).collect()
    }

    #[test]
    fn each_flaw_has_its_rule() {
        use FlawKind::*;
        let none: [&str; 0] = [];
        assert_eq!(rules(&[], true, &[1, 2]), none);
        assert_eq!(rules(&[Outside], false, &[]), ["url-outside-cache"]);
        assert_eq!(rules(&[Missing], false, &[]), ["missing-nar"]);
        assert_eq!(rules(&[Bytes, File], false, &[]), ["nar-mismatch"]);
        assert_eq!(rules(&[Malformed], false, &[]), ["nar-mismatch"]);
        assert_eq!(rules(&[Malformed], true, &[1, 2]), ["malformed-nar"]);
        assert_eq!(rules(&[File], true, &[1, 2]), ["file-mismatch"]);
        for found in [&[1][..], &[], &[1, 2, 0], &[0]] {
            assert_eq!(rules(&[], true, found), ["references-mismatch"], "{found:?}");
        }
    }
}
