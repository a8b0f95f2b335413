//! The sandbox: a world made of namespaces, mounts and a filter.
//!
//! Three processes take part:
//!
//! - we, with many threads, assemble the root directory ([`root`]), start
//!   the supervisor ([`session`]), read the builder's terminal and decide
//!   when it has to end;
//! - the supervisor ([`supervisor`]), this program once more, is process 1
//!   of a process namespace that dies with us, so nothing survives us;
//! - the builder ([`inside`]) is process 1 of the namespaces it lives in. It
//!   mounts its world, gives up every right and becomes the derivation's
//!   builder.

pub mod inside;
pub mod place;
pub mod plan;
pub mod root;
pub mod session;
pub mod shuffled;
pub mod supervisor;
pub mod watcher;

/// The hidden first argument that makes this program the supervisor of a
/// sandbox. `main` looks for it before anything else.
pub const SUPERVISOR_ARGUMENT: &str = "__sandbox";

/// The user id builders have (`sandboxUid`).
pub const BUILDER_UID: u32 = 1000;

/// The group id builders have (`sandboxGid`).
pub const BUILDER_GID: u32 = 100;

/// The build directory as builders see it (`sandbox-build-dir`).
pub const BUILD_DIR: &str = "/build";
