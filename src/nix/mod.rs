//! Nix's formats, parsed strictly and printed exactly.
//!
//! Every module here is a pure function over bytes: hostile input is refused
//! with an error that says where and why, and what is accepted prints back: to
//! the very bytes that were read where they are hashed or signed as a whole,
//! and to an equal value in Nix's own notation elsewhere.

pub mod build_trace;
pub mod cache_info;
pub mod closure_listing;
pub mod compression;
pub mod content_address;
pub mod derivation;
pub mod flake_lock;
pub mod flake_ref;
pub mod flake_secrets;
pub mod git;
pub mod hash;
pub mod json;
pub mod nar;
pub mod narinfo;
pub mod nix32;
pub mod path_info;
pub mod realisation;
pub mod references;
pub mod rewrite;
pub mod signature;
pub mod store_path;
pub mod structured_attrs;
pub mod time;
