//! Does it come over a connection that nobody can change?

use crate::check::lock::audit::{Audit, Input};
use crate::check::{Finding, Level, Rule};

/// A scheme without authentication.
pub static RULE: Rule = Rule {
    id: "insecure-scheme",
    level: Level::Error,
    summary: "an input is fetched over a connection that anybody on the way can change",
    remedy: "use https or ssh in flake.nix, then lock the input again",
    page: page!("insecure-scheme"),
};

/// Schemes without encryption or authentication of the server.
const INSECURE: [&str; 5] = ["http", "git", "ftp", "svn", "rsync"];

/// The scheme of a reference, if it is insecure.
pub(in crate::check::lock) fn scheme<'l>(
    of: crate::nix::flake_ref::FlakeRef<'l>,
) -> Option<&'l str> {
    let scheme = of.url()?.scheme;
    INSECURE.iter().any(|bad| scheme.eq_ignore_ascii_case(bad)).then_some(scheme)
}

pub(super) fn check(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) {
    let (finding, place) = if let Some(scheme) = scheme(input.locked) {
        let message =
            format!("{} is fetched over {scheme}, which is not authenticated", input.locked.show());
        (input.finding(&RULE, message), audit.at_locked(input, "url"))
    } else if let Some(scheme) = scheme(input.original) {
        let message = format!(
            "the next update asks {} over {scheme}, which is not authenticated",
            input.original.show()
        );
        (input.finding(&RULE, message).weighed(Level::Warning), audit.at_original(input, "url"))
    } else {
        return;
    };
    found.push(finding.located(place));
}
