//! Replacing hash parts in a whole tree: in contents, names and targets.
//!
//! Nix does this to the NAR of the tree (`rewriteOutput`), which comes to the
//! same: lengths and padding stand between all strings of a NAR, so no
//! occurrence reaches over the end of one.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::fs::FileType;

use super::handles;
use super::rejection::{Rejection, Stop};
use crate::build::BuildError;
use crate::nix::references::ReferenceScanner;
use crate::nix::rewrite::HashRewriter;
use crate::nix::store_path::StorePath;

/// Bytes read at once.
const BUFFER: usize = 128 * 1024;

/// Replacements, to be made one after the other.
pub type Rewrites = [(StorePath, StorePath)];

/// Replaces in the object `name` of a directory that only we write to.
///
/// # Errors
/// [`Stop::Rejected`] if a new name is taken already.
pub fn rewrite(root: BorrowedFd<'_>, name: &CStr, rewrites: &Rewrites) -> Result<(), Stop> {
    entry(root, None, name, rewrites)
}

/// Replaces in one entry and below it: of a directory `inside` the object, or
/// of `root` if it is the object itself. New files are made in
/// `root` and moved to where they belong.
fn entry(
    root: BorrowedFd<'_>,
    inside: Option<BorrowedFd<'_>>,
    name: &CStr,
    rewrites: &Rewrites,
) -> Result<(), Stop> {
    let parent = inside.unwrap_or(root);
    let stat = handles::look(parent, name)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => directory(root, parent, name, rewrites),
        FileType::Symlink => {
            let target = handles::target(parent, name)?;
            match rewritten(&target, rewrites) {
                Some(target) => {
                    let temporary = handles::temporary_name();
                    handles::link(root, &temporary, &target)?;
                    replace(root, &temporary, inside, name)
                }
                None => Ok(()),
            }
        }
        _ => {
            let temporary = handles::temporary_name();
            let mut source = handles::open_file(parent, name)?;
            let failed = |source| BuildError::Path {
                action: "rewrite",
                path: handles::text(name).into(),
                source,
            };
            if !mentions(&mut source, rewrites).map_err(failed)? {
                return Ok(());
            }
            let mut source = handles::open_file(parent, name)?;
            let made = handles::create(root, &temporary)?;
            let kept = made.try_clone().map_err(failed)?;
            stream(&mut source, made, rewrites).map_err(failed)?;
            handles::seal(&kept, stat.st_mode & 0o555)?;
            replace(root, &temporary, inside, name)
        }
    }
}

/// Moves a new file over an old one; the directories of the object are sealed.
fn replace(
    root: BorrowedFd<'_>,
    temporary: &CStr,
    inside: Option<BorrowedFd<'_>>,
    name: &CStr,
) -> Result<(), Stop> {
    match inside {
        None => Ok(handles::rename(root, temporary, root, name)?),
        Some(parent) => {
            handles::unlocked(parent, || Ok(handles::rename(root, temporary, parent, name)?))
        }
    }
}

fn directory(
    root: BorrowedFd<'_>,
    parent: BorrowedFd<'_>,
    name: &CStr,
    rewrites: &Rewrites,
) -> Result<(), Stop> {
    let here = handles::enter(parent, name)?;
    let entries = handles::entries(here.as_fd())?;
    for (child, _) in &entries {
        entry(root, Some(here.as_fd()), child, rewrites)?;
    }
    for (child, _) in &entries {
        let Some(new) = rewritten(child, rewrites) else { continue };
        if handles::exists(here.as_fd(), &new)? {
            let (path, name) = (handles::text(child), handles::text(&new));
            return Err(Rejection::NameTaken { path, name }.into());
        }
        handles::unlocked::<Stop>(here.as_fd(), || {
            Ok(handles::rename(here.as_fd(), child, here.as_fd(), &new)?)
        })?;
    }
    Ok(())
}

/// A name or target with the replacements made, if any was.
fn rewritten(text: &CStr, rewrites: &Rewrites) -> Option<CString> {
    let mut bytes = text.to_bytes().to_vec();
    for (from, to) in rewrites {
        let mut rewriter = HashRewriter::between(Vec::new(), from, to);
        // A vector takes everything.
        rewriter.write_all(&bytes).ok()?;
        bytes = rewriter.finish().ok()?.0;
    }
    if bytes == text.to_bytes() { None } else { CString::new(bytes).ok() }
}

/// Whether a file holds anything to be replaced.
fn mentions(source: &mut File, rewrites: &Rewrites) -> io::Result<bool> {
    let mut scanner = ReferenceScanner::new(rewrites.iter().map(|(from, _)| from));
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = source.read(&mut buffer)?;
        if read == 0 {
            return Ok(false);
        }
        scanner.feed(buffer.get(..read).unwrap_or_default());
        if !scanner.found().is_empty() {
            return Ok(true);
        }
    }
}

/// A step on the way to a file, told when the stream ends.
trait Stage: Write {
    fn end(self: Box<Self>) -> io::Result<()>;
}

impl Stage for File {
    fn end(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

impl Stage for HashRewriter<Box<dyn Stage>> {
    fn end(self: Box<Self>) -> io::Result<()> {
        let (next, _) = self.finish()?;
        next.end()
    }
}

/// Copies a file with the replacements made.
fn stream(source: &mut File, sink: File, rewrites: &Rewrites) -> io::Result<()> {
    let mut stage: Box<dyn Stage> = Box::new(sink);
    for (from, to) in rewrites.iter().rev() {
        stage = Box::new(HashRewriter::between(stage, from, to));
    }
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = source.read(&mut buffer)?;
        if read == 0 {
            return stage.end();
        }
        stage.write_all(buffer.get(..read).unwrap_or_default())?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn pairs() -> Vec<(StorePath, StorePath)> {
        let path = |base: &str| base.parse().unwrap();
        vec![
            (
                path("c5asc3lmr2jn3f0m2y77cf48078qb9mg-a"),
                path("fj6lb7gkbaynfim0zqiqiykjk08bjnm6-a"),
            ),
            (
                path("h8pi8b9sq1yivxzrq4g6y4s3ab3lgi36-b"),
                path("45lapyaxy4yd2rrqxivfvipvrmzfz5av-b"),
            ),
        ]
    }

    fn run(root: &Path) -> Result<(), Stop> {
        let handle = handles::open_directory(root).unwrap();
        rewrite(handle.as_fd(), c"tree", &pairs())
    }

    #[test]
    fn everything_that_mentions_a_path_is_rewritten() {
        let root = tempfile::tempdir().unwrap();
        let tree = root.path().join("tree");
        let [(a, new_a), (b, new_b)] = pairs().try_into().unwrap();
        let long = format!("{}{a}{}{b}", "x".repeat(BUFFER - 10), "y".repeat(BUFFER));
        std::fs::create_dir_all(tree.join(b.to_string()).join("d")).unwrap();
        std::fs::write(tree.join(b.to_string()).join(a.to_string()), &long).unwrap();
        std::fs::write(tree.join("other"), "nothing").unwrap();
        symlink(format!("/{a}/{b}"), tree.join("link")).unwrap();
        run(root.path()).unwrap();

        let inside = tree.join(new_b.to_string());
        let found = std::fs::read_to_string(inside.join(new_a.to_string())).unwrap();
        let wanted = long.replace(&a.to_string(), &new_a.to_string());
        assert_eq!(found, wanted.replace(&b.to_string(), &new_b.to_string()));
        let target = std::fs::read_link(tree.join("link")).unwrap();
        assert_eq!(target, Path::new(&format!("/{new_a}/{new_b}")));
        assert_eq!(std::fs::read_dir(&tree).unwrap().count(), 3);
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn a_name_that_is_taken_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let [(a, new_a), _] = pairs().try_into().unwrap();
        std::fs::create_dir(root.path().join("tree")).unwrap();
        for name in [a, new_a] {
            std::fs::write(root.path().join("tree").join(name.to_string()), "").unwrap();
        }
        let stop = run(root.path()).unwrap_err();
        assert!(matches!(stop, Stop::Rejected(Rejection::NameTaken { .. })), "{stop:?}");
    }
}
