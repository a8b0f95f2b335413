//! Reading the world: caches, the local store, fixed-output sources.
//!
//! Everything that comes in through here is hostile until a check in
//! [`crate::check`] has said otherwise.

#![allow(
    clippy::disallowed_methods,
    reason = "this is the room that reads files, sockets, the clock and the environment"
)]

pub mod brotli_stream;
pub mod compression;
pub mod credentials;
pub mod restore;
pub mod tree;
pub mod url_guard;
