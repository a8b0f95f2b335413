//! Formats judged by what Nix and others have written: worked examples,
//! genuine files and foreign test vectors, with hostile ones of our own.

#![allow(
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests state what they expect and may stop at the first surprise"
)]

mod drv;
mod drv_hostile;
mod ed25519;
mod fixtures;
mod nar;
mod nar_hostile;
mod narinfo;
mod narinfo_hostile;
