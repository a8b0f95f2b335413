//! Bills of materials as plain values: what they hold and how they are written.
//!
//! What others have written is judged on the raw JSON ([`document`],
//! [`validate`], [`profile`]), never on a model that may lose a field.

pub mod assemble;
pub mod bill;
pub mod csv;
pub mod cyclonedx;
pub mod difference;
pub mod document;
pub mod legacy;
pub mod meta;
pub mod name;
pub mod outline;
pub mod profile;
pub mod proof;
pub mod purl;
mod schemas;
pub mod source;
pub mod spdx;
pub mod validate;
pub mod vendored;
pub mod written;
pub mod xml;
