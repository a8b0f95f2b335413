//! Judging a rebuild: what we built beside what caches and stores claim.
//!
//! A claim decides only under a valid signature by a trusted key. An output is
//! *reproduced* iff at least one such claim equals ours and none differs; it
//! *differs* if one differs; it is *forged* if a signature under a trusted
//! name is bad. Unsigned claims and those of a local database are shown and
//! never decide.

pub mod answer;
pub mod blame;
pub mod canary;
pub mod chain;
pub mod claim;
pub mod contrast;
pub mod examine;
pub mod facts;
#[cfg(test)]
pub mod fixture;
pub mod judge;
pub mod planned;
pub mod rounds;
pub mod rules;
pub mod sampled;
pub mod siblings;
pub mod verdicts;

pub use answer::{Answer, read_answer};
pub use claim::{Claim, Contents, Difference, Source, Standing};
pub use contrast::{Contrast, Sides};
pub use examine::examine;
pub use judge::{Basis, Judgement, OutputStatus, judge};
pub use verdicts::{OutputVerdict, verdicts};
