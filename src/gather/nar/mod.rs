//! NARs out of caches, archives and trees: decompressed, checked and hashed as
//! they stream by, restored only where they are meant to go.

pub mod brotli_stream;
pub mod check;
pub mod compression;
pub mod download;
pub(super) mod memory;
pub mod restore;
pub mod tar;
pub mod tree;
pub(super) mod window;
