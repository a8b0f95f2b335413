//! Local clones, and which repository each one is a clone of.
//!
//! A clone says by its remotes what it is a clone of; below a directory of
//! clones, the path `host/owner/repo` or `host/owner/repo.git` says it; and
//! `SOURCE=DIRECTORY` says it outright. Only the references of such a clone
//! tell what is on the branches of a repository. Objects count from wherever
//! they are, for their ids prove them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{GitError, Reference, Repository};
use crate::check::Reason;
use crate::check::lock::evidence::{Answer, Forge, PinSource};
use crate::nix::git::{ObjectId, RepositoryName};

/// How deep clones may lie below a directory of clones: `host/group/owner/repo`.
const MAX_DEPTH: usize = 4;

/// Most directories looked at below a directory of clones.
const MAX_DIRECTORIES: usize = 100_000;

/// A local clone.
pub struct Mirror {
    /// The clone.
    pub repository: Repository,
    /// What it is a clone of, besides what its remotes say.
    named: BTreeSet<RepositoryName>,
    /// What came of asking the repository in this run, if it was.
    fetched: Option<Fetched>,
}

/// Why something was not to be had from a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The reason for which questions stay open.
    pub reason: Reason,
    /// The particulars.
    pub detail: String,
}

/// Why a revision was not to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevTrouble {
    /// The server says that it does not have it.
    NotOurs(String),
    /// Anything else.
    Other(Trouble),
}

/// What came of asking a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Why its branches and tags are not here, if they are not.
    pub history: Option<Trouble>,
    /// Revisions that are not here with all that was asked for.
    pub revs: BTreeMap<ObjectId, RevTrouble>,
}

impl Trouble {
    /// A reason with its particulars.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// The answer to whatever depended on it.
    #[must_use]
    pub fn answer(&self) -> Answer {
        Answer::unknown(self.reason, self.detail.clone())
    }
}

impl RevTrouble {
    /// The same as an open question.
    #[must_use]
    pub fn into_trouble(self) -> Trouble {
        match self {
            Self::NotOurs(words) => Trouble::new(Reason::Unreachable, words),
            Self::Other(trouble) => trouble,
        }
    }
}

/// The clones that were named.
#[derive(Default)]
pub struct Mirrors {
    /// Those that can be read, in the order named.
    pub all: Vec<Mirror>,
    /// Those of a kind that cannot.
    pub refused: Vec<GitError>,
    /// Repositories that were asked in this run and gave nothing.
    pub troubles: BTreeMap<RepositoryName, Trouble>,
}

/// Branches and tags of a repository, as a clone of it has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tips {
    /// Branches by their names in the repository itself.
    pub heads: Vec<Reference>,
    /// Tags.
    pub tags: Vec<Reference>,
    /// Tags in a clone that other repositories are fetched into as well: git
    /// keeps all tags in one place, so nothing tells whose they are.
    pub unclear_tags: Vec<Reference>,
    /// All other references, such as those of pull requests.
    pub others: Vec<Reference>,
}

impl Mirrors {
    /// Opens the clones that `--mirror` names.
    ///
    /// # Errors
    /// A directory in which there is no clone, or one that cannot be opened.
    pub fn open<'a>(named: impl IntoIterator<Item = &'a str>) -> Result<Self, GitError> {
        let mut mirrors = Self::default();
        for text in named {
            let (name, path) = match text.split_once('=') {
                Some((source, path)) if !Path::new(text).exists() => {
                    (name_of_text(source), Path::new(path))
                }
                _ => (None, Path::new(text)),
            };
            match Repository::open(path) {
                Ok(repository) => mirrors.all.push(Mirror {
                    repository,
                    named: name.into_iter().collect(),
                    fetched: None,
                }),
                Err(GitError::NotFound(_)) if path.is_dir() => {
                    let before = mirrors.all.len() + mirrors.refused.len();
                    mirrors.add_below(path)?;
                    if mirrors.all.len() + mirrors.refused.len() == before {
                        return Err(GitError::NotFound(path.to_owned()));
                    }
                }
                Err(error @ (GitError::Sha256(_) | GitError::Damaged(_))) => {
                    mirrors.refused.push(error)
                }
                Err(error) => return Err(error),
            }
        }
        Ok(mirrors)
    }

    /// Adds all clones below a directory of clones.
    fn add_below(&mut self, root: &Path) -> Result<(), GitError> {
        let mut todo: Vec<(PathBuf, usize)> = vec![(root.to_owned(), 0)];
        let mut seen = 0;
        while let Some((directory, depth)) = todo.pop() {
            let Ok(entries) = std::fs::read_dir(&directory) else { continue };
            let mut below: Vec<PathBuf> = entries
                .filter_map(Result::ok)
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path())
                .collect();
            below.sort();
            for path in below.into_iter().rev() {
                seen += 1;
                if seen > MAX_DIRECTORIES {
                    return Ok(());
                }
                match Repository::open(&path) {
                    Ok(repository) => {
                        let named = path.strip_prefix(root).ok().and_then(name_of_layout);
                        let named = named.into_iter().collect();
                        self.all.push(Mirror { repository, named, fetched: None });
                    }
                    Err(GitError::NotFound(_)) if depth + 1 < MAX_DEPTH => {
                        todo.push((path, depth + 1));
                    }
                    Err(GitError::NotFound(_)) => {}
                    Err(error @ (GitError::Sha256(_) | GitError::Damaged(_))) => {
                        self.refused.push(error)
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// The clones of a repository.
    pub fn of<'m>(&'m self, name: &'m RepositoryName) -> impl Iterator<Item = &'m Mirror> {
        self.all.iter().filter(move |mirror| mirror.is_of(name))
    }

    /// The clones that have an object, whatever they are clones of.
    pub fn with(&self, object: ObjectId) -> impl Iterator<Item = &Mirror> {
        self.all
            .iter()
            .filter(move |mirror| matches!(mirror.repository.header(object), Ok(Some(_))))
    }
}

impl Mirror {
    /// A mirror of `name` that was asked in this run.
    #[must_use]
    pub fn fetched(repository: Repository, name: RepositoryName, fetched: Fetched) -> Self {
        Self { repository, named: BTreeSet::from([name]), fetched: Some(fetched) }
    }

    /// Whether its branches and tags are those that the repository has now.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.fetched.as_ref().is_some_and(|fetched| fetched.history.is_none())
    }

    /// Why its branches and tags say nothing, if they do not.
    #[must_use]
    pub fn history_trouble(&self) -> Option<&Trouble> {
        self.fetched.as_ref()?.history.as_ref()
    }

    /// Why it does not have a revision with all that was asked for.
    #[must_use]
    pub fn rev_trouble(&self, rev: ObjectId) -> Option<&RevTrouble> {
        self.fetched.as_ref()?.revs.get(&rev)
    }

    /// Whether it is a clone of that repository.
    #[must_use]
    pub fn is_of(&self, name: &RepositoryName) -> bool {
        self.named.contains(name)
            || self
                .repository
                .remotes()
                .iter()
                .any(|remote| RepositoryName::of_url(&remote.url).as_ref() == Some(name))
    }

    /// The branches and tags of the repository `name`, sorted.
    ///
    /// # Errors
    /// References that cannot be read.
    pub fn tips(&self, name: &RepositoryName) -> Result<Tips, GitError> {
        let all = self.repository.references()?;
        let mut tips = Tips::default();
        // Where a remote's branches are kept here.
        let mut places: Vec<(String, String)> = Vec::new();
        let mut strangers = false;
        for remote in self.repository.remotes() {
            if RepositoryName::of_url(&remote.url).as_ref() == Some(name) {
                places.extend(remote.fetch);
            } else {
                strangers = true;
            }
        }
        let own = places.is_empty();
        for reference in all {
            // The names in the repository that this reference is a copy of.
            let names: Vec<String> = if own {
                vec![reference.name.clone()]
            } else {
                places
                    .iter()
                    .filter_map(|(source, place)| original(source, place, &reference.name))
                    .collect()
            };
            let named = |name: &str| Reference { name: name.to_owned(), ..reference.clone() };
            let head = names.iter().find(|name| name.starts_with("refs/heads/"));
            if let Some(head) = head {
                tips.heads.push(named(head));
            } else if reference.name.starts_with("refs/tags/") {
                let tags = if strangers && !own { &mut tips.unclear_tags } else { &mut tips.tags };
                tags.push(reference);
            } else if let Some(other) = names.first() {
                tips.others.push(named(other));
            }
        }
        tips.heads.sort();
        tips.heads.dedup();
        tips.tags.sort();
        tips.unclear_tags.sort();
        tips.others.sort();
        Ok(tips)
    }
}

/// The name in the repository of what is kept as `kept`, by a fetch
/// specification `source:place`.
fn original(source: &str, place: &str, kept: &str) -> Option<String> {
    match (source.split_once('*'), place.split_once('*')) {
        (Some((before, after)), Some((first, last))) => {
            let middle = kept.strip_prefix(first)?.strip_suffix(last)?;
            Some(format!("{before}{middle}{after}"))
        }
        (None, None) => (kept == place).then(|| source.to_owned()),
        _ => None,
    }
}

/// The repository that a locked input comes from.
#[must_use]
pub fn name_of_source(source: &PinSource) -> Option<RepositoryName> {
    match source {
        PinSource::Forge { host, owner, repo, .. } => {
            RepositoryName::of_host(host, &format!("{owner}/{repo}"))
        }
        PinSource::Git { url } => RepositoryName::of_url(url),
        PinSource::Tarball { .. } | PinSource::File { .. } | PinSource::Other(_) => None,
    }
}

/// The repository in `--mirror github:NixOS/nix=DIRECTORY`.
fn name_of_text(text: &str) -> Option<RepositoryName> {
    for forge in [Forge::GitHub, Forge::GitLab, Forge::SourceHut] {
        if let Some(path) = text.strip_prefix(forge.name()).and_then(|rest| rest.strip_prefix(':'))
        {
            return RepositoryName::of_host(forge.host(), path);
        }
    }
    RepositoryName::of_url(text)
}

/// The repository of a clone at `host/owner/repo.git`.
fn name_of_layout(below: &Path) -> Option<RepositoryName> {
    let (host, path) = below.to_str()?.split_once('/')?;
    host.contains('.').then(|| RepositoryName::of_host(host, path)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_where_they_are_said() {
        let name = |text| name_of_text(text).map(|name| name.to_string());
        assert_eq!(name("github:NixOS/nix").unwrap(), "github.com/nixos/nix");
        assert_eq!(name("sourcehut:~a/b").unwrap(), "git.sr.ht/~a/b");
        assert_eq!(name("https://h/a/b.git").unwrap(), "h/a/b");
        assert_eq!(name("x"), None);
        let layout = |path| name_of_layout(Path::new(path)).map(|name| name.to_string());
        assert_eq!(layout("github.com/A/b.git").unwrap(), "github.com/a/b");
        assert_eq!(layout("a/b"), None);
    }

    #[test]
    fn fetch_specifications_are_undone() {
        let undo = |source, place, kept| original(source, place, kept);
        assert_eq!(
            undo("refs/heads/*", "refs/remotes/o/*", "refs/remotes/o/a/b").unwrap(),
            "refs/heads/a/b"
        );
        assert_eq!(undo("refs/*", "refs/*", "refs/pull/1/head").unwrap(), "refs/pull/1/head");
        assert_eq!(undo("refs/heads/*", "refs/remotes/o/*", "refs/heads/a"), None);
        assert_eq!(
            undo("refs/heads/m", "refs/remotes/o/m", "refs/remotes/o/m").unwrap(),
            "refs/heads/m"
        );
    }
}
