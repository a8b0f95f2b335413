//! The rules of `verify sbom`, each with a page in `docs/checks/`.

use crate::check::{Level, Rule};

/// A file that is no bill of materials.
pub static MALFORMED_SBOM: Rule = Rule {
    id: "malformed-sbom",
    level: Level::Error,
    summary: "a file is no bill of materials that can be read",
    remedy: "make it anew; nothing can be said about what it lists",
    page: page!("malformed-sbom"),
};

/// A bill of materials that its format's schema refuses.
pub static INVALID_SBOM: Rule = Rule {
    id: "invalid-sbom",
    level: Level::Error,
    summary: "a bill of materials breaks the schema of its format",
    remedy: "report it to the makers of the tool that wrote it; other readers may refuse it or skip what they do not understand",
    page: page!("invalid-sbom"),
};

/// A bill of materials that can be read in two ways.
pub static AMBIGUOUS_SBOM: Rule = Rule {
    id: "ambiguous-sbom",
    level: Level::Error,
    summary: "a bill of materials gives one name to two things, so it can be read in two ways",
    remedy: "remove the one that is wrong; readers disagree on which of two counts",
    page: page!("ambiguous-sbom"),
};

/// A reference that leads nowhere.
pub static DANGLING_REFERENCE: Rule = Rule {
    id: "dangling-reference",
    level: Level::Error,
    summary: "a bill of materials refers to something that it does not list",
    remedy: "list it, or take the reference out; a component may have been lost",
    page: page!("dangling-reference"),
};

/// A field that a profile asks for and that is not there.
pub static MISSING_FIELD: Rule = Rule {
    id: "missing-field",
    level: Level::Error,
    summary: "a field that the profile asks for is missing",
    remedy: "fill it where the document is made; docs/profiles says what counts",
    page: page!("missing-field"),
};

/// A field that a profile asks for and that says what does not count.
pub static UNUSABLE_FIELD: Rule = Rule {
    id: "unusable-field",
    level: Level::Error,
    summary: "a field that the profile asks for says what does not count",
    remedy: "correct it where the document is made; docs/profiles says what counts",
    page: page!("unusable-field"),
};

/// Two documents that do not say the same.
pub static DOCUMENTS_DIFFER: Rule = Rule {
    id: "documents-differ",
    level: Level::Note,
    summary: "two bills of materials do not list the same",
    remedy: "look at what was added, removed and changed; --fail-on note makes every difference count",
    page: page!("documents-differ"),
};

/// A component with another licence.
pub static LICENCE_CHANGED: Rule = Rule {
    id: "licence-changed",
    level: Level::Warning,
    summary: "a component has another licence than before",
    remedy: "see whether the new licence is one that may be used",
    page: page!("licence-changed"),
};

/// A component that was reproduced and is no longer.
pub static VERDICT_WORSE: Rule = Rule {
    id: "verdict-worse",
    level: Level::Error,
    summary: "a component was reproduced before and is no longer",
    remedy: "rebuild it: verify rebuild says in what it differs",
    page: page!("verdict-worse"),
};

/// A report that is about other bytes than a bill of materials.
pub static EVIDENCE_DIFFERS: Rule = Rule {
    id: "evidence-differs",
    level: Level::Error,
    summary: "evidence is about other bytes than the bill of materials",
    remedy: "find out which of the two is what you have; make the report or the bill anew from the same source",
    page: page!("evidence-differs"),
};

/// Descriptions that fit nothing.
pub static UNMATCHED_META: Rule = Rule {
    id: "unmatched-meta",
    level: Level::Error,
    summary: "descriptions were given that describe none of the components",
    remedy: "make them from the nixpkgs that the components were built from (nix-env -f . -qa --json --meta --out-path)",
    page: page!("unmatched-meta"),
};

/// All of them.
pub static ALL: [&Rule; 11] = [
    &AMBIGUOUS_SBOM,
    &DANGLING_REFERENCE,
    &DOCUMENTS_DIFFER,
    &EVIDENCE_DIFFERS,
    &INVALID_SBOM,
    &LICENCE_CHANGED,
    &MALFORMED_SBOM,
    &MISSING_FIELD,
    &UNMATCHED_META,
    &UNUSABLE_FIELD,
    &VERDICT_WORSE,
];
