//! Nix's formats, parsed strictly and printed exactly.
//!
//! Every module here is a pure function over bytes: hostile input is refused
//! with an error that says where and why, and what is accepted prints back to
//! the very bytes that were read.

pub mod compression;
pub mod hash;
pub mod nix32;
pub mod store_path;
