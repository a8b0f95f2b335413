//! Bills of materials as plain values: what they hold and how they are written.

pub mod vendored;
