//! Git repositories, and the only file that names the library behind them.
//!
//! Objects are read from the object database alone: no work tree, no filter,
//! no hook, no configured program takes part. The library compares each object
//! with its id (SHA-1 with collision detection) before it hands it out, so
//! what a commit id leads to is as certain as the id. References, shallow
//! marks and commit-graph files are the repository's own word.
//!
//! References: git-repository-layout(5), git-pack-refs(1).

pub mod answer;
pub mod content;
mod loose;
pub mod mirrors;
pub mod nar;
pub mod online;
pub mod server;
mod signatures;
pub mod snapshot;

use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use git2::{ErrorCode, ObjectType, Oid, RepositoryOpenFlags, Sort};

use crate::nix::git::ObjectId;

/// Most of a repository's `config` that is looked at when it cannot be opened.
const MAX_CONFIG: u64 = 1 << 20;

/// Most references read; the largest public repositories have half a million,
/// nearly all of them pull requests.
const MAX_REFERENCES: usize = 4_000_000;

/// Why a repository gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitError {
    /// It has the object format of SHA-256, which is not supported.
    #[error("'{}' is a repository with SHA-256 object ids, which are not supported", .0.display())]
    Sha256(PathBuf),
    /// There is no repository.
    #[error("'{}' is no git repository (expected a clone, bare or not)", .0.display())]
    NotFound(PathBuf),
    /// It belongs to somebody else.
    #[error(
        "'{}' belongs to another user, so git does not read it (to allow it: git config --global --add safe.directory {})",
        .0.display(), .0.display()
    )]
    Owner(PathBuf),
    /// An object's file ends too early, or is none.
    #[error("the object '{}' is damaged (git fsck says more)", .0.display())]
    Damaged(PathBuf),
    /// An object is larger than is read.
    #[error("the object {id} of '{}' has {size} bytes (at most {max} are read)", path.display())]
    TooLarge {
        /// The repository.
        path: PathBuf,
        /// The object.
        id: ObjectId,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// More references than are read.
    #[error("'{}' has more than {MAX_REFERENCES} references", .0.display())]
    References(PathBuf),
    /// An object is not what it should be, or not there.
    #[error("'{}': cannot {action}: {message}", path.display())]
    Failed {
        /// The repository.
        path: PathBuf,
        /// What was to be done.
        action: String,
        /// The library's words.
        message: String,
    },
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A commit.
    Commit,
    /// A directory.
    Tree,
    /// A file's contents or a symlink's target.
    Blob,
    /// An annotated tag.
    Tag,
}

/// An object's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// Its bytes, without git's header.
    pub data: Vec<u8>,
}

/// A remote in a repository's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Its name.
    pub name: String,
    /// Its URL.
    pub url: String,
    /// What is fetched from it: source and destination patterns.
    pub fetch: Vec<(String, String)>,
}

/// A reference that leads to a commit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Its full name, `refs/…`.
    pub name: String,
    /// What it names: a commit, or an annotated tag.
    pub target: ObjectId,
    /// The commit it leads to.
    pub commit: ObjectId,
}

/// An open repository. Not shared between threads: each opens its own.
pub struct Repository {
    inner: git2::Repository,
    path: PathBuf,
}

impl Repository {
    /// Opens the repository at `path` itself: a bare one, or a work tree.
    ///
    /// # Errors
    /// No repository, one of another user, of SHA-256, or with a damaged object.
    pub fn open(path: &Path) -> Result<Self, GitError> {
        Self::open_with(path, RepositoryOpenFlags::NO_SEARCH)
    }

    /// Opens the repository that `path` lies in.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn discover(path: &Path) -> Result<Self, GitError> {
        Self::open_with(path, RepositoryOpenFlags::empty())
    }

    fn open_with(path: &Path, flags: RepositoryOpenFlags) -> Result<Self, GitError> {
        let none: [&str; 0] = [];
        match git2::Repository::open_ext(path, flags, none) {
            Ok(inner) => match loose::damaged(&inner.commondir().join("objects")) {
                None => Ok(Self { inner, path: path.to_owned() }),
                Some(object) => Err(GitError::Damaged(object)),
            },
            Err(error) => Err(match error.code() {
                _ if is_sha256(path) => GitError::Sha256(path.to_owned()),
                ErrorCode::NotFound => GitError::NotFound(path.to_owned()),
                ErrorCode::Owner => GitError::Owner(path.to_owned()),
                _ => failed(path, "open it".to_owned(), &error),
            }),
        }
    }

    /// The same repository once more, for another thread.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn again(&self) -> Result<Self, GitError> {
        let none: [&str; 0] = [];
        let flags = RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::NO_DOTGIT;
        let opened = git2::Repository::open_ext(self.inner.path(), flags, none);
        let inner = opened.map_err(|error| self.failed("open it again", &error))?;
        Ok(Self { inner, path: self.path.clone() })
    }

    /// Makes an empty bare repository at `path`, or opens the one there.
    ///
    /// # Errors
    /// What keeps it from being made.
    pub fn make_bare(path: &Path) -> Result<Self, GitError> {
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).external_template(false).mkpath(true);
        let inner = git2::Repository::init_opts(path, &options)
            .map_err(|error| failed(path, "make a repository".to_owned(), &error))?;
        Ok(Self { inner, path: path.to_owned() })
    }

    /// Takes a pack in. Each object is filed under the id that its bytes have.
    ///
    /// # Errors
    /// A pack that is damaged or lacks a base, or what the disk says.
    pub fn take_pack(&self, mut pack: impl Read) -> Result<(), GitError> {
        let failed = |error: &dyn std::fmt::Display| GitError::Failed {
            path: self.path.clone(),
            action: "take in a pack".to_owned(),
            message: error.to_string(),
        };
        let odb = self.inner.odb().map_err(|error| failed(&error))?;
        let place = self.inner.commondir().join("objects/pack");
        let mut indexer = git2::Indexer::new(Some(&odb), &place, 0o600, false)
            .map_err(|error| failed(&error.message()))?;
        std::io::copy(&mut pack, &mut indexer).map_err(|error| failed(&error))?;
        indexer.commit().map_err(|error| failed(&error.message()))?;
        odb.refresh().map_err(|error| failed(&error.message()))
    }

    /// The path it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its work tree, if it has one.
    #[must_use]
    pub fn work_tree(&self) -> Option<&Path> {
        self.inner.workdir()
    }

    /// Whether it has no work tree.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.inner.is_bare()
    }

    /// Whether its history was cut off somewhere.
    #[must_use]
    pub fn is_shallow(&self) -> bool {
        self.inner.is_shallow()
    }

    /// The remotes of its configuration, sorted by name.
    #[must_use]
    pub fn remotes(&self) -> Vec<Remote> {
        let Ok(names) = self.inner.remotes() else { return Vec::new() };
        let mut found: Vec<Remote> = names
            .iter_bytes()
            .filter_map(|name| {
                let name = std::str::from_utf8(name).ok()?;
                let remote = self.inner.find_remote(name).ok()?;
                let fetch = remote
                    .refspecs()
                    .filter(|spec| spec.direction() == git2::Direction::Fetch)
                    .filter_map(|spec| {
                        Some((spec.src().ok()?.to_owned(), spec.dst().ok()?.to_owned()))
                    })
                    .collect();
                let url = std::str::from_utf8(remote.url_bytes()).ok()?.to_owned();
                Some(Remote { name: name.to_owned(), url, fetch })
            })
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// All references that lead to commits it has, sorted by name. `HEAD` and
    /// symbolic references are left out.
    ///
    /// # Errors
    /// References that cannot be read, or too many.
    pub fn references(&self) -> Result<Vec<Reference>, GitError> {
        let all =
            self.inner.references().map_err(|error| self.failed("list its references", &error))?;
        let mut found = Vec::new();
        for (index, reference) in all.enumerate() {
            if index >= MAX_REFERENCES {
                return Err(GitError::References(self.path.clone()));
            }
            // A reference to what is not there says nothing.
            let Ok(reference) = reference else { continue };
            let (Ok(name), Some(target)) = (reference.name(), reference.target()) else { continue };
            let Some(commit) = self.commit_at(target) else { continue };
            if let Some(target) = id(target) {
                found.push(Reference { name: name.to_owned(), target, commit });
            }
        }
        found.sort();
        Ok(found)
    }

    /// The commit an object leads to through tags.
    fn commit_at(&self, target: Oid) -> Option<ObjectId> {
        let object = self.inner.find_object(target, None).ok()?;
        id(object.peel(ObjectType::Commit).ok()?.id())
    }

    /// The commit that a revision expression (`HEAD~2`, `origin/main`, an id)
    /// names.
    ///
    /// # Errors
    /// An expression that names none.
    pub fn commit_of(&self, revision: &str) -> Result<ObjectId, GitError> {
        let object = self
            .inner
            .revparse_single(revision)
            .and_then(|object| object.peel(ObjectType::Commit))
            .map_err(|error| self.failed(&format!("find the commit '{revision}'"), &error))?;
        id(object.id()).ok_or_else(|| GitError::Sha256(self.path.clone()))
    }

    /// The contents of a file in a commit, at most `max` bytes; `None` if the
    /// commit has no file of that path.
    ///
    /// # Errors
    /// A commit that is not there, or a file too large.
    pub fn file_at(
        &self,
        commit: ObjectId,
        file: &Path,
        max: u64,
    ) -> Result<Option<Vec<u8>>, GitError> {
        let oid = self.oid(commit)?;
        let found = self
            .inner
            .find_commit(oid)
            .and_then(|commit| commit.tree())
            .map(|tree| tree.get_path(file).map(|entry| entry.id()));
        let blob = match found {
            Ok(Ok(blob)) => blob,
            Ok(Err(error)) if error.code() == ErrorCode::NotFound => return Ok(None),
            Ok(Err(error)) | Err(error) => {
                let action = format!("read '{}' in {commit}", file.display());
                return Err(self.failed(&action, &error));
            }
        };
        match id(blob).map(|blob| self.object(blob, max)).transpose()?.flatten() {
            Some(Object { kind: Kind::Blob, data }) => Ok(Some(data)),
            _ => Ok(None),
        }
    }

    /// What an object is and how many bytes it has; `None` if it is not there.
    ///
    /// # Errors
    /// An object that is damaged.
    pub fn header(&self, object: ObjectId) -> Result<Option<(Kind, u64)>, GitError> {
        let oid = self.oid(object)?;
        let read = self.inner.odb().and_then(|odb| odb.read_header(oid));
        match read {
            Ok((size, kind)) => {
                Ok(of(kind).map(|kind| (kind, u64::try_from(size).unwrap_or(u64::MAX))))
            }
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(self.failed(&format!("look at the object {object}"), &error)),
        }
    }

    /// An object of at most `max` bytes, compared with its id; `None` if it is
    /// not there.
    ///
    /// # Errors
    /// An object that is damaged or too large.
    pub fn object(&self, object: ObjectId, max: u64) -> Result<Option<Object>, GitError> {
        // The size first: reading takes as much memory as it says.
        let Some((kind, size)) = self.header(object)? else { return Ok(None) };
        if size > max {
            let path = self.path.clone();
            return Err(GitError::TooLarge { path, id: object, size, max });
        }
        let oid = self.oid(object)?;
        let odb = self.inner.odb();
        let read = odb.and_then(|odb| odb.read(oid).map(|read| read.data().to_vec()));
        match read {
            Ok(data) => Ok(Some(Object { kind, data })),
            Err(error) => Err(self.failed(&format!("read the object {object}"), &error)),
        }
    }

    /// Whether `old` is an ancestor of `new`, or `new` itself.
    ///
    /// # Errors
    /// A commit on the way that is not there.
    pub fn descends(&self, new: ObjectId, old: ObjectId) -> Result<bool, GitError> {
        if new == old {
            return Ok(true);
        }
        self.inner
            .graph_descendant_of(self.oid(new)?, self.oid(old)?)
            .map_err(|error| self.failed(&format!("follow the history of {new}"), &error))
    }

    /// How many commits `new` has that `old` does not.
    ///
    /// # Errors
    /// A commit on the way that is not there.
    pub fn commits_between(&self, old: ObjectId, new: ObjectId) -> Result<u64, GitError> {
        self.inner
            .graph_ahead_behind(self.oid(new)?, self.oid(old)?)
            .map(|(ahead, _)| u64::try_from(ahead).unwrap_or(u64::MAX))
            .map_err(|error| self.failed(&format!("count the commits up to {new}"), &error))
    }

    /// Visits all ancestors of `tips` and these themselves, each once, newest
    /// first as far as their times tell, until `visit` breaks off.
    ///
    /// # Errors
    /// A commit on the way that is not there.
    pub fn walk(
        &self,
        tips: impl IntoIterator<Item = ObjectId>,
        mut visit: impl FnMut(ObjectId) -> ControlFlow<()>,
    ) -> Result<(), GitError> {
        let failed = |error: git2::Error| self.failed("follow its history", &error);
        let mut walk = self.inner.revwalk().map_err(failed)?;
        walk.set_sorting(Sort::TIME).map_err(failed)?;
        for tip in tips {
            walk.push(self.oid(tip)?).map_err(failed)?;
        }
        for commit in walk {
            let commit = commit.map_err(failed)?;
            if let Some(commit) = id(commit)
                && visit(commit).is_break()
            {
                break;
            }
        }
        Ok(())
    }

    fn oid(&self, id: ObjectId) -> Result<Oid, GitError> {
        match id {
            ObjectId::Sha1(digest) => Oid::from_bytes(&digest)
                .map_err(|error| self.failed(&format!("look for {id}"), &error)),
            ObjectId::Sha256(_) => Err(GitError::Failed {
                path: self.path.clone(),
                action: format!("look for {id}"),
                message: "it is an id of SHA-256 and the repository has ids of SHA-1".to_owned(),
            }),
        }
    }

    fn failed(&self, action: &str, error: &git2::Error) -> GitError {
        failed(&self.path, action.to_owned(), error)
    }
}

fn failed(path: &Path, action: String, error: &git2::Error) -> GitError {
    GitError::Failed { path: path.to_owned(), action, message: error.message().to_owned() }
}

fn id(oid: Oid) -> Option<ObjectId> {
    oid.as_bytes().try_into().ok().map(ObjectId::Sha1)
}

const fn of(kind: ObjectType) -> Option<Kind> {
    match kind {
        ObjectType::Commit => Some(Kind::Commit),
        ObjectType::Tree => Some(Kind::Tree),
        ObjectType::Blob => Some(Kind::Blob),
        ObjectType::Tag => Some(Kind::Tag),
        ObjectType::Any => None,
    }
}

/// Whether the configuration of what lies at `path` names SHA-256; the library
/// only says that it cannot open it.
fn is_sha256(path: &Path) -> bool {
    [path.join("config"), path.join(".git/config")].iter().any(|file| {
        let mut text = String::new();
        let Ok(file) = std::fs::File::open(file) else { return false };
        if file.take(MAX_CONFIG).read_to_string(&mut text).is_err() {
            return false;
        }
        let text: String = text.to_ascii_lowercase().split_whitespace().collect();
        text.contains("objectformat=sha256")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn git(at: &Path, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .arg("-C")
            .arg(at)
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "A")))
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "a@example.org")))
            .envs(
                ["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_DATE"), "1500000000 +0100")),
            )
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn a_repository_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        git(at, &["init", "-q", "-b", "main"]);
        git(at, &["remote", "add", "origin", "https://example.org/a/b.git"]);
        std::fs::write(at.join("flake.lock"), "first").unwrap();
        git(at, &["add", "."]);
        git(at, &["commit", "-qm", "one"]);
        std::fs::write(at.join("flake.lock"), "second").unwrap();
        git(at, &["commit", "-qam", "two"]);
        git(at, &["tag", "-am", "annotated", "v1", "HEAD^"]);

        let repository = Repository::discover(at).unwrap();
        let head = repository.commit_of("HEAD").unwrap();
        let first = repository.commit_of("v1").unwrap();
        assert_eq!(head.to_string(), git(at, &["rev-parse", "HEAD"]));
        let file = Path::new("flake.lock");
        assert_eq!(repository.file_at(first, file, 10).unwrap().unwrap(), b"first");
        assert_eq!(repository.file_at(head, file, 10).unwrap().unwrap(), b"second");
        assert_eq!(repository.file_at(head, Path::new("x/y"), 10).unwrap(), None);
        assert!(matches!(repository.file_at(head, file, 3), Err(GitError::TooLarge { .. })));
        assert!(repository.descends(head, first).unwrap());
        assert!(!repository.descends(first, head).unwrap());
        assert_eq!(repository.commits_between(first, head).unwrap(), 1);
        let names: Vec<_> = repository.references().unwrap();
        let names: Vec<_> = names.iter().map(|r| (r.name.as_str(), r.commit)).collect();
        assert_eq!(names, [("refs/heads/main", head), ("refs/tags/v1", first)]);
        let mut seen = Vec::new();
        let visit = |id| {
            seen.push(id);
            ControlFlow::Continue(())
        };
        repository.walk([head], visit).unwrap();
        assert_eq!(seen.len(), 2);
        let remotes = repository.remotes();
        assert_eq!(remotes[0].url, "https://example.org/a/b.git");
        assert_eq!(
            remotes[0].fetch,
            [("refs/heads/*".to_owned(), "refs/remotes/origin/*".to_owned())]
        );
        let absent = ObjectId::parse(&"1".repeat(40)).unwrap();
        assert_eq!(repository.object(absent, 1).unwrap(), None);
        assert_eq!(repository.again().unwrap().commit_of("HEAD"), Ok(head));
    }

    #[test]
    fn what_is_no_repository_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Repository::open(dir.path()), Err(GitError::NotFound(_))));
        git(dir.path(), &["init", "-q", "--object-format=sha256"]);
        assert!(matches!(Repository::open(dir.path()), Err(GitError::Sha256(_))));
    }

    #[test]
    fn an_object_that_is_not_what_its_id_says_is_not_handed_out() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        git(at, &["init", "-q"]);
        std::fs::write(at.join("a"), "true contents").unwrap();
        std::fs::write(at.join("b"), "other contents").unwrap();
        let object = |name: &str| {
            let id = git(at, &["hash-object", "-w", name]);
            let path = at.join(".git/objects").join(&id[..2]).join(&id[2..]);
            (ObjectId::parse(&id).unwrap(), path)
        };
        let ((id, true_file), (_, other_file)) = (object("a"), object("b"));
        std::fs::remove_file(&true_file).unwrap();
        std::fs::copy(other_file, true_file).unwrap();
        let repository = Repository::open(at).unwrap();
        let error = repository.object(id, 100).unwrap_err().to_string();
        assert!(error.contains("read the object"), "{error}");
    }
}
