//! Dependencies inside real sources and programs: the same that the
//! ecosystem's own tool lists (`tests/fixtures/vendored/README.md`).

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

mod export;
mod hostile;
#[path = "../parity/nix.rs"]
#[allow(dead_code, clippy::print_stderr, reason = "other tests use more of it")]
mod nix;
mod recall;
