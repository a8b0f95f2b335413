//! What stays the same about a finding when lines move: for programs that
//! track findings from run to run.

use std::collections::BTreeMap;

use crate::check::Finding;
use crate::nix::hash::{Hash, HashAlgorithm};

/// Digits of base-16 that are kept: 128 bits.
const LENGTH: usize = 32;

/// A fingerprint for each finding, in their order: of the rule, the file and
/// the subject, and of the number among findings that share these.
#[must_use]
pub fn of(command: &str, findings: &[Finding]) -> Vec<String> {
    let mut seen: BTreeMap<(&str, &str, &str), u32> = BTreeMap::new();
    findings
        .iter()
        .map(|finding| {
            let file = finding.location.as_ref().map_or("", |place| place.file.as_str());
            let key = (finding.rule.id, file, finding.subject.as_str());
            let number = seen.entry(key).or_default();
            *number += 1;
            digest(&[command, key.0, key.1, key.2, &number.to_string()])
        })
        .collect()
}

/// One of any parts.
#[must_use]
pub fn digest(parts: &[&str]) -> String {
    let mut text = String::new();
    for part in parts {
        text.push_str(part);
        text.push('\0');
    }
    let hash = Hash::of(HashAlgorithm::Sha256, text.as_bytes()).base16();
    hash.get(..LENGTH).unwrap_or(&hash).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Level, Rule, Source, Span};

    static RULE: Rule = Rule { id: "r", level: Level::Error, summary: "", remedy: "", page: "" };

    #[test]
    fn lines_do_not_matter_and_everybody_differs() {
        let source = Source::new("f", b"a\nb\n");
        let at = |start| Finding::new(&RULE, "s", "m").located(source.at(Span::new(start, start)));
        let (one, other) = (of("lock", &[at(0)]), of("lock", &[at(2)]));
        assert_eq!(one, other);
        let all = of(
            "lock",
            &[at(0), at(2), Finding::new(&RULE, "s", "m"), Finding::new(&RULE, "t", "m")],
        );
        let mut unique = all.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), 4, "{all:?}");
        assert_ne!(of("lock", &[at(0)]), of("cache", &[at(0)]));
    }
}
