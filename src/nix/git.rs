//! Git's formats: object ids, commits, tags, trees, attributes, URLs.
//!
//! Pure functions over the bytes of objects; `gather::git` reads them.

pub mod attributes;
pub mod commit;
pub mod date;
pub mod object_id;
pub mod pack;
pub mod pkt_line;
pub mod protocol;
pub mod repository_name;
pub mod tree;
pub mod wildmatch;

pub use object_id::{ObjectId, ObjectIdError};
pub use repository_name::RepositoryName;
