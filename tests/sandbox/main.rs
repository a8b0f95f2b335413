//! Real builds in the sandbox.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "tests state what they expect and touch the world"
)]

mod ends;
mod harness;
mod world;
