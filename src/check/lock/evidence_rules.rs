//! The rules over what git says about pins, each with a page in `docs/checks/`.

use crate::check::{Level, Rule};

/// `narHash` is of something else than the commit.
pub static NAR_HASH_NOT_OF_REV: Rule = Rule {
    id: "nar-hash-not-of-rev",
    level: Level::Error,
    summary: "narHash is not the hash of what the locked commit holds",
    remedy: "lock the input again (nix flake update INPUT) and find out who wrote the hash: Nix uses what narHash names, whatever rev says",
    page: page!("nar-hash-not-of-rev"),
};

/// `narHash` is of something else than what the URL serves.
pub static NAR_HASH_NOT_OF_URL: Rule = Rule {
    id: "nar-hash-not-of-url",
    level: Level::Error,
    summary: "narHash is not the hash of what the locked URL serves",
    remedy: "lock the input again (nix flake update INPUT) and find out whether the file or the hash was changed: Nix uses what narHash names, if a cache or store has it",
    page: page!("nar-hash-not-of-url"),
};

/// The commit is on no branch and no tag.
pub static IMPOSTOR_COMMIT: Rule = Rule {
    id: "impostor-commit",
    level: Level::Error,
    summary: "the locked commit is on no branch and no tag of its repository",
    remedy: "do not use it before somebody whom you trust vouches for it; lock a commit of a branch",
    page: page!("impostor-commit"),
};

/// The repository has no such commit.
pub static REV_NOT_FOUND: Rule = Rule {
    id: "rev-not-found",
    level: Level::Error,
    summary: "the repository has no commit of the locked id",
    remedy: "lock the input again; the lock cannot be followed without a cache",
    page: page!("rev-not-found"),
};

/// The commit is not on the branch or tag asked for.
pub static REV_OFF_BRANCH: Rule = Rule {
    id: "rev-off-branch",
    level: Level::Warning,
    summary: "the locked commit is not on the branch or tag that the flake asks for",
    remedy: "lock the input again, or name in flake.nix what is really wanted",
    page: page!("rev-off-branch"),
};

/// A branch and a tag of one name.
pub static AMBIGUOUS_REF: Rule = Rule {
    id: "ambiguous-ref",
    level: Level::Warning,
    summary: "the ref asked for is both a branch and a tag, and they lead to different commits",
    remedy: "write the full name in flake.nix: refs/heads/NAME or refs/tags/NAME",
    page: page!("ambiguous-ref"),
};

/// `lastModified` is not the commit's time.
pub static COMMIT_TIME_MISMATCH: Rule = Rule {
    id: "commit-time-mismatch",
    level: Level::Warning,
    summary: "lastModified is not the time of the locked commit",
    remedy: "lock the input again: rev and lastModified were not written together",
    page: page!("commit-time-mismatch"),
};

/// `revCount` is not the number of commits.
pub static REV_COUNT_MISMATCH: Rule = Rule {
    id: "rev-count-mismatch",
    level: Level::Warning,
    summary: "revCount is not the number of commits up to the locked one",
    remedy: "lock the input again: rev and revCount were not written together",
    page: page!("rev-count-mismatch"),
};

/// The new commit does not descend from the old one.
pub static REV_NOT_DESCENDANT: Rule = Rule {
    id: "rev-not-descendant",
    level: Level::Warning,
    summary: "the new commit does not descend from the one it replaces",
    remedy: "look at what was taken back, and why; a rewritten branch or a downgrade can hide a change",
    page: page!("rev-not-descendant"),
};

/// A signature that does not verify.
pub static BAD_SIGNATURE: Rule = Rule {
    id: "bad-signature",
    level: Level::Error,
    summary: "the signature of the locked commit or tag does not verify",
    remedy: "do not use the commit; ask whose key it names",
    page: page!("bad-signature"),
};

/// A required signer did not sign.
pub static MISSING_SIGNER: Rule = Rule {
    id: "missing-signer",
    level: Level::Error,
    summary: "no signer that is required signed the locked commit or its tag",
    remedy: "lock a commit that a required signer signed, or change who is required in the configuration",
    page: page!("missing-signer"),
};

/// A signature by a key that may not sign any more.
pub static VOID_SIGNATURE: Rule = Rule {
    id: "void-signature",
    level: Level::Warning,
    summary: "the locked commit is signed by a key that is expired, revoked or not for git",
    remedy: "ask the signer for a current key; a revoked one may be in other hands",
    page: page!("void-signature"),
};

/// A signature by a key that nobody named.
pub static UNKNOWN_SIGNER: Rule = Rule {
    id: "unknown-signer",
    level: Level::Note,
    summary: "the locked commit is signed by a key that nobody named",
    remedy: "if you know whose it is, add it to --allowed-signers or --keyring",
    page: page!("unknown-signer"),
};

/// No signature.
pub static UNSIGNED_COMMIT: Rule = Rule {
    id: "unsigned-commit",
    level: Level::Note,
    summary: "the locked commit is not signed",
    remedy: "nothing, unless its authors sign their commits; then find out why this one is not",
    page: page!("unsigned-commit"),
};

/// A signature by the hosting service itself.
pub static SERVICE_SIGNATURE: Rule = Rule {
    id: "service-signature",
    level: Level::Note,
    summary: "the locked commit is signed by the hosting service, not by a person",
    remedy: "nothing: it shows that the service made the commit, not who asked it to",
    page: page!("service-signature"),
};

/// Another signer than before.
pub static SIGNER_CHANGED: Rule = Rule {
    id: "signer-changed",
    level: Level::Warning,
    summary: "the new commit is signed by somebody else than the old one, or by nobody",
    remedy: "find out whether the new signer may release this input",
    page: page!("signer-changed"),
};

/// All of them.
pub static ALL: [&Rule; 16] = [
    &AMBIGUOUS_REF,
    &BAD_SIGNATURE,
    &COMMIT_TIME_MISMATCH,
    &IMPOSTOR_COMMIT,
    &MISSING_SIGNER,
    &NAR_HASH_NOT_OF_REV,
    &NAR_HASH_NOT_OF_URL,
    &REV_COUNT_MISMATCH,
    &REV_NOT_DESCENDANT,
    &REV_NOT_FOUND,
    &REV_OFF_BRANCH,
    &SERVICE_SIGNATURE,
    &SIGNER_CHANGED,
    &UNKNOWN_SIGNER,
    &UNSIGNED_COMMIT,
    &VOID_SIGNATURE,
];
