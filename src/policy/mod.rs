//! Policies: one judgement over what locks, caches, rebuilds and bills of
//! materials say (`docs/policies.md`).
//!
//! The first law is that nothing passes because something is missing: a fact
//! that is not stated, is misspelt, or is of the wrong type denies; a key of a
//! policy that may be left out means the strictest when it is; a report or
//! bill that breaks its form, or contradicts itself, is a finding whatever the
//! policies say.
//!
//! [`Policy::parse`] reads a policy, [`Material::read`] a report or bill, and
//! [`judge()`] holds one against the other.

pub mod advisories;
mod bills;
pub mod built_in;
pub mod cases;
pub mod check;
mod each;
pub mod file;
pub mod judge;
mod licence;
pub mod material;
pub mod predicate;
mod reader;
pub mod rego;
mod report_things;
mod reports;
pub mod subject;
pub mod suggest;
mod together;
mod version;

pub use file::{Policy, PolicyError};
pub use judge::{Judgement, Setting, judge};
pub use material::Material;
