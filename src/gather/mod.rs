//! Reading the world: caches, the local store, fixed-output sources.
//!
//! Everything that comes in through here is hostile until a check in
//! [`crate::check`] has said otherwise.

#![allow(
    clippy::disallowed_methods,
    reason = "this is the room that reads files, sockets, the clock and the environment"
)]

pub mod answers;
pub mod bill;
pub mod brotli_stream;
pub mod cache;
pub mod cache_file;
pub mod cache_survey;
pub mod cache_url;
pub mod claims;
pub mod compression;
pub mod credentials;
pub mod database;
pub mod differing;
pub mod diffoscope;
pub mod drv_cache;
pub mod drv_files;
pub mod evaluate;
pub mod fetch;
pub mod fetch_plan;
pub mod files;
pub mod git;
pub mod graph;
pub mod http;
mod http_body;
pub mod http_error;
mod http_lane;
pub mod http_request;
mod http_tls;
mod http_wire;
pub mod input;
pub mod inputs;
pub mod keys;
pub mod listing;
pub mod local_closure;
pub mod local_store;
pub mod lock_archives;
pub mod lock_inputs;
mod memory;
pub mod modulo_inputs;
pub mod named_files;
pub mod nar_check;
pub mod nar_download;
pub mod narinfos;
pub mod nix_conf;
pub mod own_cache;
mod pace;
pub mod proxy;
mod questions;
pub mod resolve;
pub mod restore;
pub mod shell;
pub mod tar_nar;
pub mod tree;
pub mod url_guard;
pub mod vendored;
mod window;
