//! Formats beside real Nix: derivations, structured attributes, NARs, narinfos,
//! signatures and realisations.

#![allow(
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests state what they expect and may stop at the first surprise"
)]

mod attributes;
mod derivations;
mod nar;
mod narinfo;
mod oracle;
