//! What `cargo auditable` leaves in a program: the crates that were linked in.
//!
//! The section `.dep-v0` of ELF, PE and Mach-O is found and unpacked by
//! `auditable-info`, by those who define the format
//! (<https://github.com/rust-secure-code/cargo-auditable>, `PARSING.md`).

use auditable_info::Error;

use super::package::{Ecosystem, Package, Scope};
use super::statement::{ReadError, Statements, is_set, string};
use crate::nix::json::Value;

/// Bytes of the list, unpacked. A program of a thousand crates has 100 KB.
const MAX_LIST: usize = 8 << 20;

/// Reads the list of a program; false if it has none.
///
/// # Errors
/// [`ReadError`] where there is a list and it is damaged.
pub fn read(program: &[u8], out: &mut Statements) -> Result<bool, ReadError> {
    let list = match auditable_info::json_from_slice(program, MAX_LIST) {
        Ok(list) => list,
        // Files that only look like programs, or ones without sections, say nothing.
        Err(Error::NoAuditData | Error::BinaryParsing(_)) => return Ok(false),
        Err(error) => {
            return Err(ReadError::Program(format!("the list of crates is damaged: {error}")));
        }
    };
    let root = out.json(list.as_bytes())?;
    let Some(Value::Array(packages)) = root.member("packages").map(|node| &node.value) else {
        return Err(ReadError::Missing { at: "the list of crates".to_owned(), what: "'packages'" });
    };
    for node in packages {
        let missing = |what| ReadError::Missing { at: "a crate of the list".to_owned(), what };
        let name = string(node, "name").ok_or_else(|| missing("'name'"))?;
        let version = string(node, "version").ok_or_else(|| missing("'version'"))?;
        let source = string(node, "source").ok_or_else(|| missing("'source'"))?;
        // A part of the same workspace is no dependency.
        if is_set(node, "root") || source == "local" {
            continue;
        }
        let mut package = Package::new(Ecosystem::Cargo, name, Some(version));
        let build = string(node, "kind") == Some("build");
        package.scope = if build { Scope::Build } else { Scope::Required };
        if source == "crates.io" {
            package
                .sources
                .insert(format!("https://crates.io/api/v1/crates/{name}/{version}/download"));
        }
        out.push(package)?;
    }
    Ok(true)
}
