//! Repositories fetched over HTTPS, into mirrors in the state directory.
//!
//! Branches and tags are fetched, never other references: pull requests hold
//! what anybody puts there. Of their history the commits and tags come
//! whole, so that ancestors can be told; the files come of the locked
//! revisions alone. A mirror only saves fetching again: in every run
//! the server says what its branches are, and objects are compared with their
//! ids when they are read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use url::Url;

use super::answer::commit_at;
use super::mirrors::{Fetched, Mirror, RevTrouble, Trouble, name_of_source};
use super::server::{Extent, Server, ServerError, ServerLimits, Timed, Want};
use super::snapshot::{Snapshot, Step};
use super::{GitError, Repository};
use crate::check::Reason;
use crate::check::lock::evidence::{Forge, PinQuestion, PinSource};
use crate::gather::http::HttpClient;
use crate::gather::http::credentials::Netrc;
use crate::nix::git::protocol::RemoteReference;
use crate::nix::git::{ObjectId, RepositoryName};
use crate::report::progress::Phase;
use crate::state::{StateDir, StateError, atomic, remove::remove_tree, size_of};

/// A mirror larger than this is made anew: what was fetched for old locks is
/// never taken out of it.
const MAX_MIRROR: u64 = 8 << 30;

/// Most commits that a server is told we have; it looks each one up.
const MAX_HAVES: usize = 10_000;

/// Characters of a forge's owner or repository that stand for themselves in a
/// URL; `%` stands before the two digits of another one.
const PLAIN: &str = "-_.~+%";

/// What is asked over the network, and where it is kept.
#[derive(Clone, Copy)]
pub struct Online<'a> {
    /// Makes requests.
    pub http: &'a HttpClient,
    /// Credentials for hosts.
    pub netrc: &'a Netrc,
    /// Keeps the mirrors.
    pub state: &'a StateDir,
    /// What one repository may cost.
    pub limits: &'a ServerLimits,
}

/// Why we failed; servers that fail are [`Trouble`].
#[derive(Debug, thiserror::Error)]
pub enum OnlineError {
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// A file in it.
    #[error(transparent)]
    Server(ServerError),
    /// A mirror in it.
    #[error(transparent)]
    Mirror(GitError),
}

/// What came of a repository.
pub type Answered = (RepositoryName, Result<Mirror, Trouble>);

/// What is wanted of one repository.
struct Wanted {
    url: Result<Url, Trouble>,
    /// Locked revisions, and whether their files are asked for.
    revs: BTreeMap<ObjectId, bool>,
    /// Revisions of the base.
    bases: BTreeSet<ObjectId>,
}

/// Fetches what the questions need, from `jobs` repositories at a time; `phase`
/// counts repositories.
///
/// # Errors
/// Our own failures only.
pub fn fetch_all(
    questions: &[PinQuestion],
    online: Online<'_>,
    jobs: usize,
    phase: &Phase,
) -> Result<Vec<Answered>, OnlineError> {
    let mut wanted: BTreeMap<RepositoryName, Wanted> = BTreeMap::new();
    for question in questions {
        let Some(name) = name_of_source(&question.source) else { continue };
        let entry = wanted.entry(name).or_insert_with(|| Wanted {
            url: url_of(&question.source),
            revs: BTreeMap::new(),
            bases: BTreeSet::new(),
        });
        if entry.url.is_err() {
            entry.url = url_of(&question.source);
        }
        if let Some(rev @ ObjectId::Sha1(_)) = question.locked.rev {
            *entry.revs.entry(rev).or_default() |= question.locked.nar_hash.is_some();
            entry.bases.extend(question.base_rev);
        }
    }
    let todo: Vec<(RepositoryName, Wanted)> = wanted.into_iter().collect();
    phase.grow(u64::try_from(todo.len()).unwrap_or(u64::MAX));
    let done = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, todo.len().max(1)) {
            scope.spawn(|| {
                while let Some((name, wanted)) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
                    phase.message(&name.to_string());
                    let came = one(name, wanted, online);
                    phase.advance(1);
                    let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    done.push(came.map(|came| (name.clone(), came)));
                }
            });
        }
    });
    let done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut done = done.into_iter().collect::<Result<Vec<Answered>, _>>()?;
    done.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(done)
}

fn one(
    name: &RepositoryName,
    wanted: &Wanted,
    online: Online<'_>,
) -> Result<Result<Mirror, Trouble>, OnlineError> {
    match &wanted.url {
        Err(trouble) => Ok(Err(trouble.clone())),
        Ok(url) => Fetching::new(online, url)?.run(name, wanted, url),
    }
}

/// One mirror while it is being filled.
struct Fetching<'a> {
    online: Online<'a>,
    repository: Repository,
    pack: tempfile::NamedTempFile,
    _alone: crate::state::Lock,
}

impl<'a> Fetching<'a> {
    fn new(online: Online<'a>, url: &Url) -> Result<Self, OnlineError> {
        let place = online.state.git_mirror(url.as_str());
        let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let alone = online.state.lock(&format!("git-{name}"))?;
        if size_of(&place) > MAX_MIRROR {
            remove(&place)?;
        }
        let repository = match Repository::make_bare(&place) {
            Ok(repository) => repository,
            // Nothing in it is worth keeping if it cannot be opened.
            Err(_) => {
                remove(&place)?;
                Repository::make_bare(&place).map_err(OnlineError::Mirror)?
            }
        };
        let pack = online.state.download()?;
        Ok(Self { online, repository, pack, _alone: alone })
    }

    fn run(
        mut self,
        name: &RepositoryName,
        wanted: &Wanted,
        url: &Url,
    ) -> Result<Result<Mirror, Trouble>, OnlineError> {
        let Online { http, netrc, limits, .. } = self.online;
        let connected = Server::connect(http, netrc, url, limits)
            .and_then(|server| server.references().map(|references| (server, references)));
        let (server, references) = match of_server(connected)? {
            Ok(connected) => connected,
            Err(trouble) => return Ok(Err(trouble)),
        };
        let history = self.history(&server, &references)?.err();
        let mut revs = BTreeMap::new();
        let tips: Vec<ObjectId> = references.iter().map(|reference| reference.target).collect();
        for (rev, contents) in &wanted.revs {
            if let Err(trouble) = self.rev(&server, *rev, *contents, &tips, history.is_none())? {
                revs.insert(*rev, trouble);
            }
        }
        if history.is_none() {
            for base in &wanted.bases {
                // One that is not to be had stays unknown.
                let _ = self.commits(&server, *base, &tips)?;
            }
        }
        Ok(Ok(Mirror::fetched(self.repository, name.clone(), Fetched { history, revs })))
    }

    /// All commits of all branches and tags; afterwards the mirror's references
    /// are the server's.
    fn history(
        &mut self,
        server: &Server<'_>,
        references: &[RemoteReference],
    ) -> Result<Result<(), Trouble>, OnlineError> {
        // Each of these is here with all its history.
        let here = self.repository.references().map_err(OnlineError::Mirror)?;
        let here: BTreeSet<ObjectId> = here.iter().map(|reference| reference.target).collect();
        let wants: BTreeSet<ObjectId> = references
            .iter()
            .map(|reference| reference.target)
            .filter(|target| !here.contains(target))
            .collect();
        if wants.iter().any(|want| matches!(want, ObjectId::Sha256(_))) {
            let detail = "it lists object ids of SHA-256";
            return Ok(Err(Trouble::new(Reason::Unsupported, detail)));
        }
        let wants: Vec<ObjectId> = wants.into_iter().collect();
        let haves: Vec<ObjectId> = here.into_iter().take(MAX_HAVES).collect();
        let want = Want { wants: &wants, haves: &haves, extent: Extent::History };
        if let Err(failure) = self.get(server, &want)? {
            return Ok(Err(failure.into_trouble()));
        }
        let lacking =
            wants.iter().find(|want| !matches!(self.repository.header(**want), Ok(Some(_))));
        if let Some(lacking) = lacking {
            let detail = format!("the server lists {lacking} and does not give it");
            return Ok(Err(Trouble::new(Reason::Unreachable, detail)));
        }
        let mut text = "# pack-refs with: peeled fully-peeled sorted \n".to_owned();
        for RemoteReference { name, target, peeled } in references {
            // Writing to a text does not fail.
            let _ = writeln!(text, "{target} {name}");
            if let Some(peeled) = peeled {
                let _ = writeln!(text, "^{peeled}");
            }
        }
        let path = self.repository.path().join("packed-refs");
        let written = atomic::write(&path, text.as_bytes());
        written.map_err(|source| OnlineError::Server(ServerError::Io { path, source })).map(Ok)
    }

    /// A locked revision: its commit, and its files if they are asked for.
    fn rev(
        &mut self,
        server: &Server<'_>,
        rev: ObjectId,
        contents: bool,
        tips: &[ObjectId],
        history: bool,
    ) -> Result<Result<(), RevTrouble>, OnlineError> {
        if history && let Err(trouble) = self.commits(server, rev, tips)? {
            return Ok(Err(trouble));
        }
        let lacks = !matches!(self.repository.header(rev), Ok(Some(_)));
        if lacks || (contents && !self.is_whole(rev)) {
            let want = Want { wants: &[rev], haves: &[], extent: Extent::Contents };
            if let Err(trouble) = self.get(server, &want)? {
                return Ok(Err(trouble));
            }
        }
        if matches!(self.repository.header(rev), Ok(Some(_))) {
            return Ok(Ok(()));
        }
        let detail = "the server was asked for the commit and gave other objects";
        Ok(Err(RevTrouble::Other(Trouble::new(Reason::Unreachable, detail))))
    }

    /// A commit with those before it, if it is not here.
    fn commits(
        &mut self,
        server: &Server<'_>,
        commit: ObjectId,
        tips: &[ObjectId],
    ) -> Result<Result<(), RevTrouble>, OnlineError> {
        if matches!(self.repository.header(commit), Ok(Some(_))) {
            return Ok(Ok(()));
        }
        let haves = tips.get(..MAX_HAVES).unwrap_or(tips);
        self.get(server, &Want { wants: &[commit], haves, extent: Extent::History })
    }

    /// Whether all that a commit holds is here.
    fn is_whole(&self, rev: ObjectId) -> bool {
        let Ok(commit) = commit_at(&self.repository, rev) else { return false };
        let Ok(snapshot) = Snapshot::read(&self.repository, commit.tree) else { return false };
        snapshot.items.iter().all(|item| match item.step {
            Step::File { blob, .. } | Step::Symlink { blob } => {
                matches!(self.repository.header(blob), Ok(Some(_)))
            }
            Step::Enter | Step::Leave | Step::Submodule => true,
        })
    }

    /// Gets a pack and takes it in.
    fn get(
        &mut self,
        server: &Server<'_>,
        want: &Want<'_>,
    ) -> Result<Result<(), RevTrouble>, OnlineError> {
        if want.wants.is_empty() {
            return Ok(Ok(()));
        }
        let path = self.pack.path().to_owned();
        let found = match server.pack(want, self.pack.as_file_mut(), &path) {
            Ok(found) => found,
            Err(ServerError::NotOurs(words)) => return Ok(Err(RevTrouble::NotOurs(words))),
            Err(error) => return Ok(of_server(Err(error))?.map_err(RevTrouble::Other)),
        };
        if found.objects == 0 {
            return Ok(Ok(()));
        }
        let pack = Timed(self.pack.as_file_mut(), server);
        match self.repository.take_pack(pack) {
            Ok(()) => Ok(Ok(())),
            Err(error) if is_full(&error) => Err(OnlineError::Mirror(error)),
            Err(error) => {
                let trouble =
                    Trouble::new(Reason::Unreachable, format!("its pack is bad: {error}"));
                Ok(Err(RevTrouble::Other(trouble)))
            }
        }
    }
}

/// Tells a server's failure from ours.
fn of_server<T>(came: Result<T, ServerError>) -> Result<Result<T, Trouble>, OnlineError> {
    match came {
        Ok(came) => Ok(Ok(came)),
        Err(error) => match error.reason() {
            Some(reason) => Ok(Err(Trouble::new(reason, error.to_string()))),
            None => Err(OnlineError::Server(error)),
        },
    }
}

/// Whether the disk is to blame; the library has only words for it.
fn is_full(error: &GitError) -> bool {
    let text = error.to_string();
    ["No space left", "Disk quota exceeded", "Read-only file system"]
        .iter()
        .any(|words| text.contains(words))
}

fn remove(place: &Path) -> Result<(), OnlineError> {
    remove_tree(place)
        .map_err(|source| OnlineError::Server(ServerError::Io { path: place.to_owned(), source }))
}

/// Where a locked input's repository is asked.
fn url_of(source: &PinSource) -> Result<Url, Trouble> {
    let unsupported = |detail: String| Trouble::new(Reason::Unsupported, detail);
    match source {
        PinSource::Forge { forge, host, owner, repo } => {
            let plain = |text: &str| {
                text.split('/').all(|part| !matches!(part, "" | "." | ".."))
                    && text
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || c == '/' || PLAIN.contains(c))
            };
            let owner = owner.replace("%2F", "/").replace("%2f", "/");
            let end = if *forge == Forge::SourceHut { "" } else { ".git" };
            let url = Url::parse(&format!("https://{host}/{owner}/{repo}{end}")).ok();
            url.filter(|url| {
                let authority = match (url.host_str(), url.port()) {
                    (Some(name), Some(port)) => format!("{name}:{port}"),
                    (Some(name), None) => name.to_owned(),
                    (None, _) => String::new(),
                };
                plain(&owner) && plain(repo) && authority == host.to_ascii_lowercase()
            })
            .ok_or_else(|| unsupported("host, owner and repo make no URL".to_owned()))
        }
        PinSource::Git { url } => {
            let url = Url::parse(url.strip_prefix("git+").unwrap_or(url))
                .map_err(|_| unsupported("its URL is none that can be asked".to_owned()))?;
            match url.scheme() {
                // Whoever answers could tell repositories apart by them.
                "https" if url.query().is_some() => {
                    Err(unsupported("its URL has parameters that a server would see".to_owned()))
                }
                "https" => {
                    let mut url = url;
                    url.set_fragment(None);
                    // These fail only for URLs that cannot have them.
                    let _ = url.set_username("");
                    let _ = url.set_password(None);
                    Ok(url)
                }
                "ssh" => Err(unsupported(
                    "repositories are not asked over ssh (use --mirror)".to_owned(),
                )),
                other => Err(unsupported(format!(
                    "only HTTPS proves who answers, and its URL begins with '{other}:' (use --mirror)"
                ))),
            }
        }
        PinSource::Tarball { .. } | PinSource::File { .. } | PinSource::Other(_) => {
            Err(unsupported("it is no git repository".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_is_asked_and_nothing_leads_elsewhere() {
        let forge = |host: &str, owner: &str, repo: &str| {
            let (host, owner, repo) = (host.to_owned(), owner.to_owned(), repo.to_owned());
            url_of(&PinSource::Forge { forge: Forge::GitHub, host, owner, repo })
                .map(|url| url.to_string())
                .map_err(|trouble| trouble.detail)
        };
        assert_eq!(
            forge("github.com", "NixOS", "nix").unwrap(),
            "https://github.com/NixOS/nix.git"
        );
        assert_eq!(forge("h:8443", "a%2Fb", "c").unwrap(), "https://h:8443/a/b/c.git");
        for (host, owner, repo) in [
            ("github.com", "..", "x"),
            ("github.com", "a/../b", "x"),
            ("github.com", "a", "x?y"),
            ("github.com", "a", "x#y"),
            ("github.com", "", "x"),
            ("user@github.com", "a", "x"),
            ("github.com/evil", "a", "x"),
            ("github.com:443x", "a", "x"),
            ("", "a", "x"),
        ] {
            assert!(forge(host, owner, repo).is_err(), "{host} {owner} {repo}");
        }
        let git = |url: &str| {
            url_of(&PinSource::Git { url: url.to_owned() })
                .map(|url| url.to_string())
                .map_err(|trouble| trouble.detail)
        };
        assert_eq!(git("https://u:p@h/a#y").unwrap(), "https://h/a");
        assert!(git("https://h/a?repo=b").unwrap_err().contains("parameters"));
        assert!(git("ssh://git@h/a").unwrap_err().contains("ssh"));
        assert!(git("http://h/a").unwrap_err().contains("HTTPS"));
        assert!(git("file:///etc").unwrap_err().contains("HTTPS"));
        assert!(git("git@h:a").is_err());
    }
}
