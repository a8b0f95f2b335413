//! What `verify lock` reads: locks, their bases, and what their URLs serve.

pub mod archives;
pub mod files;
