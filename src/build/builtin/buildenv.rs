//! `builtin:buildenv`: one tree of symbolic links to the files of several
//! packages, as user environments are made of.
//!
//! Follows `src/libstore/builtins/buildenv.cc`. A directory that one package
//! alone has is linked as a whole; as soon as another has it too it becomes a
//! real directory of links. Of two files with the same name the one with the
//! lower priority number wins; with equal numbers there is no answer and the
//! build fails.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{BuiltinError, Environment, attribute, path, path_attribute, warn};

/// The priority number of the first propagated package; each further one gets
/// the next, so that they never collide among each other.
const FIRST_PROPAGATED_PRIORITY: i32 = 1000;

/// Ends of paths that never appear in an environment: useless there, or in
/// every package and so bound to collide.
const LEFT_OUT: [&str; 7] = [
    "/propagated-build-inputs",
    "/nix-support",
    "/perllocal.pod",
    "/info/dir",
    "/log",
    "/manifest.nix",
    "/manifest.json",
];

/// Two packages that cannot be merged. Paths are made safe to print.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Collision {
    /// A directory here, something else there.
    #[error("collision between '{directory}' and non-directory '{other}'")]
    NotADirectory {
        /// The directory.
        directory: String,
        /// What is there already.
        other: String,
    },
    /// Something else here, a directory there.
    #[error("collision between non-directory '{other}' and directory '{directory}'")]
    Directory {
        /// What is no directory.
        other: String,
        /// The directory there already.
        directory: String,
    },
    /// Two files, and no priority decides between them.
    #[error(
        "packages '{new}' and '{old}' have the same priority {priority} (give one of them \
         another number; 0 is the highest priority)"
    )]
    SamePriority {
        /// The file to be linked.
        new: String,
        /// The file that is linked already.
        old: String,
        /// The priority of both.
        priority: i32,
    },
}

/// One package to link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    priority: i32,
    path: Vec<u8>,
    active: bool,
}

/// Builds the environment described by `out`, `derivations` and `manifest`.
///
/// # Errors
/// Missing or bad attributes, packages that collide, what the system refuses.
pub fn build(environment: &Environment) -> Result<(), BuiltinError> {
    let out = path_attribute(environment, "out")?;
    let made = fs::DirBuilder::new().recursive(true).mode(0o777).create(out);
    made.map_err(BuiltinError::io("create", out))?;

    let mut packages = packages(attribute(environment, "derivations")?)?;
    packages.sort();
    let mut tree = Tree::default();
    for package in packages.iter().filter(|package| package.active) {
        tree.add(&package.path, out, package.priority)?;
    }
    let mut priority = FIRST_PROPAGATED_PRIORITY;
    while !tree.postponed.is_empty() {
        for package in std::mem::take(&mut tree.postponed) {
            tree.add(&package, out, priority)?;
            priority = priority.saturating_add(1);
        }
    }

    let manifest = out.join("manifest.nix");
    symlink(path_attribute(environment, "manifest")?, &manifest)
        .map_err(BuiltinError::io("create", &manifest))
}

/// Reads `derivations`: for each derivation whether it is active, its
/// priority, the number of its outputs and their paths.
fn packages(text: &[u8]) -> Result<Vec<Package>, BuiltinError> {
    let mut words = text.split(|byte| b" \t\n\r".contains(byte)).filter(|word| !word.is_empty());
    let mut packages = Vec::new();
    while let Some(active) = words.next() {
        let priority = number(words.next(), "a priority")?;
        for _ in 0..number(words.next(), "a number of outputs")?.max(0) {
            let path = words.next().ok_or_else(|| bad("a path is missing"))?.to_vec();
            packages.push(Package { priority, path, active: active != b"false" });
        }
    }
    Ok(packages)
}

/// The number a word begins with, as `stoi` reads it.
fn number(word: Option<&[u8]>, what: &str) -> Result<i32, BuiltinError> {
    let word = word.ok_or_else(|| bad(&format!("{what} is missing")))?;
    let sign = usize::from(matches!(word.first(), Some(b'+' | b'-')));
    let digits = word.iter().skip(sign).take_while(|byte| byte.is_ascii_digit()).count();
    word.get(..sign + digits)
        .and_then(|number| std::str::from_utf8(number).ok()?.parse().ok())
        .ok_or_else(|| bad(&format!("'{}' is not {what}", word.escape_ascii())))
}

fn bad(why: &str) -> BuiltinError {
    BuiltinError::Attribute { attribute: "derivations", why: why.to_owned() }
}

/// The tree of links while it grows.
#[derive(Debug, Default)]
struct Tree {
    /// The priority with which each link was made.
    priorities: BTreeMap<PathBuf, i32>,
    /// Packages that are in.
    done: BTreeSet<Vec<u8>>,
    /// Packages that others ask for and that are not in yet.
    postponed: BTreeSet<Vec<u8>>,
}

/// One directory still to be linked into another.
#[derive(Debug)]
struct Merge {
    from: PathBuf,
    into: PathBuf,
    priority: i32,
}

impl Tree {
    /// Links a package, and notes which further ones it asks for.
    fn add(&mut self, package: &[u8], out: &Path, priority: i32) -> Result<(), BuiltinError> {
        if !self.done.insert(package.to_vec()) {
            return Ok(());
        }
        self.link(path(package).to_path_buf(), out.to_path_buf(), priority)?;
        let wanted = path(package).join("nix-support/propagated-user-env-packages");
        match fs::read(&wanted) {
            Ok(text) => {
                let words = text.split(|byte| b" \n".contains(byte));
                let wanted = words.filter(|word| !word.is_empty() && !self.done.contains(*word));
                self.postponed.extend(wanted.map(<[u8]>::to_vec));
                Ok(())
            }
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(BuiltinError::io("read", &wanted)(error)),
        }
    }

    /// Links everything in one directory into another. What is nested comes
    /// before what follows it, exactly as a recursion would do it.
    fn link(&mut self, from: PathBuf, into: PathBuf, priority: i32) -> Result<(), BuiltinError> {
        let mut open = vec![Listing::of(Merge { from, into, priority })?];
        while let Some(listing) = open.last_mut() {
            let Some(name) = listing.names.pop_front() else {
                open.pop();
                continue;
            };
            let Merge { from, into, priority } = &listing.merge;
            let (source, link, priority) = (join(from, &name), join(into, &name), *priority);
            // The last one is the first to be worked on.
            for merge in self.link_entry(&source, &link, priority)?.into_iter().rev() {
                open.push(Listing::of(merge)?);
            }
        }
        Ok(())
    }

    /// Links one entry. Answers with the directories to be merged before the
    /// next entry's turn.
    fn link_entry(
        &mut self,
        source: &Path,
        link: &Path,
        priority: i32,
    ) -> Result<Vec<Merge>, BuiltinError> {
        let found = match fs::metadata(source) {
            Ok(found) => found,
            Err(error) if is_absent(&error) => {
                warn(&format!("skipping dangling symlink '{}'", shown(link)));
                return Ok(Vec::new());
            }
            Err(error) => return Err(BuiltinError::io("look at", source)(error)),
        };
        let bytes = source.as_os_str().as_bytes();
        if LEFT_OUT.iter().any(|end| bytes.ends_with(end.as_bytes())) {
            return Ok(Vec::new());
        }
        let there = match fs::symlink_metadata(link) {
            Ok(there) => Some(there.file_type()),
            Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => None,
            Err(error) => return Err(BuiltinError::io("look at", link)(error)),
        };
        let merge = |from: &Path, priority| Merge {
            from: from.to_path_buf(),
            into: link.to_path_buf(),
            priority,
        };
        match there {
            Some(there) if found.is_dir() && there.is_dir() => {
                return Ok(vec![merge(source, priority)]);
            }
            Some(there) if found.is_dir() && there.is_symlink() => {
                let target = fs::canonicalize(link).map_err(BuiltinError::io("resolve", link))?;
                if !target.is_dir() {
                    let (directory, other) = (shown(source), shown(&target));
                    return Err(Collision::NotADirectory { directory, other }.into());
                }
                fs::remove_file(link).map_err(BuiltinError::io("remove", link))?;
                let made = fs::DirBuilder::new().mode(0o755).create(link);
                made.map_err(BuiltinError::io("create", link))?;
                let before = self.priorities.get(link).copied().unwrap_or_default();
                return Ok(vec![merge(&target, before), merge(source, priority)]);
            }
            Some(there) if !found.is_dir() && there.is_symlink() => {
                let before = self.priorities.get(link).copied().unwrap_or_default();
                if before == priority {
                    let old = fs::read_link(link).map_err(BuiltinError::io("read", link))?;
                    let (new, old) = (shown(source), shown(&old));
                    return Err(Collision::SamePriority { new, old, priority }.into());
                }
                if before < priority {
                    return Ok(Vec::new());
                }
                fs::remove_file(link).map_err(BuiltinError::io("remove", link))?;
            }
            Some(there) if !found.is_dir() && there.is_dir() => {
                let (other, directory) = (shown(source), shown(link));
                return Err(Collision::Directory { other, directory }.into());
            }
            Some(_) | None => {}
        }
        symlink(source, link).map_err(BuiltinError::io("create", link))?;
        self.priorities.insert(link.to_path_buf(), priority);
        Ok(Vec::new())
    }
}

/// A directory being linked and the names that are left in it.
#[derive(Debug)]
struct Listing {
    merge: Merge,
    names: VecDeque<OsString>,
}

impl Listing {
    /// Lists a directory; what is none is passed over with a warning. Names
    /// that begin with a dot are left out.
    fn of(merge: Merge) -> Result<Self, BuiltinError> {
        let mut names = Vec::new();
        match fs::read_dir(&merge.from) {
            Ok(entries) => {
                for entry in entries {
                    let entry = entry.map_err(BuiltinError::io("read", &merge.from))?;
                    names.push(entry.file_name());
                }
            }
            Err(error) if error.raw_os_error() == Some(Errno::NOTDIR.raw_os_error()) => {
                warn(&format!(
                    "not including '{}' in the user environment because it's not a directory",
                    shown(&merge.from)
                ));
            }
            Err(error) => return Err(BuiltinError::io("read", &merge.from)(error)),
        }
        names.retain(|name| name.as_bytes().first() != Some(&b'.'));
        names.sort();
        Ok(Self { merge, names: names.into() })
    }
}

/// Joins as Nix does, so that the targets of links come out the same: always
/// with one slash between, whatever the directory's path ends with.
fn join(directory: &Path, name: &OsStr) -> PathBuf {
    let mut bytes = directory.as_os_str().as_bytes().to_vec();
    bytes.push(b'/');
    bytes.extend_from_slice(name.as_bytes());
    OsString::from_vec(bytes).into()
}

fn is_absent(error: &io::Error) -> bool {
    [Errno::NOENT, Errno::NOTDIR]
        .iter()
        .any(|absent| error.raw_os_error() == Some(absent.raw_os_error()))
}

fn shown(path: &Path) -> String {
    path.as_os_str().as_bytes().escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivations_are_read_as_nix_reads_them() {
        let read = |text: &str| packages(text.as_bytes());
        let found = read("true 5 2 /a /b\nfalse -3x\t1 /c  yes +7 0").unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|package| (package.priority, package.path.as_slice(), package.active))
            .collect();
        assert_eq!(found, [(5, b"/a".as_slice(), true), (5, b"/b", true), (-3, b"/c", false)]);
        for bad in
            ["true", "true 5", "true x 1 /a", "true 5 2 /a", "true 99999999999 1 /a", "a - 0"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read(" \n").unwrap().is_empty());
    }
}
