//! Why outputs differ, through the real binary: kinds of non-determinism made
//! on purpose by real programs, built once by real Nix 2.8.0 in other
//! circumstances, signed, and then rebuilt by us. Each has to differ, and the
//! cause has to be the right one. Needs root, Nix and build users; under CI
//! they must be there.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    missing_docs,
    dead_code,
    reason = "tests state what they expect and may stop at the first surprise"
)]

#[path = "../parity/busybox.rs"]
mod busybox;
mod causes;
mod inspect;
mod kept;
mod material;
#[path = "../parity/nix.rs"]
mod nix;
