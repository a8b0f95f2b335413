//! Who builds, how often, and within what: through the real binary.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "tests state what they expect and touch the world"
)]

mod hostile;
#[path = "../made/mod.rs"]
mod made;
mod nix;
mod options;
mod repeated;
mod unsupported;
#[path = "../sandbox/users.rs"]
mod users;
mod workshop;
