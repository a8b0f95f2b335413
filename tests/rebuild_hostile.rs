//! Graphs, caches and state directories made to mislead a rebuild: nothing may
//! be called reproduced that was not, and no innocent cache may be blamed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

#[path = "made/mod.rs"]
mod made;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix_verify::nix::build_trace::{BuildTraceEntry, BuildTraceKey};
use nix_verify::nix::content_address::Method;
use nix_verify::nix::derivation::{Derivation, Output, check_paths};
use nix_verify::nix::hash::{Hash, HashAlgorithm};
use nix_verify::nix::realisation::{DrvOutput, Realisation};
use nix_verify::nix::signature::SecretKey;
use nix_verify::nix::store_path::{StoreDir, StorePath};
use serde_json::Value;

use made::{Said, nar, publish, settle};

/// The quick start's builder: `>NAME` opens an output, `<PATH` copies a file
/// into it, anything else is written as a line.
const BUILDER: &str = "2i35cbvw6vg687id9b9k78ck9ws5j7zl-quickstart-builder";

const BLOB: &[u8] = b"blob\n";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/quickstart")
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed("made-1".parse().unwrap(), &[seed; 32])
}

/// The key that is trusted, and another of the same name.
const TRUSTED: u8 = 1;
const FORGER: u8 = 2;

/// A derivation that was made, with the path of its output if it is known.
#[derive(Clone)]
struct Made {
    drv_path: StorePath,
    out: Option<StorePath>,
}

impl Made {
    fn out(&self) -> &StorePath {
        self.out.as_ref().unwrap()
    }
}

/// Derivations, a cache with the quick start's builder, and a state directory.
struct Scene {
    place: tempfile::TempDir,
    store_dir: StoreDir,
    derivations: BTreeMap<StorePath, Derivation>,
}

impl Scene {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let status =
            Command::new("cp").arg("-r").arg(fixtures().join("cache")).arg(place.path()).status();
        assert!(status.unwrap().success());
        Self { place, store_dir: StoreDir::default(), derivations: BTreeMap::new() }
    }

    fn cache(&self) -> PathBuf {
        self.place.path().join("cache")
    }

    /// Makes a derivation with one output and writes it down.
    fn derivation(
        &mut self,
        name: &str,
        args: &[&str],
        inputs: &[&Made],
        output: Option<Output>,
    ) -> Made {
        let builder = format!("/nix/store/{BUILDER}");
        let text = |text: &str| text.as_bytes().to_vec();
        let stated = StorePath::new([0; 20], name).unwrap();
        let output = output.unwrap_or(Output::InputAddressed { path: stated });
        let outputs = || BTreeSet::from(["out".to_owned()]).into();
        let mut derivation = Derivation {
            outputs: [("out".to_owned(), output)].into(),
            input_drvs: inputs.iter().map(|made| (made.drv_path.clone(), outputs())).collect(),
            input_srcs: BTreeSet::from([BUILDER.parse().unwrap()]),
            platform: text("x86_64-linux"),
            builder: text(&builder),
            args: args.iter().map(|arg| text(arg)).collect(),
            env: BTreeMap::from([
                (text("builder"), text(&builder)),
                (text("name"), text(name)),
                (text("out"), Vec::new()),
                (text("system"), text("x86_64-linux")),
            ]),
        };
        let (below, directory) = (&self.derivations, self.place.path());
        let (drv_path, paths) = settle(&mut derivation, name, &self.store_dir, below, directory);
        self.derivations.insert(drv_path.clone(), derivation);
        Made { drv_path, out: paths.get("out").cloned() }
    }

    fn blob(&mut self, how: &str) -> Made {
        let path = StorePath::new([0; 20], "blob").unwrap();
        let hash = Hash::of(HashAlgorithm::Sha256, BLOB);
        let output = Output::Fixed { path, method: Method::Flat, hash };
        self.derivation("blob", &[how], &[], Some(output))
    }

    /// A derivation whose output path follows from its content.
    fn floating(&mut self, name: &str, args: &[&str]) -> (Made, DrvOutput) {
        let output =
            Output::FloatingCa { method: Method::Recursive, algorithm: HashAlgorithm::Sha256 };
        let made = self.derivation(name, args, &[], Some(output));
        let derivation = &self.derivations[&made.drv_path];
        let report =
            check_paths(derivation, &made.drv_path, &self.store_dir, &self.derivations).unwrap();
        (made, DrvOutput::new(report.modulo.unwrap(), "out").unwrap())
    }

    /// Publishes a plain file with that content as `path`.
    fn publish(
        &self,
        path: &StorePath,
        content: &[u8],
        references: &[&StorePath],
        key: Option<u8>,
    ) {
        let key = key.map(self::key);
        let said = Said { references, key: key.as_ref(), ..Said::default() };
        publish(&self.cache(), &self.store_dir, path, &nar(content), said);
    }

    fn realisation(&self, id: &DrvOutput) -> PathBuf {
        self.cache().join(id.cache_path())
    }

    fn publish_realisation(&self, id: &DrvOutput, out_path: &StorePath, seed: u8) {
        let mut realisation = Realisation {
            id: id.clone(),
            out_path: out_path.clone(),
            dependent_realisations: BTreeMap::new(),
            signatures: Vec::new(),
        };
        realisation.sign(&key(seed));
        let file = self.realisation(id);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, realisation.to_json()).unwrap();
    }

    fn rebuild(&self, targets: &[&Made], options: &[&str]) -> Outcome {
        let targets = targets.iter().map(|made| self.place.path().join(made.drv_path.to_string()));
        let output = Command::new(env!("CARGO_BIN_EXE_verify"))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .arg("rebuild")
            .args(targets)
            .arg("--cache")
            .arg(format!("file://{}", self.cache().display()))
            .arg("--trusted-keys-file")
            .arg(fixtures().join("keys.txt"))
            .arg("--trusted-key")
            .arg(key(TRUSTED).public_key().to_string())
            .arg("--state-dir")
            .arg(self.place.path().join("state"))
            .args(["--offline", "--format", "json", "--reproducible"])
            .args(options)
            .output()
            .unwrap();
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        Outcome { code: output.status.code().unwrap(), report }
    }

    /// The tree of the object with that name in the state directory.
    fn object(&self, name: &str) -> PathBuf {
        let room = self.place.path().join("state/objects");
        let named = room.read_dir().unwrap().map(|entry| entry.unwrap().path());
        let place = named.into_iter().find(|path| path.to_str().unwrap().ends_with(name)).unwrap();
        place.read_dir().unwrap().next().unwrap().unwrap().path().join("tree")
    }
}

struct Outcome {
    code: i32,
    report: Value,
}

impl Outcome {
    fn words(&self, list: &str, field: &str) -> Vec<&str> {
        let list = self.report.pointer(list).unwrap().as_array().unwrap();
        list.iter().map(|entry| entry[field].as_str().unwrap()).collect()
    }

    fn statuses(&self) -> Vec<&str> {
        self.words("/subjects", "status")
    }

    fn rules(&self) -> Vec<&str> {
        self.words("/findings", "rule")
    }

    fn reasons(&self) -> Vec<&str> {
        self.words("/coverage/inconclusive", "reason")
    }

    #[track_caller]
    fn assert(&self, code: i32, statuses: &[&str]) {
        assert_eq!((self.code, self.statuses().as_slice()), (code, statuses), "{:#}", self.report);
    }
}

/// Output paths do not depend on how a fixed input is fetched, so several
/// derivations can make one path. Whoever reads it reads one that stays.
#[test]
fn derivations_that_share_an_output_path_do_not_take_it_from_each_other() {
    let mut scene = Scene::new();
    let blobs: Vec<Made> = (0..6).map(|how| scene.blob(&how.to_string())).collect();
    scene.publish(blobs[0].out(), BLOB, &[], None);
    let twins: Vec<Made> =
        blobs.iter().map(|blob| scene.derivation("twin", &[">out", "x"], &[blob], None)).collect();
    assert!(twins.iter().all(|twin| twin.out() == twins[0].out()));
    let mut last = twins[0].clone();
    for step in 0..6 {
        let read = format!("</nix/store/{}", twins[0].out());
        let inputs = [&last, &twins[0]];
        last = scene.derivation(&format!("step-{step}"), &[">out", &read], &inputs, None);
    }
    scene.publish(last.out(), b"x\n", &[], Some(TRUSTED));
    let targets: Vec<&Made> = twins.iter().chain([&last]).collect();
    for jobs in ["3", "4", "8"] {
        let outcome = scene.rebuild(&targets, &["--jobs", jobs]);
        assert_eq!(outcome.code, 3, "{:#}", outcome.report);
        assert!(outcome.statuses().contains(&"reproduced"), "{:#}", outcome.report);
    }
}

#[test]
fn claimed_references_never_bring_in_what_is_to_be_built() {
    let mut scene = Scene::new();
    let input = scene.derivation("input", &[">out", "x"], &[], None);
    let read = format!("</nix/store/{}", input.out());
    let target = scene.derivation("target", &[">out", &read], &[&input], None);
    scene.publish(target.out(), b"x\n", &[], Some(TRUSTED));
    scene.publish(input.out(), b"x\n", &[], Some(TRUSTED));
    scene.rebuild(&[&target], &[]).assert(0, &["reproduced"]);

    scene.publish(input.out(), b"x\n", &[target.out()], Some(TRUSTED));
    scene.rebuild(&[&target], &[]).assert(3, &["unsupported"]);
}

/// What was had once is had again without anybody, if its bytes are right.
#[test]
fn a_fixed_output_is_kept_by_its_hash() {
    let mut scene = Scene::new();
    let blob = scene.blob("0");
    let read = format!("</nix/store/{}", blob.out());
    let target = scene.derivation("target", &[">out", &read], &[&blob], None);
    scene.publish(target.out(), BLOB, &[], Some(TRUSTED));
    let without = scene.rebuild(&[&target], &[]);
    without.assert(3, &["offline"]);
    scene.publish(blob.out(), BLOB, &[], None);
    scene.rebuild(&[&target], &[]).assert(0, &["reproduced"]);
    let narinfo = scene.cache().join(format!("{}.narinfo", blob.out().hash_part()));
    std::fs::remove_file(narinfo).unwrap();
    scene.rebuild(&[&target, &blob], &[]).assert(0, &["reproduced", "fixed-by-hash"]);

    let tree = scene.object("-blob");
    std::fs::remove_file(&tree).unwrap();
    std::fs::write(tree, b"something else\n").unwrap();
    assert_eq!(scene.rebuild(&[&target], &[]).report["subjects"], without.report["subjects"]);
}

/// Nix 2.35 and later write realisations down by the resolved derivation.
#[test]
fn a_build_trace_says_so_too() {
    let mut scene = Scene::new();
    let (target, _) = scene.floating("floating", &[">out", "x"]);
    // Without input derivations it is resolved as it is.
    let key = BuildTraceKey::new(target.drv_path.clone(), "out").unwrap();
    let outcome = scene.rebuild(&[&target], &[]);
    outcome.assert(3, &["no-reference"]);
    let path = outcome.report["subjects"][0]["id"].as_str().unwrap();
    let path = scene.store_dir.parse(path).unwrap();
    let elsewhere = StorePath::new([7; 20], "floating").unwrap();
    let publish = |out_path: &StorePath, seed: u8, damage: &str| {
        let mut entry = BuildTraceEntry {
            key: key.clone(),
            out_path: out_path.clone(),
            signatures: Vec::new(),
        };
        entry.sign(&self::key(seed));
        let file = scene.cache().join(key.cache_path());
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, entry.to_json() + damage).unwrap();
    };
    publish(&path, TRUSTED, "");
    scene.rebuild(&[&target], &[]).assert(0, &["reproduced"]);
    publish(&elsewhere, TRUSTED, "");
    scene.rebuild(&[&target], &[]).assert(1, &["differs"]);
    publish(&path, FORGER, "");
    scene.rebuild(&[&target], &[]).assert(1, &["forged"]);
    publish(&path, TRUSTED, "}");
    let outcome = scene.rebuild(&[&target], &[]);
    assert_eq!((outcome.code, outcome.rules()), (1, vec!["malformed-realisation"]));
}

#[test]
fn only_a_realisation_says_what_a_content_addressed_output_is() {
    let mut scene = Scene::new();
    let (target, id) = scene.floating("floating", &[">out", "x"]);
    let outcome = scene.rebuild(&[&target], &[]);
    outcome.assert(3, &["no-reference"]);
    let path = outcome.report["subjects"][0]["id"].as_str().unwrap();
    let path = scene.store_dir.parse(path).unwrap();
    let elsewhere = StorePath::new([7; 20], "floating").unwrap();

    // Somebody's genuine object of that content, made by who knows what.
    scene.publish(&path, b"x\n", &[], Some(TRUSTED));
    scene.rebuild(&[&target], &[]).assert(3, &["no-reference"]);

    scene.publish_realisation(&id, &path, TRUSTED);
    scene.rebuild(&[&target], &[]).assert(0, &["reproduced"]);
    scene.publish_realisation(&id, &elsewhere, TRUSTED);
    scene.rebuild(&[&target], &[]).assert(1, &["differs"]);
    scene.publish_realisation(&id, &path, FORGER);
    scene.rebuild(&[&target], &[]).assert(1, &["forged"]);
}

#[test]
fn a_realisation_that_cannot_be_read_is_an_open_question() {
    let mut scene = Scene::new();
    let (target, id) = scene.floating("floating", &[">out", "x"]);
    let path = scene.rebuild(&[&target], &[]).report["subjects"][0]["id"].clone();
    let path = scene.store_dir.parse(path.as_str().unwrap()).unwrap();
    scene.publish_realisation(&id, &path, TRUSTED);

    // A second cache, whose answer could be another.
    let other = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(other.path().join(id.cache_path())).unwrap();
    let url = format!("file://{}", other.path().display());
    let outcome = scene.rebuild(&[&target], &["--cache", &url]);
    outcome.assert(3, &["reproduced"]);
    assert_eq!(outcome.reasons(), ["unreachable"], "{:#}", outcome.report);
}

#[test]
fn a_forged_realisation_of_an_input_shows_though_the_input_fails() {
    let mut scene = Scene::new();
    let (input, id) = scene.floating("input", &["<missing"]);
    let target = scene.derivation("target", &[">out", "x"], &[&input], Some(Output::Deferred));
    let elsewhere = StorePath::new([7; 20], "input").unwrap();
    scene.publish_realisation(&id, &elsewhere, FORGER);
    let outcome = scene.rebuild(&[&target], &[]);
    outcome.assert(1, &["blocked-by"]);
    assert_eq!(outcome.rules(), ["forged-signature"], "{:#}", outcome.report);
}

#[test]
fn a_damaged_object_in_the_state_directory_is_got_again() {
    let mut scene = Scene::new();
    let target = scene.derivation("target", &[">out", "x"], &[], None);
    scene.publish(target.out(), b"x\n", &[], Some(TRUSTED));
    let blob = scene.blob("how");
    scene.publish(blob.out(), BLOB, &[], None);
    scene.rebuild(&[&target, &blob], &[]);
    for name in [BUILDER, "-blob"] {
        let tree = scene.object(name);
        std::fs::remove_file(&tree).unwrap();
        std::fs::write(tree, b"something else\n").unwrap();
    }
    let outcome = scene.rebuild(&[&target, &blob], &[]);
    assert_eq!((outcome.code, outcome.rules().len()), (0, 0), "{:#}", outcome.report);
    assert_eq!(std::fs::read(scene.object("-blob")).unwrap(), BLOB);
}

#[test]
fn silent_caches_give_the_same_report_every_time() {
    let mut scene = Scene::new();
    let targets: Vec<Made> = (0..12)
        .map(|index| scene.derivation(&format!("target-{index}"), &[">out", "x"], &[], None))
        .collect();
    let targets: Vec<&Made> = targets.iter().collect();
    // Without network, nobody answers there.
    let down = ["--cache", "http://127.0.0.1:1/one", "--cache", "http://127.0.0.1:1/two"];
    let first = scene.rebuild(&targets, &down);
    assert_eq!(first.code, 3, "{:#}", first.report);
    for jobs in ["1", "8"] {
        let again = scene.rebuild(&targets, &[&down[..], &["--jobs", jobs]].concat());
        assert_eq!(again.report, first.report);
    }
}

/// The local store was asked for; a row of it that cannot be read is no answer.
#[test]
fn a_local_claim_that_cannot_be_read_is_an_open_question() {
    let mut scene = Scene::new();
    let target = scene.derivation("target", &[">out", "x"], &[], None);
    scene.publish(target.out(), b"x\n", &[], Some(TRUSTED));
    let root = scene.place.path().join("root");
    std::fs::create_dir_all(root.join("nix/var/nix/db")).unwrap();
    std::fs::create_dir_all(root.join("nix/store")).unwrap();
    let database = rusqlite::Connection::open(root.join("nix/var/nix/db/db.sqlite")).unwrap();
    database
        .execute_batch(
            "create table ValidPaths (id integer primary key, path text unique not null, \
             hash text not null, registrationTime integer not null, deriver text, \
             narSize integer, ultimate integer, sigs text, ca text); \
             create table Refs (referrer integer not null, reference integer not null);",
        )
        .unwrap();
    let option = format!("--local-store={}", root.display());
    scene.rebuild(&[&target], &[&option]).assert(0, &["reproduced"]);
    let row =
        "insert into ValidPaths (path, hash, registrationTime, narSize) values (?1, 'x', 0, 1)";
    database.execute(row, [scene.store_dir.full(target.out())]).unwrap();
    let outcome = scene.rebuild(&[&target], &[&option]);
    outcome.assert(3, &["reproduced"]);
    assert_eq!(outcome.reasons(), ["unreachable"], "{:#}", outcome.report);
}

/// What is built on an input that came out otherwise than claimed, because the
/// claimed one cannot be had, says nothing about the claim of the target.
#[test]
fn a_target_on_a_diverged_input_is_neither_reproduced_nor_different() {
    let mut scene = Scene::new();
    let input = scene.derivation("input", &[">out", "x"], &[], None);
    let read = format!("</nix/store/{}", input.out());
    let target = scene.derivation("target", &[">out", &read], &[&input], None);
    scene.publish(input.out(), b"y\n", &[], Some(TRUSTED));
    scene.publish(target.out(), b"y\n", &[], Some(TRUSTED));
    scene.rebuild(&[&target], &[]).assert(0, &["reproduced"]);

    let lost = scene.place.path().join("lost");
    std::fs::rename(scene.place.path().join("state"), lost).unwrap();
    let nar = scene.cache().join(format!("nar/{}.nar", input.out().hash_part()));
    std::fs::remove_file(nar).unwrap();
    let outcome = scene.rebuild(&[&target], &[]);
    let mut statuses = outcome.statuses();
    statuses.sort_unstable();
    assert_eq!(
        (outcome.code, statuses),
        (1, vec!["blocked-by", "differs"]),
        "{:#}",
        outcome.report
    );
}
