//! System calls: the one place where `unsafe` is allowed.
//!
//! Whatever `rustix` offers safely is taken from there; these modules hold
//! only what it does not, each behind a safe function.

#![allow(
    clippy::disallowed_methods,
    reason = "this is where the system is touched, on behalf of the rooms that may"
)]

pub mod namespace;
