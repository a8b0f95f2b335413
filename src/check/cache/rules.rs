//! The rules of `verify cache` that no other command has, each with a page in
//! `docs/checks/`.

use crate::check::{Level, Rule};

/// Trusted claims about one path differ.
pub static CLAIMS_CONFLICT: Rule = Rule {
    id: "claims-conflict",
    level: Level::Error,
    summary: "trusted keys have signed different contents for one store path",
    remedy: "find out which of the builds is right before you use the path; verify rebuild can tell",
    page: page!("claims-conflict"),
};

/// A claim without a trusted signature differs from a trusted one.
pub static UNTRUSTED_CLAIM_DIFFERS: Rule = Rule {
    id: "untrusted-claim-differs",
    level: Level::Warning,
    summary: "a cache claims other content than others do, without a trusted signature",
    remedy: "do not install the path from that cache; ask its operator where its build came from",
    page: page!("untrusted-claim-differs"),
};

/// The local store claims other content than a trusted signature covers.
pub static LOCAL_STORE_DIFFERS: Rule = Rule {
    id: "local-store-differs",
    level: Level::Error,
    summary: "the local store holds other content than a trusted key has signed",
    remedy: "if you did not build it yourself, replace it (nix store repair) and find out how it got there",
    page: page!("local-store-differs"),
};

/// The bytes in the local store are not what its database says.
pub static MODIFIED_PATH: Rule = Rule {
    id: "modified-path",
    level: Level::Error,
    summary: "an object in the local store is not what its database says",
    remedy: "replace it (nix store repair) and check the disk; it was changed after it was installed",
    page: page!("modified-path"),
};

/// The database knows an object that is not there.
pub static MISSING_PATH: Rule = Rule {
    id: "missing-path",
    level: Level::Error,
    summary: "the local store's database has a path whose object is gone",
    remedy: "fetch it again (nix store repair); something other than Nix has deleted it",
    page: page!("missing-path"),
};

/// An object is there that the database does not know.
pub static UNREGISTERED_PATH: Rule = Rule {
    id: "unregistered-path",
    level: Level::Warning,
    summary: "the local store holds an object that its database does not know",
    remedy: "collect garbage (nix store gc); if it comes back, find out who writes into the store",
    page: page!("unregistered-path"),
};

/// An entry of the local store's database that makes no sense.
pub static MALFORMED_REGISTRATION: Rule = Rule {
    id: "malformed-registration",
    level: Level::Error,
    summary: "an entry in the database of the local store makes no sense",
    remedy: "check the disk and restore the database from a backup, or fetch the path anew",
    page: page!("malformed-registration"),
};

/// A narinfo without its NAR.
pub static MISSING_NAR: Rule = Rule {
    id: "missing-nar",
    level: Level::Error,
    summary: "a cache has the narinfo of a path but not its NAR",
    remedy: "upload the path again or delete the narinfo; the path cannot be installed from there",
    page: page!("missing-nar"),
};

/// FileHash or FileSize is wrong although the NAR is right.
pub static FILE_MISMATCH: Rule = Rule {
    id: "file-mismatch",
    level: Level::Warning,
    summary: "the packed file is not what the unsigned FileHash or FileSize says",
    remedy: "have the cache write the narinfo anew; the NAR inside is what was signed",
    page: page!("file-mismatch"),
};

/// References in the bytes are others than claimed.
pub static REFERENCES_MISMATCH: Rule = Rule {
    id: "references-mismatch",
    level: Level::Warning,
    summary: "the references in the bytes are not those that are claimed",
    remedy: "rebuild the path: an undeclared reference may be deleted while it is needed",
    page: page!("references-mismatch"),
};

/// A narinfo gives a field twice.
pub static DOUBLED_FIELD: Rule = Rule {
    id: "doubled-field",
    level: Level::Error,
    summary: "a narinfo gives a field or reference twice, so that it can be read in two ways",
    remedy: "have the cache write the narinfo anew; it was not used",
    page: page!("doubled-field"),
};

/// Fields of a narinfo contradict each other.
pub static CONFLICTING_FIELDS: Rule = Rule {
    id: "conflicting-fields",
    level: Level::Warning,
    summary: "unsigned fields of a narinfo contradict each other",
    remedy: "have the cache write the narinfo anew; other clients may not be able to unpack the path",
    page: page!("conflicting-fields"),
};

/// A cache or narinfo of another store directory.
pub static FOREIGN_STORE_DIRECTORY: Rule = Rule {
    id: "foreign-store-directory",
    level: Level::Error,
    summary: "a cache or narinfo belongs to another store directory",
    remedy: "take that cache out of your configuration: its paths can never be used here",
    page: page!("foreign-store-directory"),
};

/// A cache answers otherwise when it is asked again.
pub static CHANGING_ANSWER: Rule = Rule {
    id: "changing-answer",
    level: Level::Error,
    summary: "a cache gave two different answers to one question",
    remedy: "find out whether the path was replaced just now or servers behind one name disagree",
    page: page!("changing-answer"),
};

/// Fewer operators than asked for attest a path.
pub static TOO_FEW_OPERATORS: Rule = Rule {
    id: "too-few-operators",
    level: Level::Error,
    summary: "fewer operators attest the content of a path than --min-agree asks for",
    remedy: "ask more caches, rebuild the path yourself (verify rebuild), or lower --min-agree",
    page: page!("too-few-operators"),
};

/// A reference that no source has.
pub static CLOSURE_HOLE: Rule = Rule {
    id: "closure-hole",
    level: Level::Warning,
    summary: "a path refers to another one that no source has",
    remedy: "add the cache that has it, or have the path built and uploaded again",
    page: page!("closure-hole"),
};

/// Realisations of one output differ.
pub static REALISATIONS_DISAGREE: Rule = Rule {
    id: "realisations-disagree",
    level: Level::Error,
    summary: "realisations of one output name different store paths",
    remedy: "the build is not reproducible, or somebody lies: rebuild it (verify rebuild)",
    page: page!("realisations-disagree"),
};

/// All rules of this command that no other command has.
pub static ALL: [&Rule; 17] = [
    &CLAIMS_CONFLICT,
    &UNTRUSTED_CLAIM_DIFFERS,
    &LOCAL_STORE_DIFFERS,
    &MODIFIED_PATH,
    &MISSING_PATH,
    &UNREGISTERED_PATH,
    &MALFORMED_REGISTRATION,
    &MISSING_NAR,
    &FILE_MISMATCH,
    &REFERENCES_MISMATCH,
    &DOUBLED_FIELD,
    &CONFLICTING_FIELDS,
    &FOREIGN_STORE_DIRECTORY,
    &CHANGING_ANSWER,
    &TOO_FEW_OPERATORS,
    &CLOSURE_HOLE,
    &REALISATIONS_DISAGREE,
];
