//! What the user named on the command line: files, directories, listings, keys,
//! configuration.

pub mod directory;
pub mod files;
pub mod input;
pub mod keys;
pub mod listing;
pub mod nix_conf;
