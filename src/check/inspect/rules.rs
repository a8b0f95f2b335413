//! The rules of `verify inspect` that no other command has, each with a page
//! in `docs/checks/`.

use crate::check::{Level, Rule};

/// A NAR that breaks the format.
pub static MALFORMED_NAR: Rule = Rule {
    id: "malformed-nar",
    level: Level::Error,
    summary: "a NAR breaks the format",
    remedy: "do not unpack it; fetch it again, and report it to whoever serves it if it stays so",
    page: page!("malformed-nar"),
};

/// Two NARs that should be equal and are not.
pub static NARS_DIFFER: Rule = Rule {
    id: "nars-differ",
    level: Level::Error,
    summary: "two NARs are not equal",
    remedy: "look at what differs; a cause that is named is a guess",
    page: page!("nars-differ"),
};

/// A URL that leads out of the cache.
pub static URL_OUTSIDE_CACHE: Rule = Rule {
    id: "url-outside-cache",
    level: Level::Error,
    summary: "a narinfo sends its reader to a place outside the cache",
    remedy: "do not follow it; ask the cache's operator why it is there",
    page: page!("url-outside-cache"),
};

/// A content address that does not give the store path.
pub static WRONG_CONTENT_ADDRESS: Rule = Rule {
    id: "wrong-content-address",
    level: Level::Error,
    summary: "a narinfo's content address does not give its store path",
    remedy: "treat the path as not content-addressed; ask the cache's operator why it says so",
    page: page!("wrong-content-address"),
};

/// An attribute of a derivation that Nix does not understand.
pub static BAD_ATTRIBUTE: Rule = Rule {
    id: "bad-attribute",
    level: Level::Warning,
    summary: "a derivation has an attribute that Nix cannot understand; building it fails",
    remedy: "mend the expression it comes from",
    page: page!("bad-attribute"),
};

/// A lock file that breaks the format.
pub static MALFORMED_LOCK: Rule = Rule {
    id: "malformed-lock",
    level: Level::Error,
    summary: "a flake.lock breaks the format",
    remedy: "restore it from version control, or lock the flake again",
    page: page!("malformed-lock"),
};

/// A key that stands twice in a lock file.
pub static DUPLICATE_KEY: Rule = Rule {
    id: "duplicate-key",
    level: Level::Error,
    summary: "an object in a flake.lock names a key twice, so it can be read in two ways",
    remedy: "remove the one that is wrong; Nix takes the last",
    page: page!("duplicate-key"),
};

/// All rules of this command that no other command has.
pub static ALL: [&Rule; 7] = [
    &MALFORMED_NAR,
    &NARS_DIFFER,
    &URL_OUTSIDE_CACHE,
    &WRONG_CONTENT_ADDRESS,
    &BAD_ATTRIBUTE,
    &MALFORMED_LOCK,
    &DUPLICATE_KEY,
];
