//! Attestations through the real binary: made of a real rebuild, checked by us,
//! by OpenSSL and by Nix, forged, contradicted and damaged.

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

mod agreement;
mod all;
mod gate;
mod honest;
mod others;
mod recipes;
mod scene;
#[path = "../support/report_schema.rs"]
mod schema;
mod tampering;
