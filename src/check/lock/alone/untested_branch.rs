//! Has anybody tested what the branch of nixpkgs holds before it is followed?
//!
//! Hydra moves the channels `nixos-*` and `nixpkgs-*` only to commits whose
//! tests passed and whose packages are in the cache. Other branches of nixpkgs
//! move with every merge (nixpkgs, `CONTRIBUTING.md`, "Branches").

use crate::check::lock::audit::{Audit, Input};
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_ref::FlakeRef;
use crate::nix::flake_secrets::brief;

/// A branch of nixpkgs that moves before it is tested.
pub static RULE: Rule = Rule {
    id: "untested-branch",
    level: Level::Note,
    summary: "nixpkgs is followed on a branch that moves before anything on it is tested",
    remedy: "follow a channel in flake.nix, such as nixos-unstable or that of a release, and lock the input again",
    page: page!("untested-branch"),
};

pub(super) fn check(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) {
    let asked = input.original;
    // One that is asked for by revision follows nothing.
    if !is_nixpkgs(asked) || asked.rev().is_some() {
        return;
    }
    let (message, place) = match asked.git_ref() {
        Some(branch) if moves_untested(branch) => {
            (format!("follows the branch '{}'", brief(branch)), "ref")
        }
        Some(_) => return,
        None => ("names no branch, and so follows 'master'".to_owned(), "repo"),
    };
    let place = if asked.text(place).is_some() { place } else { "url" };
    found.push(input.finding(&RULE, message).located(audit.at_original(input, place)));
}

/// Whether it is nixpkgs itself, as a repository with branches.
fn is_nixpkgs(asked: FlakeRef<'_>) -> bool {
    let is = |owner: &str, repo: &str| {
        owner.eq_ignore_ascii_case("nixos") && repo.eq_ignore_ascii_case("nixpkgs")
    };
    matches!(asked.kind(), "github" | "git")
        && asked.owner_and_repo().is_some_and(|(owner, repo)| is(owner, repo))
}

/// Whether a branch of nixpkgs moves with every merge. Tags do not move, and
/// other names are somebody's own.
fn moves_untested(name: &str) -> bool {
    let branch = name.strip_prefix("refs/heads/").unwrap_or(name);
    branch == "master"
        || branch == "staging"
        || ["staging-", "release-", "refs/pull/"].iter().any(|begin| branch.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_and_tags_are_told_from_what_moves_with_every_merge() {
        for branch in ["master", "refs/heads/master", "staging", "staging-next", "release-25.11"] {
            assert!(moves_untested(branch), "{branch}");
        }
        for branch in
            ["nixos-unstable", "nixos-25.11-small", "nixpkgs-unstable", "25.11", "masters"]
        {
            assert!(!moves_untested(branch), "{branch}");
        }
    }
}
