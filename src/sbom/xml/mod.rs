//! CycloneDX as XML, in both directions, by one table of what corresponds to
//! what in JSON ([`shape`]).
//!
//! <https://cyclonedx.org/docs/1.7/xml/>. What the table does not know is an
//! error of the writer and an open question of the reader, never left out.

mod read;
mod shape;
mod write;

pub use read::{ReadError, XmlDocument, read};
pub use write::{WriteError, write};

/// The beginning of CycloneDX's name spaces; the version follows.
const NAMESPACE: &str = "http://cyclonedx.org/schema/bom/";

#[cfg(test)]
mod tests;
