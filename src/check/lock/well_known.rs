//! What is known of public repositories and their releases: two dated tables,
//! kept as data so that they are easy to bring up to date.

use std::collections::BTreeMap;

use crate::nix::time::Timestamp;

/// Repositories that many flakes use, and who owns them.
const REPOSITORIES: &str = include_str!("data/repositories.tsv");

/// Releases and when their support ends.
const RELEASES: &str = include_str!("data/releases.tsv");

/// The tables, read.
#[derive(Debug, Default)]
pub struct Tables {
    /// By name in lower case.
    repositories: BTreeMap<String, Repository>,
    /// By release, such as `23.05`.
    releases: BTreeMap<String, Timestamp>,
}

/// A repository that many flakes use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its owners, lower case: more than one where it moved.
    pub owners: Vec<String>,
    /// After how many days without an update it is called stale, if ever.
    pub stale_after_days: Option<i64>,
    /// Whether its branches are named after releases of NixOS.
    pub follows_releases: bool,
}

impl Tables {
    /// The tables that come with the program.
    #[must_use]
    pub fn built_in() -> Self {
        let mut tables = Self::default();
        for line in rows(REPOSITORIES) {
            let mut fields = line.split('\t');
            let mut next = || fields.next().unwrap_or_default();
            let (name, owners, days, releases) = (next(), next(), next(), next());
            let repository = Repository {
                owners: owners.split(',').map(str::to_ascii_lowercase).collect(),
                stale_after_days: days.parse().ok(),
                follows_releases: releases == "yes",
            };
            tables.repositories.insert(name.to_ascii_lowercase(), repository);
        }
        for line in rows(RELEASES) {
            if let Some((release, date)) = line.split_once('\t')
                && let Ok(date) = date.trim().parse()
            {
                tables.releases.insert(release.to_owned(), date);
            }
        }
        tables
    }

    /// A repository by its name, in any letter case.
    #[must_use]
    pub fn repository(&self, name: &str) -> Option<&Repository> {
        self.repositories.get(&name.to_ascii_lowercase())
    }

    /// The release that a branch is named after, and when its support ends:
    /// `nixos-23.05-small` is 23.05.
    #[must_use]
    pub fn release_of<'t>(&self, text: &'t str) -> Option<(&'t str, Timestamp)> {
        text.split(['-', '/', '_', 'v']).find_map(|part| {
            let date = self.releases.get(part)?;
            Some((part, *date))
        })
    }

    /// The same for the versions of `FlakeHub`, which write 23.05 as `0.2305`.
    #[must_use]
    pub fn release_of_version(&self, version: &str) -> Option<(String, Timestamp)> {
        let digits = version.strip_prefix("0.")?.split('.').next()?;
        let (year, month) = digits.split_at_checked(2)?;
        let release = format!("{year}.{month}");
        let date = self.releases.get(&release)?;
        Some((release, *date))
    }
}

fn rows(table: &str) -> impl Iterator<Item = &str> {
    table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_read() {
        let tables = Tables::built_in();
        assert_eq!(tables.repositories.len(), rows(REPOSITORIES).count());
        assert_eq!(tables.releases.len(), rows(RELEASES).count());
        assert!(tables.releases.values().is_sorted());
        for (name, repository) in &tables.repositories {
            assert!(repository.owners.iter().all(|owner| !owner.is_empty()), "{name}");
        }
        assert!(tables.repository("NixPkgs").unwrap().owners.contains(&"nixos".to_owned()));
    }

    #[test]
    fn branches_name_releases() {
        let tables = Tables::built_in();
        for (branch, release) in [
            ("nixos-23.05", Some("23.05")),
            ("nixos-23.05-small", Some("23.05")),
            ("refs/heads/release-22.11", Some("22.11")),
            ("nixpkgs-21.11-darwin", Some("21.11")),
            ("nixos-unstable", None),
            ("master", None),
            ("v1.23.05", None),
        ] {
            assert_eq!(tables.release_of(branch).map(|(release, _)| release), release, "{branch}");
        }
        assert_eq!(tables.release_of_version("0.2305.1").unwrap().0, "23.05");
        assert_eq!(tables.release_of_version("0.1"), None);
        assert_eq!(tables.release_of_version("0.1.é"), None);
    }
}
