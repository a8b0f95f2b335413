//! Does anybody still mend the branch it follows?

use crate::check::lock::audit::{Audit, Input};
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_ref::FlakeRef;

/// A branch of a release whose support has ended.
pub static RULE: Rule = Rule {
    id: "end-of-life-branch",
    level: Level::Warning,
    summary: "an input follows a release that gets no security fixes any more",
    remedy: "move flake.nix to a supported release and lock the input again",
    page: page!("end-of-life-branch"),
};

pub(super) fn check(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) {
    let asks = |of: FlakeRef<'_>| -> Option<(String, crate::nix::time::Timestamp)> {
        if of.kind() == "indirect" {
            let known = audit.tables.repository(of.text("id")?)?;
            let (release, date) = audit.tables.release_of(of.git_ref()?)?;
            return known.follows_releases.then(|| (release.to_owned(), date));
        }
        if matches!(of.kind(), "tarball" | "file") {
            return of_archive(of, audit);
        }
        let (_, repo) = of.owner_and_repo()?;
        let known = audit.tables.repository(repo)?;
        let (release, date) = audit.tables.release_of(of.git_ref()?)?;
        known.follows_releases.then(|| (release.to_owned(), date))
    };
    let (of, place) = match (asks(input.original), asks(input.locked)) {
        (Some(of), _) if input.original.text("ref").is_some() => {
            (of, audit.at_original(input, "ref"))
        }
        (Some(of), _) => (of, audit.at_original(input, "url")),
        (None, Some(of)) => (of, audit.at_locked(input, "ref")),
        (None, None) => return,
    };
    let (release, end) = of;
    if audit.now <= end.seconds() {
        return;
    }
    let message = format!("follows release {release}, whose support ended on {}", end.date());
    found.push(input.finding(&RULE, message).located(place));
}

/// Channels of NixOS, and FlakeHub's versions of nixpkgs.
fn of_archive(
    of: FlakeRef<'_>,
    audit: &Audit<'_>,
) -> Option<(String, crate::nix::time::Timestamp)> {
    let url = of.url()?;
    let host = url.host.to_ascii_lowercase();
    if host.ends_with("nixos.org") {
        return url.segments().find_map(|part| {
            let (release, date) = audit.tables.release_of(part)?;
            Some((release.to_owned(), date))
        });
    }
    if host.ends_with("flakehub.com") {
        let (_, repo) = of.owner_and_repo()?;
        audit.tables.repository(repo).filter(|known| known.follows_releases)?;
        return url.segments().find_map(|part| audit.tables.release_of_version(part));
    }
    None
}
