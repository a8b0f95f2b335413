//! NARs, judged by real Nix: its hashes and dumps of random trees, and what it
//! restores of NARs in which something was changed.
//!
//! Needs `nix` and `nix-store`, 2.4 or later. Where they are missing the tests
//! say so and do nothing, unless `CI` is set: then they fail.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use nix_verify::gather::nar::restore::restore;
use nix_verify::gather::nar::tree::{dump, hash_tree};
use nix_verify::nix::hash::{Hash, HashAlgorithm};
use nix_verify::nix::nar::{self, NarErrorKind};
use nix_verify::nix::references::{HashModuloHasher, HashRewriter};
use nix_verify::nix::store_path::{StoreDir, StorePath};
use nix_verify::state::remove::remove_tree;

/// Random trees that are hashed.
const TREES: usize = 1_000;

/// Those of them that are dumped one by one as well.
const DUMPED: usize = 200;

/// Changed NARs.
const MUTANTS: usize = 1_050;

/// Whether real Nix can be asked.
fn nix() -> bool {
    let there = |program: &str| {
        let version = Command::new(program).arg("--version").stderr(Stdio::null()).output();
        version.is_ok_and(|output| output.status.success())
    };
    let there = there("nix") && there("nix-store");
    assert!(there || std::env::var_os("CI").is_none(), "nix is missing, and CI is set");
    if !there {
        eprintln!("skipped: nix is not installed");
    }
    there
}

/// A `nix` command that touches no store but `store`.
fn command(program: &str, store: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("NIX_REMOTE", format!("local?root={}", store.display()));
    command.env("HOME", store).env_remove("NIX_CONFIG");
    if program == "nix" {
        command.args(["--extra-experimental-features", "nix-command ca-derivations", "--offline"]);
    }
    command
}

#[track_caller]
fn output(mut command: Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The NAR hashes of many objects, in Nix32.
fn nix_hashes(paths: &[PathBuf], store: &Path) -> Vec<String> {
    let of = |paths: &[PathBuf]| {
        let mut command = command("nix", store);
        command.args(["hash", "path", "--base32", "--type", "sha256"]).args(paths);
        String::from_utf8(output(command)).unwrap()
    };
    let texts: Vec<String> = paths.chunks(500).map(of).collect();
    let hashes: Vec<String> =
        texts.iter().flat_map(|text| text.lines()).map(str::to_owned).collect();
    assert_eq!(hashes.len(), paths.len());
    hashes
}

fn our_hash(path: &Path) -> String {
    hash_tree(path, &mut []).unwrap().0.hash().nix32()
}

fn our_dump(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let size = dump(path, &mut bytes).unwrap();
    assert_eq!(size, bytes.len() as u64);
    bytes
}

/// A name: usually simple, sometimes everything a file system allows.
fn random_name(random: &mut fastrand::Rng) -> Vec<u8> {
    let fixed: [&[u8]; 12] = [
        b"a",
        b"a.b",
        b"a-b",
        b"ab",
        b"A",
        b"-",
        b"~nix~case~hack~1",
        b"\xc3\xa9",
        b"...",
        b" x ",
        b"a\nb",
        b"\xff\xfe",
    ];
    let name: Vec<u8> = match random.u8(0..10) {
        0..4 => random.choice(&fixed).unwrap().to_vec(),
        4..9 => (0..random.usize(1..12)).map(|_| random.u8(b'a'..=b'z')).collect(),
        _ => (0..random.usize(1..256)).map(|_| random.u8(1..)).collect(),
    };
    let name: Vec<u8> =
        name.into_iter().map(|byte| if byte == b'/' { b'_' } else { byte }).collect();
    if matches!(name.as_slice(), b"." | b"..") { b"dots".to_vec() } else { name }
}

fn random_contents(random: &mut fastrand::Rng) -> Vec<u8> {
    let size = match random.u8(0..20) {
        0 => 0,
        1 => random.usize(60_000..70_000),
        2 => random.usize(250_000..300_000),
        _ => random.usize(0..70),
    };
    (0..size).map(|_| random.u8(..)).collect()
}

/// Makes a random file system object.
fn random_tree(path: &Path, random: &mut fastrand::Rng, depth: usize) {
    match random.u8(0..10) {
        0..4 if depth > 0 => {
            fs::create_dir(path).unwrap();
            for _ in 0..random.usize(0..7) {
                let name = random_name(random);
                let entry = path.join(OsStr::from_bytes(&name));
                if fs::symlink_metadata(&entry).is_err() {
                    random_tree(&entry, random, depth - 1);
                }
            }
        }
        0..6 => {
            let target = if random.bool() { random_name(random) } else { vec![b'/'; 4095] };
            symlink(OsStr::from_bytes(&target), path).unwrap();
        }
        _ => {
            fs::write(path, random_contents(random)).unwrap();
            let modes =
                [0o644, 0o755, 0o444, 0o555, 0o600, 0o700, 0o100, 0o011, 0o000, 0o4755, 0o666];
            let mode = *random.choice(&modes).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
}

#[test]
fn random_trees_hash_dump_and_restore_as_with_nix() {
    if !nix() {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let store = tmp.path().join("store");
    let parent = tmp.path().join("trees");
    fs::create_dir(&parent).unwrap();
    let mut random = fastrand::Rng::with_seed(2);
    let paths: Vec<PathBuf> = (0..TREES).map(|i| parent.join(format!("t{i}"))).collect();
    for path in &paths {
        random_tree(path, &mut random, 4);
    }
    // What no other user may read, root may; others skip such files.
    make_readable(&parent);
    for (path, wanted) in paths.iter().zip(nix_hashes(&paths, &store)) {
        assert_eq!(our_hash(path), wanted, "{}", path.display());
    }
    let whole = our_dump(&parent);
    let mut dumped = command("nix-store", &store);
    dumped.arg("--dump").arg(&parent);
    assert!(output(dumped) == whole, "the dumps of all trees together differ");

    let copies = tmp.path().join("copies");
    fs::create_dir(&copies).unwrap();
    let (mut restored, mut hashes) = (Vec::new(), Vec::new());
    for path in paths.iter().take(DUMPED) {
        let mut dumped = command("nix-store", &store);
        dumped.arg("--dump").arg(path);
        let bytes = output(dumped);
        assert!(our_dump(path) == bytes, "the dumps of {} differ", path.display());
        let copy = copies.join(path.file_name().unwrap());
        let (hash, size) = restore(bytes.as_slice(), &copy).unwrap();
        assert_eq!(size, bytes.len() as u64);
        assert_eq!(nar::check(bytes.as_slice()).unwrap(), (hash, size));
        assert!(our_dump(&copy) == bytes, "{} was restored otherwise", path.display());
        assert_canonical(&copy);
        hashes.push(hash.hash().nix32());
        restored.push(copy);
    }
    assert_eq!(nix_hashes(&restored, &store), hashes);
    remove_tree(&copies).unwrap();
    remove_tree(&parent).unwrap();
    assert!(!copies.exists() && !parent.exists());
}

/// Adds the owner's right to read where it is missing and the caller is not
/// root, who needs none.
fn make_readable(path: &Path) {
    let meta = fs::symlink_metadata(path).unwrap();
    if meta.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| make_readable(&entry.unwrap().path()));
    } else if meta.is_file() && File::open(path).is_err() {
        let mode = meta.permissions().mode() | 0o400;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// Modes and times as Nix registers them.
fn assert_canonical(path: &Path) {
    let meta = fs::symlink_metadata(path).unwrap();
    assert_eq!((meta.mtime(), meta.mtime_nsec()), (1, 0), "{}", path.display());
    if meta.is_symlink() {
        return;
    }
    let mode = meta.permissions().mode() & 0o7777;
    assert!(mode == 0o555 || (meta.is_file() && mode == 0o444), "{}: {mode:o}", path.display());
    if meta.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| assert_canonical(&entry.unwrap().path()));
    }
}

/// A NAR in words: strings, each with its length and padding.
type Words = Vec<Vec<u8>>;

fn words(text: &str) -> Words {
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn encode(words: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in words {
        let length = word.len() as u64;
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(nar::padding_of(length));
    }
    out
}

/// The words of a random node. With `wild`, lists may be unsorted, fields in
/// another order, names bad. Targets are always harmless.
fn random_node(random: &mut fastrand::Rng, depth: usize, wild: bool) -> Words {
    let wild = |random: &mut fastrand::Rng| wild && random.u8(0..6) == 0;
    let mut out = words("( type");
    match random.u8(0..5) {
        0..3 if depth > 0 => {
            out.extend(words("directory"));
            let mut names: Vec<Vec<u8>> = (0..random.usize(0..5))
                .map(|_| {
                    let letters = [b'a', b'b', b'.', b'-', b'A', b'~', 0xe9];
                    (0..random.usize(1..4)).map(|_| *random.choice(&letters).unwrap()).collect()
                })
                .collect();
            if !wild(random) {
                names.sort();
                names.dedup();
                names.retain(|name| !matches!(name.as_slice(), b"." | b".."));
            } else if let Some(name) = names.first_mut()
                && random.bool()
            {
                *name = random.choice(&[b"".as_slice(), b".", b"a/b", b"a\0"]).unwrap().to_vec();
            }
            for name in names {
                out.extend(words("entry ( name"));
                out.push(name);
                out.extend(words("node"));
                let wild = wild(random);
                out.extend(random_node(random, depth - 1, wild));
                out.extend(words(")"));
            }
        }
        0..4 => {
            out.extend(words("symlink target"));
            let empty = wild(random);
            out.push(if empty { Vec::new() } else { vec![b't'; random.usize(1..20)] });
        }
        _ => {
            out.extend(words("regular"));
            let executable = [b"executable".to_vec(), Vec::new()];
            let mut contents = words("contents");
            contents.push((0..random.usize(0..20)).map(|_| random.u8(..)).collect());
            match (random.bool(), wild(random)) {
                (true, false) => out.extend(executable.into_iter().chain(contents)),
                (false, false) => out.extend(contents),
                (true, true) => out.extend(contents.into_iter().chain(executable)),
                (false, true) => out.extend(executable),
            }
        }
    }
    out.extend(words(")"));
    out
}

/// A NAR in which usually something is wrong.
fn mutant(random: &mut fastrand::Rng) -> Vec<u8> {
    let kind = random.u8(0..12);
    let mut words = words("nix-archive-1");
    words.extend(random_node(random, 4, kind == 0 || kind == 1));
    let index = random.usize(0..words.len());
    match kind {
        2 => drop(words.remove(index)),
        3 => words.insert(index, words[index].clone()),
        4 if index + 1 < words.len() => words.swap(index, index + 1),
        5 => {
            let from = random.usize(0..words.len());
            words[index] = words[from].clone();
        }
        _ => {}
    }
    let mut bytes = encode(&words);
    let at = random.usize(0..bytes.len());
    match kind {
        6 => bytes[at] ^= 1 << random.u8(0..8),
        7 => bytes.truncate(at),
        8 => bytes.extend((0..random.usize(1..20)).map(|_| random.u8(0..2))),
        9 => {
            // A length, as often as not.
            let at = at & !7;
            let lengths = [0, 1, 8, 255, 1 << 20, 1 << 47, 1 << 63, u64::MAX, u64::MAX - 7];
            let length: u64 = *random.choice(&lengths).unwrap();
            bytes[at..at + 8].copy_from_slice(&length.to_le_bytes());
        }
        10 => bytes[at] = random.u8(..),
        _ => {}
    }
    bytes
}

/// Directories within each other, too many for any but old Nix.
fn too_deep() -> Vec<u8> {
    let mut all = words("nix-archive-1");
    for _ in 0..70 {
        all.extend(words("( type directory entry ( name d node"));
    }
    all.extend(words("( type directory )"));
    for _ in 0..70 {
        all.extend(words(") )"));
    }
    encode(&all)
}

/// Lets Nix restore each of `mutants`, and says which it took and what it then
/// makes of them: their hash when dumped again.
fn restored_by_nix(mutants: &[Vec<u8>], dir: &Path) -> Vec<Option<String>> {
    let store = dir.join("store");
    for (index, bytes) in mutants.iter().enumerate() {
        fs::write(dir.join(format!("{index}.nar")), bytes).unwrap();
    }
    // One shell for many, and a wrong length must not take all memory.
    let script = "ulimit -v 4000000; for n; do \
        if nix-store --restore \"$0/r$n\" <\"$0/$n.nar\" 2>/dev/null; then echo \"$n\"; fi; done";
    let restore_some = |indices: Vec<usize>| {
        let mut command = command("sh", &store);
        command.args(["-c", script]).arg(dir).args(indices.iter().map(ToString::to_string));
        String::from_utf8(output(command)).unwrap()
    };
    let threads = thread::available_parallelism().map_or(2, usize::from);
    let all: Vec<usize> = (0..mutants.len()).collect();
    let taken: Vec<String> = thread::scope(|scope| {
        let parts = all.chunks(mutants.len().div_ceil(threads));
        let workers: Vec<_> =
            parts.map(|part| scope.spawn(|| restore_some(part.to_vec()))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let mut restored: Vec<Option<PathBuf>> = vec![None; mutants.len()];
    for index in taken.iter().flat_map(|text| text.lines()) {
        let index: usize = index.parse().unwrap();
        restored[index] = Some(dir.join(format!("r{index}")));
    }
    let taken: Vec<PathBuf> = restored.iter().flatten().cloned().collect();
    let mut hashes = nix_hashes(&taken, &store).into_iter();
    restored.iter().map(|path| path.as_ref().and_then(|_| hashes.next())).collect()
}

#[test]
fn accepted_exactly_if_nix_restores_and_dumps_the_same_bytes() {
    if !nix() {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(4);
    let mut mutants: Vec<Vec<u8>> = (0..MUTANTS).map(|_| mutant(&mut random)).collect();
    mutants.push(too_deep());
    let (mut accepted, mut taken, mut stricter) = (0, 0, 0);
    for (bytes, restored) in mutants.iter().zip(restored_by_nix(&mutants, tmp.path())) {
        let hash = Hash::of(HashAlgorithm::Sha256, bytes).nix32();
        let same = restored.as_ref() == Some(&hash);
        taken += usize::from(restored.is_some());
        match nar::check(bytes.as_slice()) {
            Ok((found, size)) => {
                assert!(same, "only Nix refuses {}", bytes.escape_ascii());
                assert_eq!((found.hash().nix32(), size), (hash, bytes.len() as u64));
                accepted += 1;
            }
            // The one case in which newer Nix is stricter than 2.8.
            Err(error) if same => {
                assert!(matches!(error.kind, NarErrorKind::Depth), "only we refuse: {error}");
                stricter += 1;
            }
            Err(_) => {}
        }
    }
    eprintln!("{accepted} accepted, {taken} taken by Nix, {stricter} refused by us alone");
    // The property is empty unless all three kinds are met often.
    assert!(accepted > MUTANTS / 8, "{accepted}");
    assert!(taken > accepted + MUTANTS / 40, "{taken}");
    assert!(mutants.len() - taken > MUTANTS / 4, "{taken}");
    assert!(stricter <= 1, "{stricter}");
}

/// Self-references: content, a name and a symlink's target.
fn self_referring(path: &Path, own: &StorePath, random: &mut fastrand::Rng) {
    let part = own.hash_part();
    fs::create_dir_all(path.join("bin")).unwrap();
    let mut contents = random_contents(random);
    for _ in 0..random.usize(0..6) {
        let at = random.usize(0..=contents.len());
        contents.splice(at..at, part.bytes());
    }
    fs::write(path.join("a"), contents).unwrap();
    fs::write(path.join(format!("x-{part}")), format!("{part}{part} {}", &part[1..])).unwrap();
    symlink(format!("/nix/store/{own}/a"), path.join("bin/link")).unwrap();
}

#[test]
fn self_references_are_hashed_and_rewritten_as_by_nix() {
    if !nix() {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().join("root");
    let physical = root.join("nix/store");
    fs::create_dir_all(&physical).unwrap();
    let dir = StoreDir::default();
    let mut random = fastrand::Rng::with_seed(9);
    let mut table = String::new();
    let mut wanted = Vec::new();
    for index in 0..20_u8 {
        let bytes = std::array::from_fn(|_| random.u8(..));
        let own = StorePath::new(bytes, &format!("ca{index}")).unwrap();
        let object = physical.join(own.to_string());
        self_referring(&object, &own, &mut random);
        let mut modulo = HashModuloHasher::new(HashAlgorithm::Sha256, &own);
        let (hash, size) = hash_tree(&object, &mut [&mut modulo]).unwrap();
        let full = dir.full(&own);
        table += &format!("{full}\n{}\n{size}\n\n1\n{full}\n", hash.hash().base16());

        let modulo = modulo.finish();
        assert!(modulo.offsets.len() >= 4);
        assert_ne!(modulo.with_offsets, modulo.without_offsets);
        let name = own.name();
        let path = StorePath::make(&dir, "source:self", &modulo.with_offsets, name).unwrap();
        let mut rewriter = HashRewriter::between(Vec::new(), &own, &path);
        dump(&object, &mut rewriter).unwrap();
        let (bytes, offsets) = rewriter.finish().unwrap();
        assert_eq!(offsets, modulo.offsets);
        wanted.push((full, path, modulo.with_offsets, bytes));
    }
    let mut load = command("nix-store", &root);
    load.arg("--load-db").stdin(Stdio::piped());
    let mut load = load.spawn().unwrap();
    load.stdin.take().unwrap().write_all(table.as_bytes()).unwrap();
    assert!(load.wait().unwrap().success());
    let mut make = command("nix", &root);
    make.args(["store", "make-content-addressed"]).args(wanted.iter().map(|(full, ..)| full));
    output(make);
    let mut info = command("nix", &root);
    info.args(["path-info", "--json"]).args(wanted.iter().map(|(_, path, ..)| dir.full(path)));
    let info: serde_json::Value = serde_json::from_slice(&output(info)).unwrap();
    for (full, path, modulo, bytes) in wanted {
        let fact = info.as_array().unwrap().iter().find(|fact| fact["path"] == dir.full(&path));
        let fact = fact.unwrap_or_else(|| panic!("{full} became another path than {path}"));
        assert_eq!(fact["ca"], format!("fixed:r:sha256:{}", modulo.nix32()));
        assert_eq!(fact["narHash"], Hash::of(HashAlgorithm::Sha256, &bytes).sri());
        assert!(our_dump(&physical.join(path.to_string())) == bytes);
    }
    remove_tree(&root).unwrap();
}
