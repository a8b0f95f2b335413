//! Contents that Nix may see otherwise than git has them: attributes,
//! submodules, Git LFS, hostile trees.

use std::io::Write as _;
use std::process::Stdio;

use nix_verify::check::Reason;
use nix_verify::check::lock::evidence::{Answer, LockedFacts};
use nix_verify::gather::git::mirrors::Mirrors;
use nix_verify::gather::git::{GitError, Repository, content};
use nix_verify::gather::nar::tree::hash_tree;
use nix_verify::nix::git::ObjectId;
use nix_verify::nix::git::commit::Commit;
use nix_verify::nix::hash::NarHash;

use crate::random_trees::ours;
use crate::repository::{TestFile, TestRepository, text};

const FOREIGN: NarHash = NarHash::from_digest([7; 32]);

fn commit(files: &[TestFile]) -> (TestRepository, ObjectId) {
    let mut made = TestRepository::new();
    let commit = made.commit("refs/heads/main", None, files);
    (made, commit)
}

fn open(made: &TestRepository) -> Repository {
    Repository::open(made.path()).unwrap()
}

/// Why a foreign hash is not refuted.
fn doubt(files: &[TestFile]) -> String {
    let (made, rev) = commit(files);
    match ours(&open(&made), rev, FOREIGN) {
        Answer::Unknown { reason: Reason::Unsupported, detail } => detail,
        other => panic!("{other:?}"),
    }
}

fn pointer() -> String {
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 5\n", "a".repeat(64))
}

#[test]
fn what_could_rewrite_files_keeps_a_hash_from_being_refuted() {
    let attributes = |line: &str| TestFile::new(".gitattributes", line);
    for (files, wanted) in [
        (vec![attributes("v export-subst"), TestFile::new("v", "$Format:%H$")], "export-subst"),
        (vec![attributes("*.bin filter=lfs"), TestFile::new("a.bin", &pointer())], "Git LFS"),
        (vec![attributes("* eol=crlf"), TestFile::new("a", "x\n")], "'eol'"),
        (vec![attributes("a ident"), TestFile::new("a", "$Id$")], "'ident'"),
        (vec![attributes("a filter=other"), TestFile::new("a", "x")], "'filter'"),
        (vec![attributes("a working-tree-encoding=UTF-16"), TestFile::new("a", "x")], "encoding"),
        (vec![TestFile::with_mode("160000", "sub", &"1".repeat(40))], "1 submodule"),
    ] {
        let detail = doubt(&files);
        assert!(detail.contains(wanted), "{detail}");
    }
}

#[test]
fn what_could_not_rewrite_files_does_not() {
    for files in [
        vec![TestFile::new(".gitattributes", "v export-subst"), TestFile::new("v", "plain")],
        vec![TestFile::new(".gitattributes", "*.bin filter=lfs"), TestFile::new("a", "x")],
        vec![TestFile::new(".gitattributes", "* text=auto"), TestFile::new("a", "x")],
        vec![TestFile::new("a", "x")],
        vec![],
    ] {
        let (made, rev) = commit(&files);
        let answer = ours(&open(&made), rev, FOREIGN);
        assert!(matches!(answer, Answer::Refuted { .. }), "{answer:?}");
    }
}

#[test]
fn archives_and_plain_files_are_both_proven() {
    let files = [
        TestFile::new(
            ".gitattributes",
            "tests export-ignore\n*.md export-ignore\nkeep.md -export-ignore\n",
        ),
        TestFile::new("lib/a", "x"),
        TestFile::with_mode("100755", "lib/run", "x"),
        TestFile::with_mode("120000", "link", "lib/a"),
        TestFile::new("README.md", "gone"),
        TestFile::new("keep.md", "kept"),
        TestFile::new("deep/down/README.md", "gone"),
        TestFile::new("deep/tests/case", "gone"),
        TestFile::new("tests/case", "gone"),
    ];
    let (made, rev) = commit(&files);
    let (archive, _) = hash_tree(made.archive(rev).path(), &mut []).unwrap();
    let checkout = tempfile::tempdir().unwrap();
    made.git(&[
        "--work-tree",
        text(checkout.path()),
        "checkout",
        "-q",
        &rev.to_string(),
        "--",
        ".",
    ]);
    let (plain, _) = hash_tree(checkout.path(), &mut []).unwrap();
    assert_ne!(archive, plain);
    let repository = open(&made);
    for hash in [archive, plain] {
        let answer = ours(&repository, rev, hash);
        assert!(matches!(answer, Answer::Proven(_)), "{answer:?}");
    }
    let answer = ours(&repository, rev, FOREIGN);
    assert!(matches!(answer, Answer::Refuted { .. }), "{answer:?}");
}

#[test]
fn submodules_that_were_fetched_too_are_unknown() {
    let (made, rev) = commit(&[TestFile::with_mode("160000", "sub", &"1".repeat(40))]);
    let repository = open(&made);
    let data = repository.object(rev, 1 << 20).unwrap().unwrap().data;
    let tree = Commit::parse(&data).unwrap().tree;
    let locked =
        LockedFacts { nar_hash: Some(FOREIGN), submodules: true, ..LockedFacts::default() };
    let answer = content::nar_hash(&repository, rev, tree, &locked);
    assert!(matches!(answer, Answer::Unknown { reason: Reason::Unsupported, .. }), "{answer:?}");
}

#[test]
fn absent_and_hostile_objects_are_unknown() {
    let (made, rev) = commit(&[TestFile::new("a", "x"), TestFile::new("d/b", "y")]);
    // fast-import leaves a pack; loose objects can be taken out one by one.
    let pack = std::fs::read_dir(made.path().join("objects/pack"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "pack"));
    if let Some(pack) = pack {
        let aside = tempfile::tempdir().unwrap();
        let moved = aside.path().join("moved.pack");
        std::fs::rename(&pack, &moved).unwrap();
        std::fs::remove_file(pack.with_extension("idx")).unwrap();
        let mut child =
            made.command(&["unpack-objects", "-q"]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&std::fs::read(moved).unwrap()).unwrap();
        assert!(child.wait().unwrap().success());
    }
    for object in ["main:a", "main:d"] {
        let id = made.git(&["rev-parse", object]);
        let file = made.path().join("objects").join(&id[..2]).join(&id[2..]);
        let kept = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        let answer = ours(&open(&made), rev, FOREIGN);
        assert!(
            matches!(answer, Answer::Unknown { reason: Reason::NotInMirror, .. }),
            "{object}: {answer:?}"
        );
        // Cut short anywhere, it is damaged, and nothing waits for the rest.
        for end in 0..kept.len() {
            std::fs::write(&file, &kept[..end]).unwrap();
            let opened = Repository::open(made.path());
            assert!(matches!(opened, Err(GitError::Damaged(_))), "{object}: {end}");
        }
        let mirrors = Mirrors::open([text(made.path())]).unwrap();
        assert!(mirrors.all.is_empty() && mirrors.refused.len() == 1);
        std::fs::write(&file, kept).unwrap();
    }
}

/// A commit over a tree written byte by byte, which git would not make.
fn commit_of_raw_tree(made: &TestRepository, raw: &[u8]) -> ObjectId {
    let file = made.path().join("raw");
    std::fs::write(&file, raw).unwrap();
    let tree = made.git(&["hash-object", "-t", "tree", "--literally", "-w", text(&file)]);
    let commit = format!(
        "tree {tree}\nauthor A <a@b> 1600000000 +0000\ncommitter A <a@b> 1600000000 +0000\n\nx\n"
    );
    std::fs::write(&file, commit).unwrap();
    let id = made.git(&["hash-object", "-t", "commit", "--literally", "-w", text(&file)]);
    ObjectId::parse(&id).unwrap()
}

#[test]
fn trees_that_no_checkout_could_have_are_unknown() {
    let (made, _) = commit(&[TestFile::new("a", "x")]);
    let blob = ObjectId::parse(&made.git(&["rev-parse", "main:a"])).unwrap();
    let entry =
        |mode: &str, name: &str| [format!("{mode} {name}\0").as_bytes(), blob.digest()].concat();
    for raw in [
        entry("100644", ".."),
        entry("100644", "a/b"),
        entry("100644", ""),
        [entry("100644", "a"), entry("100755", "a")].concat(),
        entry("100644", "a")[..10].to_vec(),
        entry("060000", "device"),
        // A directory that is a blob, and a file that is a tree.
        entry("40000", "a"),
    ] {
        let rev = commit_of_raw_tree(&made, &raw);
        let answer = ours(&open(&made), rev, FOREIGN);
        assert!(matches!(answer, Answer::Unknown { .. }), "{raw:?}: {answer:?}");
    }
}

#[test]
fn a_small_tree_that_stands_for_billions_of_files_is_too_large() {
    let (made, _) = commit(&[TestFile::new("a", "x")]);
    let blob = ObjectId::parse(&made.git(&["rev-parse", "main:a"])).unwrap();
    let tree = |mode: &str, id: ObjectId| {
        let entries: Vec<Vec<u8>> = (b'a'..=b't')
            .map(|name| [mode.as_bytes(), b" ", &[name], b"\0", id.digest()].concat())
            .collect();
        let file = made.path().join("raw");
        std::fs::write(&file, entries.concat()).unwrap();
        let id = made.git(&["hash-object", "-t", "tree", "-w", text(&file)]);
        ObjectId::parse(&id).unwrap()
    };
    let mut id = tree("100644", blob);
    for _ in 0..9 {
        id = tree("40000", id);
    }
    let raw: Vec<u8> = [b"40000 a\0".as_slice(), id.digest()].concat();
    let rev = commit_of_raw_tree(&made, &raw);
    let answer = ours(&open(&made), rev, FOREIGN);
    assert!(matches!(answer, Answer::Unknown { reason: Reason::TooLarge, .. }), "{answer:?}");
}
