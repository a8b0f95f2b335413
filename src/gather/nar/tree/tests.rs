//! Trees of all kinds, at rest and not.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::gather::nar::restore::restore;
use crate::nix::nar;
use crate::state::remove::remove_tree;

fn executable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A tree with a bit of everything, and files around every border.
fn mixed(root: &Path) {
    fs::create_dir(root).unwrap();
    for size in [0, 1, 7, 8, 9, 64 * 1024, 192 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 3 << 20] {
        let bytes: Vec<u8> = (0..size).map(|i| (i * 7 % 251) as u8).collect();
        fs::write(root.join(format!("f{size}")), bytes).unwrap();
    }
    for dir in 0..40 {
        let dir = root.join(format!("d{dir}"));
        fs::create_dir(&dir).unwrap();
        for file in 0..5 {
            fs::write(dir.join(format!("{file}")), format!("{file}")).unwrap();
        }
        executable(&dir.join("3"));
        symlink("../f0", dir.join("link")).unwrap();
        fs::create_dir(dir.join("empty")).unwrap();
    }
}

#[test]
fn worked_example_b() {
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().join("hello");
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::write(root.join("a"), "hello\n").unwrap();
    fs::write(root.join("bin/run"), "#!x\n").unwrap();
    executable(&root.join("bin/run"));
    symlink("../a", root.join("bin/ln")).unwrap();
    let (hash, size) = hash_tree(&root, &mut []).unwrap();
    assert_eq!(size, 872);
    assert_eq!(hash.to_string(), "sha256:185aik5mfalmyqczri5l59yqnvvixyys6gxjcp51wkakq7vh7rbs");
}

#[test]
fn dump_check_restore_and_hash_agree() {
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().join("root");
    mixed(&root);
    let mut bytes = Vec::new();
    let size = dump(&root, &mut bytes).unwrap();
    let wanted = nar::check(bytes.as_slice()).unwrap();
    assert_eq!(size, wanted.1);
    let mut tee = Vec::new();
    assert_eq!(hash_tree(&root, &mut [&mut tee]).unwrap(), wanted);
    assert!(tee == bytes);
    // However few names may be held at once.
    let (dir, name) = locate(&root).unwrap();
    for names_budget in [0, 30, 200] {
        let options = TreeOptions { names_budget, ..TreeOptions::default() };
        let hash = hash_at(dir.as_fd(), name, &root, &options, &mut []).unwrap();
        assert_eq!(hash, wanted, "{names_budget}");
    }
    // However many threads read.
    for readers in [0, 1, 3] {
        let options = TreeOptions { readers, ..TreeOptions::default() };
        let hash = hash_at(dir.as_fd(), name, &root, &options, &mut []).unwrap();
        assert_eq!(hash, wanted, "{readers} readers");
    }
    let copy = tmp.path().join("copy");
    assert_eq!(restore(bytes.as_slice(), &copy).unwrap(), wanted);
    assert_eq!(hash_tree(&copy, &mut []).unwrap(), wanted);
    remove_tree(&copy).unwrap();
    assert!(!copy.exists());
    remove_tree(&copy).unwrap();
}

/// Many files, so that everything runs in parallel.
fn many(root: &Path) {
    fs::create_dir(root).unwrap();
    for file in 0..1_000 {
        fs::write(root.join(format!("f{file:04}")), vec![7; 10_000]).unwrap();
    }
}

#[test]
fn what_no_nar_holds_is_named() {
    let tmp = tempfile::tempdir().unwrap();
    for place in ["", "alone", "f0500-", "z"] {
        let root = tmp.path().join(format!("root{place}"));
        let fifo = match place {
            "" => root.clone(),
            "alone" => {
                fs::create_dir(&root).unwrap();
                root.join(place)
            }
            _ => {
                many(&root);
                root.join(place)
            }
        };
        rustix::fs::mkfifoat(CWD, &fifo, Mode::RWXU).unwrap();
        let error = hash_tree(&root, &mut []).unwrap_err();
        let wanted = format!("'{}' is a fifo", fifo.display());
        assert!(error.to_string().starts_with(&wanted), "{error}");
    }
    let error = hash_tree(Path::new("/dev/null"), &mut []).unwrap_err();
    assert!(error.to_string().contains("is a character device"), "{error}");
    let error = hash_tree(&tmp.path().join("missing"), &mut []).unwrap_err();
    assert!(matches!(error, TreeError::Io { .. }), "{error}");
}

#[test]
fn depth_is_bounded_as_in_nars() {
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().join("d");
    let innermost: PathBuf = std::iter::repeat_n("d", MAX_DEPTH).collect();
    fs::create_dir_all(tmp.path().join(&innermost)).unwrap();
    let mut bytes = Vec::new();
    dump(&root, &mut bytes).unwrap();
    nar::check(bytes.as_slice()).unwrap();
    let file = tmp.path().join(innermost).join("file");
    fs::write(&file, "").unwrap();
    let error = dump(&root, &mut io::sink()).unwrap_err();
    assert!(matches!(&error, TreeError::Depth(path) if *path == file), "{error}");
}

#[test]
fn what_changes_between_listing_and_reading_is_noticed() {
    let tmp = tempfile::tempdir().unwrap();
    let secret = tmp.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    type Change = fn(&Path, &Path);
    let changes: [(&str, Change); 6] = [
        ("a", |path, secret| symlink(secret, path).unwrap()),
        ("a", |path, _| rustix::fs::mkfifoat(CWD, path, Mode::RWXU).unwrap()),
        ("a", |path, _| fs::create_dir(path).unwrap()),
        ("a", |_, _| {}),
        ("l", |path, _| fs::write(path, "x").unwrap()),
        ("l", |path, _| fs::create_dir(path).unwrap()),
    ];
    for (index, (name, change)) in changes.into_iter().enumerate() {
        let root = tmp.path().join(format!("{index}"));
        fs::create_dir(&root).unwrap();
        fs::write(root.join("a"), "x").unwrap();
        symlink("a", root.join("l")).unwrap();
        let (dir, base) = locate(&root).unwrap();
        let mut walker = Walker::new(dir.as_fd(), base, &root, NAMES_BUDGET).unwrap();
        let batch = walker.next_batch().unwrap().unwrap();
        fs::remove_file(root.join(name)).unwrap();
        change(&root.join(name), &secret);
        let mut seen = Vec::new();
        let read = batch.read(&Buffers::default(), &mut |chunk| {
            seen.extend(chunk);
            Ok(())
        });
        let error = read.unwrap_err().to_string();
        assert!(error.contains(&format!("{index}/{name}'")), "{error}");
        assert!(!seen.windows(6).any(|window| window == b"secret"));
    }
}

#[test]
fn files_that_grow_or_shrink_are_noticed() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("file");
    for (size, later) in [(600_000, 700_000), (600_000, 500_000), (600_000, 0)] {
        fs::write(&path, vec![1; size]).unwrap();
        let (dir, base) = locate(&path).unwrap();
        let mut walker = Walker::new(dir.as_fd(), base, &path, NAMES_BUDGET).unwrap();
        let batch = walker.next_batch().unwrap().unwrap();
        let mut first = true;
        let read = batch.read(&Buffers::default(), &mut |_| {
            if std::mem::take(&mut first) {
                File::options().write(true).open(&path).unwrap().set_len(later).unwrap();
            }
            Ok(())
        });
        assert!(matches!(read, Err(TreeError::Changed { .. })), "{size} {later}");
    }
}

#[test]
fn a_sink_that_fails_ends_everything() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().join("root");
    many(&root);
    for room in [0, 1_000_000, 9_000_000] {
        let error = hash_tree(&root, &mut [&mut Full(room)]).unwrap_err();
        assert!(matches!(error, TreeError::Sink(_)), "{error}");
    }
}

#[test]
fn paths_of_all_kinds_lead_to_the_same_tree() {
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().join("root");
    fs::create_dir_all(root.join("x")).unwrap();
    fs::write(root.join("x/f"), "1").unwrap();
    let wanted = hash_tree(&root, &mut []).unwrap();
    symlink("root", tmp.path().join("link")).unwrap();
    for path in ["root/", "root/.", "root/x/..", "link/x/.."] {
        assert_eq!(hash_tree(&tmp.path().join(path), &mut []).unwrap(), wanted, "{path}");
    }
    let mut link = Vec::new();
    dump(&tmp.path().join("link"), &mut link).unwrap();
    let mut reader = nar::NarReader::new(link.as_slice());
    assert_eq!(reader.next_event().unwrap(), Some(nar::Event::Symlink(b"root")));
    assert_eq!(
        hash_tree(&tmp.path().join("link/x"), &mut []).unwrap(),
        hash_tree(&root.join("x"), &mut []).unwrap()
    );
}
