//! `verify cache`: what caches and the local store claim, against each other,
//! against their signatures and against their bytes.

pub mod content;
pub mod examine;
pub mod facts;
pub mod judge;
pub mod paths;
pub mod read;
pub mod rules;
mod siblings;
#[cfg(test)]
mod tests;
pub mod versions;

pub use examine::{Examined, Tally, examine};
pub use facts::{
    Answer, Archive, Asked, CaFacts, CaProof, Content, Family, RealisationClaim, RealisationFacts,
    Role, Silence, SourceClaim, SourceFacts, SourceKind, SubjectFacts, Survey,
};
pub use paths::{PathId, PathTable};
pub use read::{Judge, LocalRecord, Reading, read_narinfo, read_record};
pub use versions::{Trust, Version, versions};
