//! All rules, each with the page that explains it (`docs/checks/<id>.md`).

use super::Rule;
use super::baseline;
use super::cache::rules as cache;
use super::inspect::rules as inspect;
use super::lock::evidence_rules as evidence;
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
    entry!(evidence::AMBIGUOUS_REF, "ambiguous-ref"),
    entry!(inspect::BAD_ATTRIBUTE, "bad-attribute"),
    entry!(evidence::BAD_SIGNATURE, "bad-signature"),
    entry!(cache::CHANGING_ANSWER, "changing-answer"),
    entry!(cache::CLAIMS_CONFLICT, "claims-conflict"),
    entry!(cache::CLOSURE_HOLE, "closure-hole"),
    entry!(evidence::COMMIT_TIME_MISMATCH, "commit-time-mismatch"),
    entry!(cache::CONFLICTING_FIELDS, "conflicting-fields"),
    entry!(cache::DOUBLED_FIELD, "doubled-field"),
    entry!(inspect::DUPLICATE_KEY, "duplicate-key"),
    entry!(cache::FILE_MISMATCH, "file-mismatch"),
    entry!(rebuild::FIXED_OUTPUT_MISMATCH, "fixed-output-mismatch"),
    entry!(rebuild::FOREIGN_NARINFO, "foreign-narinfo"),
    entry!(cache::FOREIGN_STORE_DIRECTORY, "foreign-store-directory"),
    entry!(rebuild::FORGED_SIGNATURE, "forged-signature"),
    entry!(evidence::IMPOSTOR_COMMIT, "impostor-commit"),
    entry!(cache::LOCAL_STORE_DIFFERS, "local-store-differs"),
    entry!(rebuild::MALFORMED_DERIVATION, "malformed-derivation"),
    entry!(inspect::MALFORMED_LOCK, "malformed-lock"),
    entry!(inspect::MALFORMED_NAR, "malformed-nar"),
    entry!(rebuild::MALFORMED_NARINFO, "malformed-narinfo"),
    entry!(rebuild::MALFORMED_REALISATION, "malformed-realisation"),
    entry!(cache::MALFORMED_REGISTRATION, "malformed-registration"),
    entry!(cache::MISSING_NAR, "missing-nar"),
    entry!(cache::MISSING_PATH, "missing-path"),
    entry!(evidence::MISSING_SIGNER, "missing-signer"),
    entry!(cache::MIXED_OUTPUTS, "mixed-outputs"),
    entry!(rebuild::MIXED_SIBLINGS, "mixed-siblings"),
    entry!(cache::MODIFIED_PATH, "modified-path"),
    entry!(evidence::NAR_HASH_NOT_OF_REV, "nar-hash-not-of-rev"),
    entry!(rebuild::NAR_MISMATCH, "nar-mismatch"),
    entry!(inspect::NARS_DIFFER, "nars-differ"),
    entry!(rebuild::OUTPUT_DIFFERS, "output-differs"),
    entry!(cache::REALISATIONS_DISAGREE, "realisations-disagree"),
    entry!(cache::REFERENCES_MISMATCH, "references-mismatch"),
    entry!(baseline::REGRESSION, "regression"),
    entry!(evidence::REV_COUNT_MISMATCH, "rev-count-mismatch"),
    entry!(evidence::REV_NOT_DESCENDANT, "rev-not-descendant"),
    entry!(evidence::REV_NOT_FOUND, "rev-not-found"),
    entry!(evidence::REV_OFF_BRANCH, "rev-off-branch"),
    entry!(evidence::SERVICE_SIGNATURE, "service-signature"),
    entry!(evidence::SIGNER_CHANGED, "signer-changed"),
    entry!(cache::TOO_FEW_OPERATORS, "too-few-operators"),
    entry!(evidence::UNKNOWN_SIGNER, "unknown-signer"),
    entry!(cache::UNREGISTERED_PATH, "unregistered-path"),
    entry!(evidence::UNSIGNED_COMMIT, "unsigned-commit"),
    entry!(rebuild::UNSORTED_REFERENCES, "unsorted-references"),
    entry!(cache::UNTRUSTED_CLAIM_DIFFERS, "untrusted-claim-differs"),
    entry!(inspect::URL_OUTSIDE_CACHE, "url-outside-cache"),
    entry!(evidence::VOID_SIGNATURE, "void-signature"),
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
        let known: BTreeSet<&str> = rebuild::ALL
            .iter()
            .chain(&inspect::ALL)
            .chain(&cache::ALL)
            .chain(&evidence::ALL)
            .chain([&&baseline::REGRESSION])
            .map(|rule| rule.id)
            .collect();
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
