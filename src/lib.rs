//! Supply-chain verification for Nix.
//!
//! Everything `verify` does follows one line:
//!
//! ```text
//! inputs -gather-> facts -check-> outcomes -policy-> verdict -report-> bytes, exit code
//! ```
//!
//! Directories are the nouns and the arrows are the verbs. Only [`gather`]
//! (reading the world), [`build`] (executors), [`state`] (atomic writes) and
//! [`sys`] (system calls) touch the world; [`nix`], [`check`], [`policy`] and
//! [`report`] are plain functions over values. [`command`] joins the arrows.
//! See `docs/architecture.md`.

#![cfg_attr(
    test,
    allow(
        clippy::as_conversions,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used,
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "tests state what they expect and may stop at the first surprise"
    )
)]

pub mod attest;
pub mod build;
pub mod check;
pub mod command;
pub mod gather;
pub mod nix;
pub mod policy;
pub mod report;
pub mod sbom;
pub mod state;
pub mod sys;
