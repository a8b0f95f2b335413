//! Attestations: what was found out, signed, for somebody who was not there.
//!
//! An attestation is an in-toto statement (v1) in a DSSE envelope, signed with
//! Ed25519. Statements are made from reports alone, and hold nothing that the
//! report does not bear out: a pass is recomputed from the evidence beside it
//! when a statement is made and again when it is read.
//! `docs/attestations.md` describes the formats.

pub mod bill;
pub mod canonical;
pub mod dsse;
pub mod gate;
pub mod judge;
pub mod material;
pub mod nix_signature;
pub mod pem;
pub mod pool;
pub mod rebuild;
pub mod statement;
pub mod summary;
mod wire;
