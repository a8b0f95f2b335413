//! Does the lock pin the input at all, by Nix's own rule?

use crate::check::lock::audit::{Audit, Input};
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_ref::known_attributes;
use crate::nix::flake_secrets::brief;

/// An input that Nix calls unlocked.
pub static RULE: Rule = Rule {
    id: "unlocked-input",
    level: Level::Error,
    summary: "an input is not pinned: by Nix's own rule it is unlocked",
    remedy: "lock it to a commit: commit or push what it points to, then lock the input again",
    page: page!("unlocked-input"),
};

/// A type that Nix does not know.
pub static UNKNOWN_TYPE: Rule = Rule {
    id: "unknown-input-type",
    level: Level::Error,
    summary: "an input has a type that Nix does not know",
    remedy: "lock the input again with a current Nix",
    page: page!("unknown-input-type"),
};

pub(super) fn check(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) {
    let locked = input.locked;
    // Zeros, of either length, stand for no commit.
    let has_rev = locked.rev().is_some_and(|rev| !rev.bytes().all(|byte| byte == b'0'));
    let has_hash = locked.text("narHash").is_some();
    let lacks = match locked.kind() {
        "github" | "gitlab" | "sourcehut" | "git" | "hg" if !has_rev => "a revision",
        "tarball" | "file" if !has_hash => "a narHash",
        "path" if !has_hash && !locked.is_relative() => "a narHash",
        "indirect" => "a source: it asks the registry every time",
        "github" | "gitlab" | "sourcehut" | "git" | "hg" | "tarball" | "file" | "path" => return,
        "" => "a type",
        kind => {
            if known_attributes(kind).is_none() {
                let message = format!("'{}' is no type of input that Nix knows", brief(kind));
                found.push(
                    input
                        .finding(&UNKNOWN_TYPE, message)
                        .located(audit.at_locked(input, "type"))
                        .mended_by(input.update()),
                );
            }
            return;
        }
    };
    let rest = if has_hash {
        "; only its narHash holds it, so it cannot be fetched again once it is gone"
    } else {
        "; Nix fetches whatever is there"
    };
    found.push(
        input
            .finding(&RULE, format!("{} is locked without {lacks}{rest}", locked.show()))
            .located(audit.at_locked(input, "dirtyRev"))
            .mended_by(input.update()),
    );
}
