//! Facts in, outcomes out.
//!
//! A check answers in one of three ways: **pass**, **fail** with a
//! [`Finding`], or **inconclusive** with a [`Reason`] from a closed list.
//! What was asked for and could not be checked is inconclusive, never a pass.

/// The page of a rule, by the rule's id.
macro_rules! page {
    ($id:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/checks/", $id, ".md"))
    };
}

pub mod attest;
pub mod baseline;
pub mod cache;
pub mod difference;
pub mod doctor;
pub mod inspect;
pub mod location;
pub mod lock;
pub mod operators;
pub mod outcome;
pub mod policy;
pub mod rebuild;
pub mod registry;
pub mod sample;
pub mod sbom;
pub mod signers;

pub use location::{Location, Mark, Position, Source, Span};
pub use outcome::{
    Coverage, Evidence, Examination, Finding, Inconclusive, Level, NotRun, Reason, Rule, Subject,
    Verdict,
};
