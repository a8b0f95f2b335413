//! Reading the world: caches, the local store, fixed-output sources.
//!
//! Everything that comes in through here is hostile until a check in
//! [`crate::check`] has said otherwise.
