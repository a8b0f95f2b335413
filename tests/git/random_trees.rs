//! The hashes of random trees, computed from the object database, against what
//! real Nix says of the same commits.

use nix_verify::check::lock::evidence::{Answer, LockedFacts};
use nix_verify::gather::git::{Object, Repository, content};
use nix_verify::nix::git::ObjectId;
use nix_verify::nix::git::commit::Commit;
use nix_verify::nix::hash::NarHash;

use crate::repository::{TestFile, TestRepository, installed, nix, text};

/// Random trees.
const TREES: usize = 240;

/// Names that have tripped programs up.
const NAMES: [&[u8]; 22] = [
    b"a",
    b"A",
    b"a.b",
    b"a-b",
    b"a b",
    b"ab",
    b"foo",
    b"FOO",
    b"Foo",
    b"foo.",
    b"foo~nix~case~hack~1",
    b".hidden",
    b"-dash",
    b"\xc3\xa9",
    b"e\xcc\x81",
    b"\xff\xfe",
    b"quote\"'",
    b"tab\there",
    b"back\\slash",
    b"new\nline",
    b"lib",
    b"z",
];

fn random_files(random: &mut fastrand::Rng) -> Vec<TestFile> {
    let mut files: Vec<TestFile> = Vec::new();
    let count = random.usize(0..25);
    while files.len() < count {
        let depth = random.usize(1..5);
        let path =
            (0..depth).map(|_| NAMES[random.usize(..NAMES.len())]).collect::<Vec<_>>().join(&b'/');
        // A path can be a file or a directory, not both.
        let clashes = files.iter().any(|file| {
            let within = |a: &[u8], b: &[u8]| {
                a == b || b.strip_prefix(a).is_some_and(|rest| rest.starts_with(b"/"))
            };
            within(&file.path, &path) || within(&path, &file.path)
        });
        if clashes {
            continue;
        }
        let size = match random.u8(..10) {
            0 => 0,
            1 => random.usize(..300_000),
            _ => random.usize(..200),
        };
        let bytes: Vec<u8> = (0..size).map(|_| random.u8(..)).collect();
        let (mode, data) = match random.u8(..10) {
            0..=5 => ("100644", bytes),
            6 | 7 => ("100755", bytes),
            8 => ("120000", format!("../{}", random.u32(..)).into_bytes()),
            _ if random.bool() => ("160000", "1".repeat(40).into_bytes()),
            _ => ("120000", b"/absolute and \xff".to_vec()),
        };
        files.push(TestFile { mode, path, data });
    }
    if random.u8(..3) == 0 {
        let patterns =
            ["a", "/foo", "lib/", "*.b", "a/**", "z export-ignore\nlib/z -export-ignore\nx"];
        let lines: String = (0..random.usize(1..4))
            .map(|_| format!("{} export-ignore\n", patterns[random.usize(..patterns.len())]))
            .collect();
        let at = [".gitattributes", "lib/.gitattributes"][random.usize(..2)];
        if !files.iter().any(|file| file.path == b"lib" || file.path.starts_with(b"lib/.git")) {
            files.push(TestFile::new(at, &lines));
        }
    }
    files
}

/// What real Nix says of many commits of a repository.
pub fn nix_hashes(repository: &TestRepository, commits: &[ObjectId]) -> Vec<NarHash> {
    let home = tempfile::tempdir().unwrap();
    let list: String = commits.iter().map(|commit| format!(" \"{commit}\"")).collect();
    let expression = format!(
        "map (rev: (builtins.fetchGit {{ url = \"file://{}\"; inherit rev; allRefs = true; }}).narHash) [{list} ]",
        text(repository.path())
    );
    let output =
        nix(home.path(), &["eval", "--impure", "--json", "--expr", &expression]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let hashes: Vec<String> = serde_json::from_slice(&output.stdout).unwrap();
    nix_verify::state::remove::remove_tree(&home.path().join("nix")).unwrap();
    hashes.iter().map(|hash| NarHash::parse(hash).unwrap()).collect()
}

/// What we say.
pub fn ours(repository: &Repository, rev: ObjectId, claimed: NarHash) -> Answer {
    let Object { data, .. } = repository.object(rev, 1 << 20).unwrap().unwrap();
    let tree = Commit::parse(&data).unwrap().tree;
    let locked = LockedFacts { nar_hash: Some(claimed), ..LockedFacts::default() };
    content::nar_hash(repository, rev, tree, &locked)
}

#[test]
fn random_trees_have_the_hash_that_nix_gives_them() {
    if !installed("nix", "--version") {
        return;
    }
    let mut random = fastrand::Rng::with_seed(7);
    let mut made = TestRepository::new();
    let mut commits = Vec::new();
    for _ in 0..TREES {
        let files = random_files(&mut random);
        commits.push(made.commit("refs/heads/main", commits.last().copied(), &files));
    }
    // Half of them from a pack, with deltas.
    made.git(&["repack", "-q", "-a", "-d"]);
    let hashes = nix_hashes(&made, &commits);
    let repository = Repository::open(made.path()).unwrap();
    let mut distinct = std::collections::BTreeSet::new();
    for (commit, hash) in commits.iter().zip(&hashes) {
        let answer = ours(&repository, *commit, *hash);
        assert!(matches!(answer, Answer::Proven(_)), "{commit}: {answer:?}");
        distinct.insert(hash);
        let foreign = NarHash::from_digest([7; 32]);
        let answer = ours(&repository, *commit, foreign);
        let wanted = |answer: &Answer| match answer {
            Answer::Refuted { expected, .. } => *expected == foreign.hash().sri(),
            Answer::Unknown { detail, .. } => detail.contains("submodule"),
            _ => false,
        };
        assert!(wanted(&answer), "{commit}: {answer:?}");
    }
    assert!(distinct.len() > TREES * 9 / 10, "{}", distinct.len());
    println!("{TREES} trees, {} different hashes, all equal to those of Nix", distinct.len());
}
