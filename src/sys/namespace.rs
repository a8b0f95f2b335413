//! Becoming root in a namespace of one's own.

use std::fmt;

/// What being root means to this process: who owns files, and how many
/// users it can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKind {
    /// Root of the machine (or of a container that maps many ids).
    HostRoot,
    /// An ordinary user as root of a user namespace with a range of
    /// subordinate ids, from `/etc/subuid`.
    SubIds,
    /// An ordinary user as root of a user namespace that knows only itself:
    /// builder and owner of the inputs are one and the same.
    SingleId,
}

impl RootKind {
    /// A short name for reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HostRoot => "root",
            Self::SubIds => "subordinate-ids",
            Self::SingleId => "single-id",
        }
    }

    /// Whether builder and owner of the inputs are different users, as under
    /// a Nix daemon.
    #[must_use]
    pub const fn separates_owner(self) -> bool {
        !matches!(self, Self::SingleId)
    }
}

impl fmt::Display for RootKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why namespaces cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NamespaceError {
    /// The kernel or its settings forbid user namespaces.
    #[error(
        "user namespaces are forbidden here: {setting} (ask the administrator to allow them, or run as root)"
    )]
    Forbidden {
        /// The setting that forbids them, and its value.
        setting: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A step of entering a namespace failed.
    #[error("cannot {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}
