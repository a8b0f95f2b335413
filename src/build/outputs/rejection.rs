//! Why an output is refused, apart from why we failed to look at it.

use crate::build::BuildError;
use crate::nix::nar::MAX_DEPTH;

/// What an output does that Nix would not take into its store. Paths are
/// made safe to print.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The builder succeeded without making it.
    #[error("it was not made")]
    Missing,
    /// Others than the builder could have made or changed it.
    #[error(
        "suspicious ownership or permission (mode {mode:04o}, user {uid}; expected user \
         {build_uid} and no write permission for group or others)"
    )]
    Suspicious {
        /// Permission bits found.
        mode: u32,
        /// Owner found.
        uid: u32,
        /// Owner expected.
        build_uid: u32,
    },
    /// Something inside that the builder did not make.
    #[error("'{path}' has invalid ownership (user {uid}; expected the build user {build_uid})")]
    Ownership {
        /// Where in the output.
        path: String,
        /// Owner found.
        uid: u32,
        /// Owner expected.
        build_uid: u32,
    },
    /// Reading it takes longer than the build may.
    #[error("reading it takes longer than the build may")]
    OutOfTime,
    /// A file that no store object may hold.
    #[error("'{path}' is {found} (expected regular files, directories and symbolic links only)")]
    UnsupportedType {
        /// Where in the output.
        path: String,
        /// What it is.
        found: &'static str,
    },
    /// Directories nested so deeply that no NAR could hold them.
    #[error("'{path}' lies deeper than {MAX_DEPTH} levels, which no NAR may")]
    TooDeep {
        /// Where in the output.
        path: String,
    },
    /// A flat hash of something that is no plain file.
    #[error("it is {found}, but its flat hash needs a regular file that is not executable")]
    NotFlat {
        /// What it is.
        found: &'static str,
    },
    /// A fixed output that refers to store paths.
    #[error("a fixed output must not refer to store paths, and it refers to {}", .0.join(", "))]
    FixedReferences(Vec<String>),
    /// An output whose address cannot express its references.
    #[error("it has no store path: {0}")]
    NoPath(String),
    /// What canonicalising did not notice and archiving did.
    #[error("it cannot be archived: {0}")]
    NotArchivable(String),
    /// Replacing hashes in names gives two entries the same name.
    #[error("'{path}' cannot take the name '{name}' that its hashes demand: it is taken")]
    NameTaken {
        /// Where in the output.
        path: String,
        /// The new name.
        name: String,
    },
}

/// The two ways in which finishing an output stops: its builder's fault, or
/// ours.
#[derive(Debug)]
pub enum Stop {
    /// The builder did something that Nix refuses.
    Rejected(Rejection),
    /// We could not do our work.
    Failed(BuildError),
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<BuildError> for Stop {
    fn from(error: BuildError) -> Self {
        Self::Failed(error)
    }
}
