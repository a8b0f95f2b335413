//! What the command line names, told apart by how it is written.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::super::super::cli::RebuildArgs;
use super::super::super::{Environment, ToolError};
use crate::gather::derivations::evaluate::Expression;
use crate::gather::named::files::{Named as Found, look_at};
use crate::gather::named::listing;
use crate::nix::store_path::{StoreDir, StorePath};
use crate::report::text::escape_bytes;

/// What stands for a listing on standard input.
const LISTING: &str = "-";

/// One thing to rebuild.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    /// A `.drv` file.
    File(PathBuf),
    /// A derivation by its store path.
    Derivation(StorePath),
    /// An output, to be rebuilt by what it was made by.
    Output(StorePath),
    /// What Nix makes of an expression.
    Expression(Expression),
}

/// Everything that the arguments name, and the listing on standard input if
/// they ask for it.
///
/// # Errors
/// Something that is none of what can be rebuilt.
pub fn read(
    args: &RebuildArgs,
    environment: &Environment,
    store_dir: &StoreDir,
) -> Result<Vec<Named>, ToolError> {
    let mut words: Vec<OsString> = Vec::new();
    for target in &args.targets {
        if target == OsStr::new(LISTING) {
            words.extend(
                listing::standard_input().map_err(|error| {
                    ToolError::failed("read targets from standard input", error)
                })?,
            );
        } else {
            words.push(target.clone());
        }
    }
    let mut named = words
        .iter()
        .map(|word| tell(word, environment, store_dir))
        .collect::<Result<Vec<_>, _>>()?;
    let expressions = args.expressions.named();
    named.extend(expressions.map(Named::Expression));
    named.sort();
    named.dedup();
    Ok(named)
}

/// Tells one word. What is there as a file is that file; `./x` always is.
fn tell(word: &OsStr, environment: &Environment, store_dir: &StoreDir) -> Result<Named, ToolError> {
    let file = environment.absolute(Path::new(word));
    let text = word.to_str().unwrap_or_default();
    if let Some(path) = in_store(text, store_dir) {
        let derivation = path.is_derivation();
        return Ok(if !derivation {
            Named::Output(path)
        } else if matches!(look_at(&file, store_dir), Found::File) {
            Named::File(file)
        } else {
            Named::Derivation(path)
        });
    }
    match look_at(&file, store_dir) {
        Found::File => Ok(Named::File(file)),
        Found::InStore(path) if path.is_derivation() => Ok(Named::Derivation(path)),
        Found::InStore(path) => Ok(Named::Output(path)),
        Found::Flake => Ok(Named::Expression(Expression::Flake(text.to_owned()))),
        _ if is_installable(text) => Ok(Named::Expression(Expression::Flake(text.to_owned()))),
        Found::Directory => Err(ToolError::Usage(format!(
            "'{}' is a directory without a flake.nix: name a .drv file, a store path or an attribute (-f FILE -A ATTR)",
            escape_bytes(word.as_encoded_bytes())
        ))),
        Found::Nothing => Err(ToolError::Usage(format!(
            "there is no '{}': name a .drv file, a store path, a flake installable (nixpkgs#hello, .#x), an attribute (-f FILE -A ATTR), or '-' for a listing on standard input",
            escape_bytes(word.as_encoded_bytes())
        ))),
    }
}

/// A store path as Nix and its users write it: maybe with the name of an
/// output (`x.drv!dev`, `x.drv^*`), maybe of something inside an object.
fn in_store(text: &str, store_dir: &StoreDir) -> Option<StorePath> {
    let below = text.strip_prefix(store_dir.as_str())?.strip_prefix('/')?;
    let base = below.split('/').next().unwrap_or_default();
    let plain = base.split(['!', '^']).next().unwrap_or_default();
    let path: StorePath = plain.parse().ok()?;
    (base == plain || path.is_derivation()).then_some(path)
}

/// Whether a word has the form of a flake installable: a fragment, or a scheme.
fn is_installable(text: &str) -> bool {
    let scheme = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-'))
    };
    text.contains('#') || text.split_once(':').is_some_and(|(before, _)| scheme(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "0hm2f1psjpcwg8fijsmr4wwxrx59s092-bar";

    fn told(word: &str, directory: &Path) -> Result<Named, String> {
        let environment = Environment {
            arguments: Vec::new(),
            variables: Default::default(),
            directory: directory.to_owned(),
            now: std::time::SystemTime::UNIX_EPOCH,
            started: std::time::Instant::now(),
            process: 1,
            parallelism: 1,
            stdout_terminal: false,
            stderr_terminal: false,
            terminal_width: None,
        };
        tell(OsStr::new(word), &environment, &StoreDir::default()).map_err(|e| e.to_string())
    }

    #[test]
    fn words_are_told_apart() {
        let place = tempfile::tempdir().unwrap();
        let there = place.path();
        std::fs::write(there.join("x.drv"), "").unwrap();
        std::fs::write(there.join("a#b.drv"), "").unwrap();
        std::fs::create_dir_all(there.join("flake")).unwrap();
        std::fs::create_dir_all(there.join("plain")).unwrap();
        std::fs::write(there.join("flake/flake.nix"), "").unwrap();
        let object: StorePath = BASE.parse().unwrap();
        let drv: StorePath = format!("{BASE}.drv").parse().unwrap();
        std::os::unix::fs::symlink(format!("/nix/store/{BASE}"), there.join("result")).unwrap();
        std::os::unix::fs::symlink("result", there.join("again")).unwrap();
        let flake = |text: &str| Named::Expression(Expression::Flake(text.to_owned()));
        for (word, expected) in [
            (format!("/nix/store/{BASE}"), Named::Output(object.clone())),
            (format!("/nix/store/{BASE}/bin/bar"), Named::Output(object.clone())),
            (format!("/nix/store/{BASE}.drv"), Named::Derivation(drv.clone())),
            (format!("/nix/store/{BASE}.drv!dev"), Named::Derivation(drv.clone())),
            (format!("/nix/store/{BASE}.drv^*"), Named::Derivation(drv)),
            ("x.drv".to_owned(), Named::File(there.join("x.drv"))),
            ("a#b.drv".to_owned(), Named::File(there.join("a#b.drv"))),
            ("result".to_owned(), Named::Output(object.clone())),
            ("again".to_owned(), Named::Output(object)),
            (".#x".to_owned(), flake(".#x")),
            ("nixpkgs#hello".to_owned(), flake("nixpkgs#hello")),
            ("github:owner/repo#x".to_owned(), flake("github:owner/repo#x")),
            ("git+https://example.org/x".to_owned(), flake("git+https://example.org/x")),
            ("flake".to_owned(), flake("flake")),
        ] {
            assert_eq!(told(&word, there), Ok(expected), "{word}");
        }
        for word in ["plain", "missing", "", "no/such.drv", "/nix/store/short"] {
            assert!(told(word, there).is_err(), "{word}");
        }
    }
}
