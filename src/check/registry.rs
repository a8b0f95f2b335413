//! All rules of all commands.

use std::sync::LazyLock;

use super::Rule;
use super::attest;
use super::baseline;
use super::cache::rules as cache;
use super::doctor;
use super::inspect::rules as inspect;
use super::lock;
use super::lock::evidence_rules as evidence;
use super::policy;
use super::rebuild::rules as rebuild;
use super::sbom::rules as sbom;

/// Every rule of every command, sorted by id.
pub static RULES: LazyLock<Vec<&'static Rule>> = LazyLock::new(|| {
    let mut rules: Vec<&'static Rule> = rebuild::ALL
        .iter()
        .chain(&inspect::ALL)
        .chain(&cache::ALL)
        .chain(&attest::ALL)
        .chain(&policy::ALL)
        .chain(&evidence::ALL)
        .chain(&sbom::ALL)
        .chain([&&baseline::REGRESSION, &&doctor::MACHINE_LACKS, &&doctor::MACHINE_LIMITED])
        .copied()
        .chain(lock::rules())
        .collect();
    rules.sort_by_key(|rule| rule.id);
    rules
});

/// The rule of that id.
#[must_use]
pub fn rule(id: &str) -> Option<&'static Rule> {
    let at = RULES.binary_search_by_key(&id, |rule| rule.id).ok()?;
    RULES.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_its_page_and_every_page_its_rule() {
        let ids: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        let mut pages: Vec<String> =
            std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/checks"))
                .unwrap()
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .collect();
        pages.sort();
        let mut wanted: Vec<String> = ids.iter().map(|id| format!("{id}.md")).collect();
        wanted.sort();
        assert_eq!(pages, wanted);
        for &Rule { id, level, page, .. } in RULES.iter().copied() {
            assert!(page.starts_with(&format!("# {id}\n")), "{id}");
            assert!(page.contains(&format!("\nLevel: {level} · Commands: ")), "{id}");
            for heading in ["What", "Why it matters", "Evidence", "What to do"] {
                assert!(page.contains(&format!("\n## {heading}\n")), "{id}: {heading}");
            }
            assert_eq!(rule(id).map(|found| found.id), Some(id));
        }
        assert_eq!(rule("no-such-rule"), None);
    }
}
