//! All rules, each with the page that explains it (`docs/checks/<id>.md`).

use super::Rule;
use super::inspect::rules as inspect;
use super::rebuild::rules as rebuild;

/// A rule with its page.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The rule.
    pub rule: &'static Rule,
    /// Its page, in Markdown.
    pub page: &'static str,
}

macro_rules! entry {
    ($rule:expr, $id:literal) => {
        Entry { rule: &$rule, page: include_str!(concat!("../../docs/checks/", $id, ".md")) }
    };
}

/// Every rule of every command, sorted by id.
pub static RULES: &[Entry] = &[
    entry!(inspect::BAD_ATTRIBUTE, "bad-attribute"),
    entry!(inspect::DUPLICATE_KEY, "duplicate-key"),
    entry!(rebuild::FIXED_OUTPUT_MISMATCH, "fixed-output-mismatch"),
    entry!(rebuild::FOREIGN_NARINFO, "foreign-narinfo"),
    entry!(rebuild::FORGED_SIGNATURE, "forged-signature"),
    entry!(rebuild::MALFORMED_DERIVATION, "malformed-derivation"),
    entry!(inspect::MALFORMED_LOCK, "malformed-lock"),
    entry!(inspect::MALFORMED_NAR, "malformed-nar"),
    entry!(rebuild::MALFORMED_NARINFO, "malformed-narinfo"),
    entry!(rebuild::MALFORMED_REALISATION, "malformed-realisation"),
    entry!(rebuild::NAR_MISMATCH, "nar-mismatch"),
    entry!(rebuild::OUTPUT_DIFFERS, "output-differs"),
    entry!(rebuild::UNSORTED_REFERENCES, "unsorted-references"),
    entry!(inspect::URL_OUTSIDE_CACHE, "url-outside-cache"),
    entry!(inspect::WRONG_CONTENT_ADDRESS, "wrong-content-address"),
    entry!(rebuild::WRONG_OUTPUT_PATH, "wrong-output-path"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_rule_has_its_page_and_every_page_its_rule() {
        let ids: Vec<&str> = RULES.iter().map(|entry| entry.rule.id).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        let known: BTreeSet<&str> =
            rebuild::ALL.iter().chain(&inspect::ALL).map(|rule| rule.id).collect();
        assert_eq!(ids.iter().copied().collect::<BTreeSet<_>>(), known);
        let pages: BTreeSet<String> =
            std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/checks"))
                .unwrap()
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .collect();
        assert_eq!(pages, ids.iter().map(|id| format!("{id}.md")).collect());
        for entry in RULES {
            let (rule, page) = (entry.rule, entry.page);
            assert!(page.starts_with(&format!("# {}\n", rule.id)), "{}", rule.id);
            assert!(page.contains(&format!("\nLevel: {} · Commands: ", rule.level)), "{}", rule.id);
            for heading in ["What", "Why it matters", "Evidence", "What to do"] {
                assert!(page.contains(&format!("\n## {heading}\n")), "{}: {heading}", rule.id);
            }
        }
    }
}
