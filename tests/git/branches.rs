//! Branches, tags and histories in every misleading shape.

use nix_verify::check::Reason;
use nix_verify::check::lock::evidence::{
    Answer, Forge, LockedFacts, PinEvidence, PinQuestion, PinSource,
};
use nix_verify::check::signers::Signers;
use nix_verify::gather::git::answer::answer;
use nix_verify::gather::git::mirrors::Mirrors;
use nix_verify::nix::git::ObjectId;

use crate::repository::{TestFile, TestRepository, text};

const URL: &str = "https://github.com/Owner/repo.git";

fn question(rev: ObjectId) -> PinQuestion {
    PinQuestion {
        input: "a".to_owned(),
        source: PinSource::Forge {
            forge: Forge::GitHub,
            host: "github.com".to_owned(),
            owner: "owner".to_owned(),
            repo: "Repo".to_owned(),
        },
        locked: LockedFacts { rev: Some(rev), ..LockedFacts::default() },
        original_ref: None,
        base_rev: None,
        required_signers: Vec::new(),
    }
}

fn ask(made: &TestRepository, question: &PinQuestion) -> PinEvidence {
    let mirrors = Mirrors::open([text(made.path())]).unwrap();
    answer(question, &mirrors, &Signers::default())
}

fn on(made: &TestRepository, rev: ObjectId, wanted: &str) -> PinEvidence {
    ask(made, &PinQuestion { original_ref: Some(wanted.to_owned()), ..question(rev) })
}

fn proven(answer: &Answer) -> bool {
    matches!(answer, Answer::Proven(_))
}

fn refuted(answer: &Answer) -> bool {
    matches!(answer, Answer::Refuted { .. })
}

fn not_in_mirror(answer: &Answer) -> bool {
    matches!(answer, Answer::Unknown { reason: Reason::NotInMirror, .. })
}

/// Three commits on `main`.
fn history() -> (TestRepository, [ObjectId; 3]) {
    let mut made = TestRepository::new();
    made.clone_of(URL);
    let mut parent = None;
    let commits = ["1", "2", "3"].map(|data| {
        let commit = made.commit("refs/heads/main", parent, &[TestFile::new("f", data)]);
        parent = Some(commit);
        commit
    });
    (made, commits)
}

#[test]
fn a_commit_on_its_branch_is_proven() {
    let (made, [_, second, _]) = history();
    let evidence = on(&made, second, "main");
    assert!(proven(&evidence.exists) && proven(&evidence.reachable), "{evidence:?}");
    assert!(proven(&evidence.on_ref) && proven(&evidence.one_ref), "{evidence:?}");
    assert_eq!(evidence.commit_time, Some(made.time(second)));
}

#[test]
fn a_commit_in_a_pull_request_alone_is_an_impostor() {
    let (mut made, [first, second, _]) = history();
    let impostor = made.commit("refs/pull/7/head", Some(first), &[TestFile::new("f", "evil")]);
    // The branch is newer than the commit, as it is when the clone is.
    let main = made.commit("refs/heads/main", Some(second), &[TestFile::new("f", "4")]);
    let evidence = on(&made, impostor, "main");
    assert!(proven(&evidence.exists), "{evidence:?}");
    assert!(refuted(&evidence.reachable) && refuted(&evidence.on_ref), "{evidence:?}");
    let Answer::Refuted { found, .. } = &evidence.reachable else { unreachable!() };
    assert_eq!(found, "only in refs/pull/7/head");
    // An ancestor of it that is on no branch either.
    let above = made.commit("refs/pull/7/head", Some(impostor), &[TestFile::new("f", "more")]);
    made.commit("refs/heads/main", Some(main), &[TestFile::new("f", "5")]);
    assert_ne!(above, impostor);
    assert!(refuted(&on(&made, impostor, "main").reachable));
    // Merged later, it is as good as any other.
    made.git(&["update-ref", "refs/heads/main", &above.to_string()]);
    assert!(proven(&on(&made, impostor, "main").reachable));
}

#[test]
fn a_clone_that_is_older_than_the_commit_says_nothing() {
    let (mut made, [_, _, third]) = history();
    let newer = made.commit("refs/pull/8/head", Some(third), &[TestFile::new("f", "x")]);
    let evidence = on(&made, newer, "main");
    assert!(not_in_mirror(&evidence.reachable), "{evidence:?}");
    assert!(not_in_mirror(&evidence.on_ref), "{evidence:?}");
    let absent = ObjectId::parse(&"1".repeat(40)).unwrap();
    let evidence = on(&made, absent, "main");
    assert!(not_in_mirror(&evidence.exists), "{evidence:?}");
    assert_eq!(evidence.reachable, Answer::NotAsked);
}

#[test]
fn a_branch_that_was_rewritten_no_longer_has_its_commits() {
    let (mut made, [first, second, third]) = history();
    let new = made.commit("refs/heads/main", Some(first), &[TestFile::new("f", "rewritten")]);
    let evidence = on(&made, third, "main");
    assert!(refuted(&evidence.on_ref), "{evidence:?}");
    // Nothing leads to it: rewritten, or from a fork; an old clone cannot tell.
    assert!(not_in_mirror(&evidence.reachable), "{evidence:?}");
    made.git(&["update-ref", "refs/heads/old", &third.to_string()]);
    let evidence = on(&made, third, "main");
    assert!(refuted(&evidence.on_ref) && proven(&evidence.reachable), "{evidence:?}");

    let question = PinQuestion { base_rev: Some(third), ..question(new) };
    let evidence = ask(&made, &question);
    assert!(refuted(&evidence.descends), "{evidence:?}");
    assert_eq!(evidence.commits_between, Some(1));
    let back = PinQuestion { base_rev: Some(third), ..super::branches::question(second) };
    let evidence = ask(&made, &back);
    let Answer::Refuted { detail, .. } = &evidence.descends else { panic!("{evidence:?}") };
    assert!(detail.contains("is older"), "{detail}");
    let forth = PinQuestion { base_rev: Some(first), ..super::branches::question(third) };
    let evidence = ask(&made, &forth);
    assert!(proven(&evidence.descends), "{evidence:?}");
    assert_eq!(evidence.commits_between, Some(2));
    assert_eq!(evidence.base_time, Some(made.time(first)));
}

#[test]
fn a_branch_and_a_tag_of_one_name_are_told_apart() {
    let (made, [first, _, third]) = history();
    made.git(&["tag", "main", &first.to_string()]);
    let evidence = on(&made, third, "main");
    assert!(refuted(&evidence.one_ref) && proven(&evidence.on_ref), "{evidence:?}");
    let evidence = on(&made, third, "refs/heads/main");
    assert!(proven(&evidence.one_ref), "{evidence:?}");
    made.git(&["tag", "-f", "main", &third.to_string()]);
    assert!(proven(&on(&made, third, "main").one_ref));
}

#[test]
fn a_tag_leads_to_one_commit() {
    let (made, [first, second, third]) = history();
    made.git(&["tag", "-a", "-m", "words", "v1", &second.to_string()]);
    assert!(proven(&on(&made, second, "v1").on_ref));
    assert!(refuted(&on(&made, first, "v1").on_ref));
    assert!(refuted(&on(&made, third, "v1").on_ref));
    assert!(not_in_mirror(&on(&made, third, "gone").on_ref));
    let tag = ObjectId::parse(&made.git(&["rev-parse", "refs/tags/v1"])).unwrap();
    assert!(refuted(&ask(&made, &question(tag)).exists));
}

#[test]
fn times_and_counts_are_compared() {
    let (made, [_, second, _]) = history();
    let time = made.time(second);
    for (claimed, count, wanted) in [(time, 2, true), (time + 3600, 3, false)] {
        let locked = LockedFacts {
            rev: Some(second),
            last_modified: Some(claimed),
            rev_count: Some(count),
            ..LockedFacts::default()
        };
        let evidence = ask(&made, &PinQuestion { locked, ..question(second) });
        assert_eq!(proven(&evidence.last_modified), wanted, "{evidence:?}");
        assert_eq!(refuted(&evidence.last_modified), !wanted, "{evidence:?}");
        assert_eq!(proven(&evidence.rev_count), wanted, "{evidence:?}");
        assert_eq!(refuted(&evidence.rev_count), !wanted, "{evidence:?}");
    }
}

#[test]
fn a_clone_of_something_else_proves_contents_only() {
    let (made, [_, second, _]) = history();
    made.git(&["remote", "set-url", "origin", "https://github.com/attacker/repo"]);
    let evidence = on(&made, second, "main");
    assert!(not_in_mirror(&evidence.exists), "{evidence:?}");
    assert_eq!((&evidence.reachable, &evidence.on_ref), (&Answer::NotAsked, &Answer::NotAsked));
    // Said outright, it is one.
    let named = format!("github:owner/repo={}", text(made.path()));
    let mirrors = Mirrors::open([named.as_str()]).unwrap();
    let question = PinQuestion { original_ref: Some("main".to_owned()), ..question(second) };
    let evidence = answer(&question, &mirrors, &Signers::default());
    assert!(proven(&evidence.exists) && proven(&evidence.on_ref), "{evidence:?}");
}

#[test]
fn ordinary_clones_know_the_branches_of_their_remote() {
    let (made, [_, second, third]) = history();
    let clone = TestRepository::new();
    clone.git(&["remote", "add", "origin", text(made.path())]);
    clone.git(&["fetch", "-q", "origin"]);
    clone.git(&["remote", "set-url", "origin", URL]);
    // A branch of its own is not one of the repository.
    let local = clone.git(&[
        "commit-tree",
        &format!("{third}^{{tree}}"),
        "-p",
        &third.to_string(),
        "-m",
        "x",
    ]);
    clone.git(&["update-ref", "refs/heads/main", &local]);
    assert!(proven(&on(&clone, second, "main").on_ref));
    let local = ObjectId::parse(&local).unwrap();
    let evidence = on(&clone, local, "main");
    assert!(!proven(&evidence.on_ref) && !proven(&evidence.reachable), "{evidence:?}");

    let shallow = TestRepository::new();
    shallow.git(&["remote", "add", "origin", &format!("file://{}", text(made.path()))]);
    shallow.git(&["fetch", "-q", "--depth=1", "origin", "main"]);
    shallow.git(&["remote", "set-url", "origin", URL]);
    shallow.git(&["update-ref", "refs/remotes/origin/main", "FETCH_HEAD"]);
    let locked = LockedFacts { rev: Some(third), rev_count: Some(3), ..LockedFacts::default() };
    let evidence = ask(&shallow, &PinQuestion { locked, ..question(third) });
    assert!(proven(&evidence.reachable) && not_in_mirror(&evidence.rev_count), "{evidence:?}");
}

#[test]
fn a_tag_of_a_fork_beside_is_no_tag_of_the_repository() {
    let (made, [first, second, third]) = history();
    made.git(&["update-ref", "refs/tags/v2", &second.to_string()]);
    let mut fork = TestRepository::new();
    fork.git(&["fetch", "-q", text(made.path()), "main:main"]);
    let impostor = fork.commit("refs/heads/main", Some(third), &[TestFile::new("f", "evil")]);
    fork.git(&["update-ref", "refs/tags/v3", &impostor.to_string()]);
    let clone = TestRepository::new();
    for (remote, place) in [("origin", &made), ("fork", &fork)] {
        clone.git(&["remote", "add", remote, text(place.path())]);
        clone.git(&["fetch", "-q", "--tags", remote]);
    }
    clone.git(&["remote", "set-url", "origin", URL]);
    clone.git(&["remote", "set-url", "fork", "https://github.com/attacker/repo"]);
    let evidence = on(&clone, impostor, "v3");
    assert!(not_in_mirror(&evidence.reachable), "{evidence:?}");
    assert!(not_in_mirror(&evidence.on_ref), "{evidence:?}");
    // Branches are kept apart, so what lies on one is known.
    let evidence = on(&clone, second, "v2");
    assert!(proven(&evidence.reachable) && not_in_mirror(&evidence.on_ref), "{evidence:?}");
    assert!(proven(&on(&clone, first, "main").on_ref));
    // Without the other remote tags are what they seem.
    clone.git(&["remote", "remove", "fork"]);
    assert!(proven(&on(&clone, second, "v2").on_ref));
}

#[test]
fn directories_of_clones_say_by_their_layout_what_they_hold() {
    let (made, [_, second, _]) = history();
    made.git(&["remote", "remove", "origin"]);
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("github.com/owner");
    std::fs::create_dir_all(&place).unwrap();
    made.git(&["clone", "-q", "--bare", ".", text(&place.join("repo.git"))]);
    let mirrors = Mirrors::open([text(root.path())]).unwrap();
    let evidence = answer(&question(second), &mirrors, &Signers::default());
    assert!(proven(&evidence.exists) && proven(&evidence.reachable), "{evidence:?}");
    let empty = tempfile::tempdir().unwrap();
    assert!(Mirrors::open([text(empty.path())]).is_err());
}

#[test]
fn repositories_of_sha256_are_named_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let helper = TestRepository::new();
    helper.git(&["init", "-q", "--bare", "--object-format=sha256", text(dir.path())]);
    let mirrors = Mirrors::open([text(dir.path())]).unwrap();
    let long = ObjectId::parse(&"a".repeat(64)).unwrap();
    let evidence = answer(&question(long), &mirrors, &Signers::default());
    assert!(matches!(evidence.exists, Answer::Unknown { reason: Reason::Unsupported, .. }));
    let short = ObjectId::parse(&"a".repeat(40)).unwrap();
    let evidence = answer(&question(short), &mirrors, &Signers::default());
    let Answer::Unknown { detail, .. } = &evidence.exists else { panic!("{evidence:?}") };
    assert!(detail.contains("SHA-256"), "{detail}");
}
