//! Does the lock keep to what `original` itself pins?

use crate::check::lock::audit::{Audit, Input, decode};
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_secrets::brief;

/// `original` pins something that `locked` does not have.
pub static RULE: Rule = Rule {
    id: "pin-mismatch",
    level: Level::Error,
    summary: "flake.nix pins a revision, hash or branch and the lock has another",
    remedy: "find out which of the two is meant and lock the input again; a bot that edits revisions as text leaves this behind",
    page: page!("pin-mismatch"),
};

pub(super) fn check(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) {
    let mut differs = |attribute: &str, asked: &str, got: &str| {
        let message =
            format!("flake.nix pins {attribute} {}, the lock has {}", brief(asked), brief(got));
        found.push(
            input
                .finding(&RULE, message)
                .located(audit.at_both(input, attribute))
                .with(format!("original {attribute}"), brief(asked))
                .with(format!("locked {attribute}"), brief(got))
                .mended_by(input.update()),
        );
    };
    if let Some(asked) = input.original.rev() {
        match input.locked.rev() {
            Some(got) if got.eq_ignore_ascii_case(asked) => {}
            Some(got) => differs("rev", asked, got),
            // Tarballs need none; what lacks one otherwise is unlocked.
            None if matches!(input.locked.kind(), "tarball" | "file") => {}
            None => differs("rev", asked, "none"),
        }
    }
    if let Some(asked) = input.original.text("narHash") {
        let got = input.locked.text("narHash").unwrap_or("none");
        let same = decode(asked).is_ok_and(|hash| input.good_nar_hash() == Some(&hash));
        if !same {
            differs("narHash", asked, got);
        }
    }
    if let (Some(asked), Some(got)) = (input.original.git_ref(), input.locked.git_ref()) {
        let name = |text: &str| text.strip_prefix("refs/heads/").unwrap_or(text).to_owned();
        if input.original.kind() != "indirect" && name(asked) != name(got) {
            differs("ref", asked, got);
        }
    }
}
