//! Both sides of a difference, got so that it can be explained.

pub mod differing;
pub mod diffoscope;
