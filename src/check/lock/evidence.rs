//! What is asked about a pin, and what git had to say to it.
//!
//! A [`PinQuestion`] comes from a lock alone; `gather::git` looks for answers
//! in mirrors or over the network and gives [`PinEvidence`] back. Nothing here
//! is judged.
//!
//! Each question has one of four [`Answer`]s. What a mirror does not hold, or
//! may not hold yet, is unknown and never refuted.

use crate::check::Reason;
use crate::nix::git::ObjectId;
use crate::nix::hash::NarHash;

/// What git is asked about one locked input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinQuestion {
    /// The path of the input from the root, such as `nixos/nixpkgs`.
    pub input: String,
    /// Where its `locked` says that it comes from.
    pub source: PinSource,
    /// What its `locked` says that it is.
    pub locked: LockedFacts,
    /// `original.ref`: the branch, tag or full `refs/…` name asked for.
    pub original_ref: Option<String>,
    /// The `rev` of the same input in the base lock, if it has another one.
    pub base_rev: Option<ObjectId>,
    /// Who must have signed it, by principal, user id or key fingerprint; any
    /// one of them is enough. Empty: nobody must.
    pub required_signers: Vec<String>,
}

/// Where a locked input comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PinSource {
    /// `type = "github"`, `"gitlab"` or `"sourcehut"`: Nix gets an archive that
    /// the host makes of the commit.
    Forge {
        /// Which of the three.
        forge: Forge,
        /// `host`, or the forge's own.
        host: String,
        /// `owner`; for GitLab perhaps with groups, for SourceHut with `~`.
        owner: String,
        /// `repo`.
        repo: String,
    },
    /// `type = "git"`: the URL as written.
    Git {
        /// The URL.
        url: String,
    },
    /// `type = "tarball"`: an archive that is unpacked.
    Tarball {
        /// The URL.
        url: String,
    },
    /// `type = "file"`: a file as such.
    File {
        /// The URL.
        url: String,
    },
    /// Anything else, by its `type`: git has nothing to say to it.
    Other(String),
}

/// Hosts that Nix knows by a type of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forge {
    /// `github`.
    GitHub,
    /// `gitlab`.
    GitLab,
    /// `sourcehut`.
    SourceHut,
}

impl Forge {
    /// The `type` in a lock.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::SourceHut => "sourcehut",
        }
    }

    /// The host where no other is named.
    #[must_use]
    pub const fn host(self) -> &'static str {
        match self {
            Self::GitHub => "github.com",
            Self::GitLab => "gitlab.com",
            Self::SourceHut => "git.sr.ht",
        }
    }
}

/// The attributes of `locked` that git can confirm or refute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockedFacts {
    /// `rev`.
    pub rev: Option<ObjectId>,
    /// `narHash`, decoded.
    pub nar_hash: Option<NarHash>,
    /// `lastModified`, in seconds since 1970.
    pub last_modified: Option<i64>,
    /// `revCount`.
    pub rev_count: Option<u64>,
    /// `ref`.
    pub git_ref: Option<String>,
    /// `submodules`.
    pub submodules: bool,
    /// `lfs`.
    pub lfs: bool,
}

/// What came of one question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Answer {
    /// It is as the lock says.
    Proven(String),
    /// It is not.
    Refuted {
        /// What the lock says, or what must hold.
        expected: String,
        /// What was found instead.
        found: String,
        /// One sentence for people.
        detail: String,
    },
    /// It could not be found out.
    Unknown {
        /// Why, from the closed list.
        reason: Reason,
        /// The particulars.
        detail: String,
    },
    /// Nothing in the lock, or nobody, asks.
    #[default]
    NotAsked,
}

impl Answer {
    /// An answer that could not be had.
    #[must_use]
    pub fn unknown(reason: Reason, detail: impl Into<String>) -> Self {
        Self::Unknown { reason, detail: detail.into() }
    }
}

/// All that was found out about one input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PinEvidence {
    /// The repository that answered, as it may be shown.
    pub repository: Option<String>,
    /// `rev` is a commit of the repository.
    pub exists: Answer,
    /// `rev` is an ancestor of some head or tag.
    pub reachable: Answer,
    /// `rev` is an ancestor of the ref that `original` names.
    pub on_ref: Answer,
    /// The name in `original.ref` does not belong to a branch and a tag that
    /// lead to different commits.
    pub one_ref: Answer,
    /// `lastModified` is the committer's time.
    pub last_modified: Answer,
    /// `revCount` is the number of commits.
    pub rev_count: Answer,
    /// The new `rev` descends from the old one.
    pub descends: Answer,
    /// `narHash` is the hash of what `rev` holds.
    pub nar_hash: Answer,
    /// `narHash` is the hash of what the URL of an archive or a file serves.
    pub served: Answer,
    /// A required signer signed; asked if signers are required or known.
    pub signature: Answer,
    /// Who signed the locked commit, or the tag that leads to it.
    pub signer: Signed,
    /// Who signed the commit in the base lock.
    pub base_signer: Signed,
    /// The committer's time of `rev`, in seconds since 1970.
    pub commit_time: Option<i64>,
    /// The committer's time of the base's rev.
    pub base_time: Option<i64>,
    /// Commits that `rev` has and the base's does not.
    pub commits_between: Option<u64>,
    /// Whether the repository was asked over the network in this run, so that
    /// what it does not have is not just missing in an older copy.
    pub fresh: bool,
}

/// What is known of a signature over a commit or tag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Signed {
    /// Nobody looked.
    #[default]
    NotAsked,
    /// There is none.
    Unsigned,
    /// A valid one by a known key.
    By(Signer),
    /// One by a key that nobody named; nothing is known about its validity.
    UnknownKey {
        /// The key, as the signature names it.
        key: String,
    },
    /// A valid one by a known key that must not count.
    Void {
        /// Whose.
        signer: Signer,
        /// Why it does not count: expired, revoked, other namespace.
        why: VoidReason,
    },
    /// One that names a known key and does not verify.
    Bad {
        /// The key.
        key: String,
        /// What is wrong.
        why: String,
    },
    /// One that is not understood.
    Unreadable {
        /// What was not understood.
        why: String,
    },
}

/// Why a signature that verifies does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoidReason {
    /// The key was not yet, or no longer, valid when it signed.
    KeyExpired,
    /// The key's owner withdrew it.
    KeyRevoked,
    /// The signature itself has run out.
    SignatureExpired,
    /// The key may not sign, or not in git's name.
    NotForGit,
}

/// Whose key made a signature.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signer {
    /// The key: `SHA256:…` for SSH, the fingerprint in base16 for OpenPGP.
    pub key: String,
    /// The names it has: principals of `allowed_signers`, user ids.
    pub names: Vec<String>,
    /// The hosting service whose own key it is: it says that the service made
    /// the commit, not who asked it to.
    pub service: Option<&'static str>,
}
