//! Reading the world: caches, the local store, fixed-output sources.
//!
//! Everything that comes in through here is hostile until a check in
//! [`crate::check`] has said otherwise.

#![allow(
    clippy::disallowed_methods,
    reason = "this is the room that reads files, sockets, the clock and the environment"
)]

pub mod bill;
pub mod cache;
pub mod derivations;
pub mod difference;
pub mod fetch;
pub mod git;
pub mod http;
pub mod inputs;
pub mod lock;
pub mod named;
pub mod nar;
#[cfg(feature = "rego")]
pub mod rego;
pub mod shell;
pub mod store;
pub mod vendored;
