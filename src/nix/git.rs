//! Git's formats: object ids, commits, tags, trees, attributes.
//!
//! Pure functions over the bytes of objects; `gather::git` reads them.

pub mod object_id;

pub use object_id::{ObjectId, ObjectIdError};
