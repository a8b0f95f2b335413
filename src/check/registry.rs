//! All rules, each with the page that explains it (`docs/checks/<id>.md`).

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
    entry!(sbom::AMBIGUOUS_SBOM, "ambiguous-sbom"),
    entry!(attest::ATTESTATIONS_DISAGREE, "attestations-disagree"),
    entry!(attest::ATTESTED_FAILURE, "attested-failure"),
    entry!(attest::ATTESTED_OTHERWISE, "attested-otherwise"),
    entry!(inspect::BAD_ATTRIBUTE, "bad-attribute"),
    entry!(evidence::BAD_SIGNATURE, "bad-signature"),
    entry!(policy::CASE_FAILED, "case-failed"),
    entry!(cache::CHANGING_ANSWER, "changing-answer"),
    entry!(cache::CLAIMS_CONFLICT, "claims-conflict"),
    entry!(cache::CLOSURE_HOLE, "closure-hole"),
    entry!(evidence::COMMIT_TIME_MISMATCH, "commit-time-mismatch"),
    entry!(lock::suppress::CONFIG_NOT_USED, "config-not-used"),
    entry!(cache::CONFLICTING_FIELDS, "conflicting-fields"),
    entry!(policy::CONTRADICTORY_MATERIAL, "contradictory-material"),
    entry!(lock::alone::credentials_in_url::RULE, "credentials-in-url"),
    entry!(lock::alone::broken_graph::DANGLING_FOLLOWS, "dangling-follows"),
    entry!(sbom::DANGLING_REFERENCE, "dangling-reference"),
    entry!(lock::change::date_changed_same_rev::RULE, "date-changed-same-rev"),
    entry!(lock::alone::dirty_rev::RULE, "dirty-rev"),
    entry!(sbom::DOCUMENTS_DIFFER, "documents-differ"),
    entry!(cache::DOUBLED_FIELD, "doubled-field"),
    entry!(lock::change::downgrade::RULE, "downgrade"),
    entry!(lock::alone::duplicate_input::RULE, "duplicate-input"),
    entry!(inspect::DUPLICATE_KEY, "duplicate-key"),
    entry!(lock::alone::end_of_life_branch::RULE, "end-of-life-branch"),
    entry!(lock::alone::escaping_path::RULE, "escaping-path"),
    entry!(sbom::EVIDENCE_DIFFERS, "evidence-differs"),
    entry!(lock::suppress::EXPIRED_SUPPRESSION, "expired-suppression"),
    entry!(policy::EXPIRED_WAIVER, "expired-waiver"),
    entry!(cache::FILE_MISMATCH, "file-mismatch"),
    entry!(rebuild::FIXED_OUTPUT_MISMATCH, "fixed-output-mismatch"),
    entry!(lock::alone::broken_graph::FOLLOWS_CYCLE, "follows-cycle"),
    entry!(lock::change::follows_removed::RULE, "follows-removed"),
    entry!(attest::FOREIGN_EVIDENCE, "foreign-evidence"),
    entry!(rebuild::FOREIGN_NARINFO, "foreign-narinfo"),
    entry!(cache::FOREIGN_STORE_DIRECTORY, "foreign-store-directory"),
    entry!(attest::FORGED_ATTESTATION, "forged-attestation"),
    entry!(rebuild::FORGED_SIGNATURE, "forged-signature"),
    entry!(lock::alone::forked_input::RULE, "forked-input"),
    entry!(lock::change::hash_dropped::RULE, "hash-dropped"),
    entry!(lock::alone::hash_notation::RULE, "hash-notation"),
    entry!(lock::policy::HOST_NOT_ALLOWED, "host-not-allowed"),
    entry!(lock::alone::impossible_date::RULE, "impossible-date"),
    entry!(evidence::IMPOSTOR_COMMIT, "impostor-commit"),
    entry!(lock::alone::indirect_input::RULE, "indirect-input"),
    entry!(lock::alone::broken_graph::INPUT_CYCLE, "input-cycle"),
    entry!(lock::alone::insecure_scheme::RULE, "insecure-scheme"),
    entry!(sbom::INVALID_SBOM, "invalid-sbom"),
    entry!(sbom::LICENCE_CHANGED, "licence-changed"),
    entry!(lock::alone::local_input::RULE, "local-input"),
    entry!(cache::LOCAL_STORE_DIFFERS, "local-store-differs"),
    entry!(doctor::MACHINE_LACKS, "machine-lacks"),
    entry!(doctor::MACHINE_LIMITED, "machine-limited"),
    entry!(attest::MALFORMED_ATTESTATION, "malformed-attestation"),
    entry!(rebuild::MALFORMED_DERIVATION, "malformed-derivation"),
    entry!(inspect::MALFORMED_LOCK, "malformed-lock"),
    entry!(policy::MALFORMED_MATERIAL, "malformed-material"),
    entry!(inspect::MALFORMED_NAR, "malformed-nar"),
    entry!(rebuild::MALFORMED_NARINFO, "malformed-narinfo"),
    entry!(lock::alone::malformed_pin::RULE, "malformed-pin"),
    entry!(rebuild::MALFORMED_REALISATION, "malformed-realisation"),
    entry!(cache::MALFORMED_REGISTRATION, "malformed-registration"),
    entry!(sbom::MALFORMED_SBOM, "malformed-sbom"),
    entry!(policy::MISSING_EVIDENCE, "missing-evidence"),
    entry!(sbom::MISSING_FIELD, "missing-field"),
    entry!(cache::MISSING_NAR, "missing-nar"),
    entry!(lock::alone::missing_nar_hash::RULE, "missing-nar-hash"),
    entry!(lock::alone::broken_graph::MISSING_NODE, "missing-node"),
    entry!(cache::MISSING_PATH, "missing-path"),
    entry!(evidence::MISSING_SIGNER, "missing-signer"),
    entry!(rebuild::MIXED_SIBLINGS, "mixed-siblings"),
    entry!(cache::MODIFIED_PATH, "modified-path"),
    entry!(lock::alone::mutable_tarball::RULE, "mutable-tarball"),
    entry!(evidence::NAR_HASH_NOT_OF_REV, "nar-hash-not-of-rev"),
    entry!(evidence::NAR_HASH_NOT_OF_URL, "nar-hash-not-of-url"),
    entry!(rebuild::NAR_MISMATCH, "nar-mismatch"),
    entry!(lock::change::narhash_changed_same_rev::RULE, "narhash-changed-same-rev"),
    entry!(lock::change::narhash_not_updated::RULE, "narhash-not-updated"),
    entry!(inspect::NARS_DIFFER, "nars-differ"),
    entry!(lock::change::new_transitive_input::RULE, "new-transitive-input"),
    entry!(lock::change::newly_insecure::RULE, "newly-insecure"),
    entry!(lock::alone::one_hash_for_two_revs::RULE, "one-hash-for-two-revs"),
    entry!(lock::change::original_changed::RULE, "original-changed"),
    entry!(lock::alone::orphan_node::RULE, "orphan-node"),
    entry!(rebuild::OUTPUT_DIFFERS, "output-differs"),
    entry!(lock::policy::OWNER_NOT_ALLOWED, "owner-not-allowed"),
    entry!(lock::alone::pin_mismatch::RULE, "pin-mismatch"),
    entry!(policy::POLICY_DENIED, "policy-denied"),
    entry!(policy::POLICY_UNKNOWN, "policy-unknown"),
    entry!(cache::REALISATIONS_DISAGREE, "realisations-disagree"),
    entry!(lock::policy::REF_NOT_ALLOWED, "ref-not-allowed"),
    entry!(cache::REFERENCES_MISMATCH, "references-mismatch"),
    entry!(baseline::REGRESSION, "regression"),
    entry!(evidence::REV_COUNT_MISMATCH, "rev-count-mismatch"),
    entry!(evidence::REV_NOT_DESCENDANT, "rev-not-descendant"),
    entry!(evidence::REV_NOT_FOUND, "rev-not-found"),
    entry!(evidence::REV_OFF_BRANCH, "rev-off-branch"),
    entry!(lock::alone::rev_with_two_hashes::DATES, "rev-with-two-dates"),
    entry!(lock::alone::rev_with_two_hashes::RULE, "rev-with-two-hashes"),
    entry!(evidence::SERVICE_SIGNATURE, "service-signature"),
    entry!(evidence::SIGNER_CHANGED, "signer-changed"),
    entry!(lock::alone::source_mismatch::RULE, "source-mismatch"),
    entry!(lock::change::source_swapped::RULE, "source-swapped"),
    entry!(lock::alone::stale_input::RULE, "stale-input"),
    entry!(lock::alone::submodules::RULE, "submodules"),
    entry!(lock::alone::tarball_rev_mismatch::RULE, "tarball-rev-mismatch"),
    entry!(cache::TOO_FEW_OPERATORS, "too-few-operators"),
    entry!(policy::UNFINISHED_REPORT, "unfinished-report"),
    entry!(lock::alone::unknown_attribute::RULE, "unknown-attribute"),
    entry!(lock::alone::unlocked_input::UNKNOWN_TYPE, "unknown-input-type"),
    entry!(evidence::UNKNOWN_SIGNER, "unknown-signer"),
    entry!(lock::alone::unlocked_input::RULE, "unlocked-input"),
    entry!(sbom::UNMATCHED_META, "unmatched-meta"),
    entry!(cache::UNREGISTERED_PATH, "unregistered-path"),
    entry!(evidence::UNSIGNED_COMMIT, "unsigned-commit"),
    entry!(rebuild::UNSORTED_REFERENCES, "unsorted-references"),
    entry!(rebuild::UNSTABLE_OUTPUT, "unstable-output"),
    entry!(cache::UNTRUSTED_CLAIM_DIFFERS, "untrusted-claim-differs"),
    entry!(sbom::UNUSABLE_FIELD, "unusable-field"),
    entry!(lock::suppress::UNUSED_SUPPRESSION, "unused-suppression"),
    entry!(policy::UNUSED_WAIVER, "unused-waiver"),
    entry!(inspect::URL_OUTSIDE_CACHE, "url-outside-cache"),
    entry!(sbom::VERDICT_WORSE, "verdict-worse"),
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
            .chain(&attest::ALL)
            .chain(&policy::ALL)
            .chain(&evidence::ALL)
            .chain(&sbom::ALL)
            .chain([&&baseline::REGRESSION, &&doctor::MACHINE_LACKS, &&doctor::MACHINE_LIMITED])
            .copied()
            .chain(lock::rules())
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
