//! Evidence from git, over real repositories made by real git: hashes judged
//! by real Nix, branches and tags in every misleading shape, and signatures by
//! real `ssh-keygen` and `gpg`.
//!
//! Needs `git`, and for some tests `nix`, `ssh-keygen` and `gpg`. Where one is
//! missing its tests say so and do nothing, unless `CI` is set: then they fail.

#![allow(
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests state what they expect and may stop at the first surprise"
)]

mod branches;
mod contents;
mod random_trees;
mod repository;
mod signatures;
