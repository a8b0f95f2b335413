//! From a build directory to store objects.

pub mod handles;
pub mod rejection;
