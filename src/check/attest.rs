//! The rules of `verify attest verify` and `verify gate`, each with a page in `docs/checks/`.

use super::{Level, Rule};

/// No envelope, or no statement behind a good signature.
pub static MALFORMED_ATTESTATION: Rule = Rule {
    id: "malformed-attestation",
    level: Level::Error,
    summary: "a file is no attestation, or a signed statement contradicts itself",
    remedy: "get the file again from who made it; do not rely on anything in it",
    page: page!("malformed-attestation"),
};

/// A signature under a trusted name does not verify.
pub static FORGED_ATTESTATION: Rule = Rule {
    id: "forged-attestation",
    level: Level::Error,
    summary: "an attestation's signature in a trusted key's name is bad",
    remedy: "do not rely on it; check that the trusted key is the published one, and ask its owner",
    page: page!("forged-attestation"),
};

/// Trusted statements contradict each other.
pub static ATTESTATIONS_DISAGREE: Rule = Rule {
    id: "attestations-disagree",
    level: Level::Error,
    summary: "trusted statements about one store object contradict each other",
    remedy: "build it again and compare; until the cause is known treat the object as unverified",
    page: page!("attestations-disagree"),
};

/// A trusted statement says that it failed.
pub static ATTESTED_FAILURE: Rule = Rule {
    id: "attested-failure",
    level: Level::Error,
    summary: "a trusted statement says that a check of this failed",
    remedy: "read the report behind the statement; do not use the object until the cause is known",
    page: page!("attested-failure"),
};

/// What is attested is something else than what is asked about.
pub static ATTESTED_OTHERWISE: Rule = Rule {
    id: "attested-otherwise",
    level: Level::Error,
    summary: "trusted statements attest another content than the one asked about",
    remedy: "do not use the object: what is at hand is not what was built and attested",
    page: page!("attested-otherwise"),
};

/// Evidence is about something else than what is to be activated.
pub static FOREIGN_EVIDENCE: Rule = Rule {
    id: "foreign-evidence",
    level: Level::Error,
    summary: "evidence is about something else than what is to be activated",
    remedy: "give the report or bill of materials of this very target, made again if the target has changed",
    page: page!("foreign-evidence"),
};

/// All of them.
pub static ALL: [&Rule; 6] = [
    &MALFORMED_ATTESTATION,
    &FORGED_ATTESTATION,
    &ATTESTATIONS_DISAGREE,
    &ATTESTED_FAILURE,
    &ATTESTED_OTHERWISE,
    &FOREIGN_EVIDENCE,
];
