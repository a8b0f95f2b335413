//! The local Nix store, read as a database and files, never through its daemon.

pub mod closure;
pub mod database;
pub mod local;
