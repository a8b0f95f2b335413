//! Whole graphs judged by `verify rebuild`, through the real binary.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests, which share the harness for real Nix with those of parity"
)]

#[path = "../parity/busybox.rs"]
mod busybox;
mod judging;
#[path = "../made/mod.rs"]
mod made;
#[path = "../parity/nix.rs"]
mod nix;
mod planning;
mod planted;
mod sampling;
mod scene;
#[path = "../support/report_schema.rs"]
mod schema;
