//! The rules of `verify rebuild`, each with a page in `docs/checks/`.

use super::claim::Claim;
use crate::check::{Finding, Level, Rule};

/// A trusted claim names other content than we built.
pub static OUTPUT_DIFFERS: Rule = Rule {
    id: "output-differs",
    level: Level::Error,
    summary: "the rebuilt output is not what a trusted cache claims",
    remedy: "compare the two outputs; until the cause is known treat the cached one as unverified",
    page: page!("output-differs"),
};

/// A signature under a trusted name does not verify.
pub static FORGED_SIGNATURE: Rule = Rule {
    id: "forged-signature",
    level: Level::Error,
    summary: "a signature under a trusted key's name is bad",
    remedy: "do not use this cache until its operator explains it; check that the trusted key is the published one",
    page: page!("forged-signature"),
};

/// A narinfo that breaks the format.
pub static MALFORMED_NARINFO: Rule = Rule {
    id: "malformed-narinfo",
    level: Level::Error,
    summary: "a cache serves a narinfo that breaks the format",
    remedy: "report it to the cache's operator; it was not used",
    page: page!("malformed-narinfo"),
};

/// A realisation that breaks the format or is of another output.
pub static MALFORMED_REALISATION: Rule = Rule {
    id: "malformed-realisation",
    level: Level::Error,
    summary: "a cache serves a realisation that breaks the format or is of another output",
    remedy: "report it to the cache's operator; it was not used",
    page: page!("malformed-realisation"),
};

/// A cache answers with the narinfo of another path.
pub static FOREIGN_NARINFO: Rule = Rule {
    id: "foreign-narinfo",
    level: Level::Error,
    summary: "a cache answers for one store path with the narinfo of another",
    remedy: "do not use this cache until its operator explains it; the answer was not used",
    page: page!("foreign-narinfo"),
};

/// Content behind a narinfo is not what the narinfo says.
pub static NAR_MISMATCH: Rule = Rule {
    id: "nar-mismatch",
    level: Level::Error,
    summary: "a cache serves other bytes than its narinfo claims",
    remedy: "do not use this cache until its operator explains it; the bytes were not used",
    page: page!("nar-mismatch"),
};

/// References are not in the order that is signed.
pub static UNSORTED_REFERENCES: Rule = Rule {
    id: "unsorted-references",
    level: Level::Warning,
    summary: "a signature is good only over unsorted references, which Nix does not accept",
    remedy: "ask the cache's operator to sign the path again; the claim decides nothing",
    page: page!("unsorted-references"),
};

/// A `.drv` that is malformed or does not have the path it is stored under.
pub static MALFORMED_DERIVATION: Rule = Rule {
    id: "malformed-derivation",
    level: Level::Error,
    summary: "a derivation breaks the format or is not what its path says",
    remedy: "evaluate it again with Nix and compare; it was not built",
    page: page!("malformed-derivation"),
};

/// An output path in a `.drv` is not the one that follows from its inputs.
pub static WRONG_OUTPUT_PATH: Rule = Rule {
    id: "wrong-output-path",
    level: Level::Error,
    summary: "a derivation names an output path that does not follow from its content",
    remedy: "evaluate it again with Nix and compare; it was not built",
    page: page!("wrong-output-path"),
};

/// A fixed output's bytes do not have the hash its derivation fixes.
pub static FIXED_OUTPUT_MISMATCH: Rule = Rule {
    id: "fixed-output-mismatch",
    level: Level::Error,
    summary: "what was fetched or built does not have the hash that the derivation fixes",
    remedy: "compare the source with the one the hash was taken from; it was not used",
    page: page!("fixed-output-mismatch"),
};

/// Outputs of one derivation that no single build gives together.
pub static MIXED_SIBLINGS: Rule = Rule {
    id: "mixed-siblings",
    level: Level::Warning,
    summary: "the claimed outputs of one derivation need not come from one build, or cannot",
    remedy: "ask the cache's operator to build the derivation anew and to publish all outputs of that one build",
    page: page!("mixed-siblings"),
};

/// Builds of one derivation give different outputs.
pub static UNSTABLE_OUTPUT: Rule = Rule {
    id: "unstable-output",
    level: Level::Error,
    summary: "building the same derivation again gives another output",
    remedy: "find what the build takes from its surroundings (time, order, number of cores) and fix it; no comparison with a cache means anything before",
    page: page!("unstable-output"),
};

/// All rules of this command.
pub static ALL: [&Rule; 12] = [
    &OUTPUT_DIFFERS,
    &FORGED_SIGNATURE,
    &MALFORMED_NARINFO,
    &MALFORMED_REALISATION,
    &FOREIGN_NARINFO,
    &NAR_MISMATCH,
    &UNSORTED_REFERENCES,
    &MALFORMED_DERIVATION,
    &WRONG_OUTPUT_PATH,
    &FIXED_OUTPUT_MISMATCH,
    &MIXED_SIBLINGS,
    &UNSTABLE_OUTPUT,
];

/// The finding for a bad signature under a trusted name.
#[must_use]
pub fn forged(path: &str, claim: &Claim) -> Finding {
    let message = format!("{} serves a claim whose signature does not verify", claim.source);
    let mut finding = Finding::new(&FORGED_SIGNATURE, path, message)
        .with("key", claim.standing.keys().join(", "))
        .with("claimed StorePath", &claim.path);
    if let Some(claimed) = &claim.contents {
        finding = finding
            .with("claimed NarHash", claimed.nar_hash)
            .with("claimed NarSize", claimed.nar_size);
    }
    finding
}
