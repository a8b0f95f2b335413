//! Whether what is to be activated is attested, path by path.
//!
//! A path of a closure passes if enough witnesses attest the very content that
//! lies in the store, or if its path proves that content. Statements that speak
//! against it fail it, whatever speaks for it. What is known of the closure is
//! handed to policies as the outputs of a rebuild report are.

use std::collections::BTreeSet;

use super::judge::{Answer, answer};
use super::pool::{Kind, Pool};
use super::rebuild::ObjectPath;
use super::statement::Digest;
use crate::check::{Finding, Reason, Verdict};
use crate::nix::content_address::{ContentAddress, Method};
use crate::nix::hash::NarHash;
use crate::nix::path_info::PathInfo;
use crate::nix::store_path::StoreDir;
use crate::policy::Material;
use crate::policy::file::Scope;
use crate::policy::material::Form;
use crate::policy::subject::{Fact, Field, Kind as Thing, Subject, Value};

/// The status of a path whose content its own name proves. The word is that of
/// rebuilds, which policies know.
const FIXED: &str = "fixed-by-hash";

/// The status of a path that enough witnesses have rebuilt. Likewise.
const REPRODUCED: &str = "reproduced";

/// The status of a path that too few have.
const NO_REFERENCE: &str = "no-reference";

/// A path of a closure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its path.
    pub path: ObjectPath,
    /// What lies in the store, as far as the store knows.
    pub nar_hash: NarHash,
    /// Whether the path itself proves this content.
    pub fixed: bool,
    /// Whether it is what is to be activated.
    pub is_target: bool,
}

impl Member {
    /// A path with what the store says of it.
    #[must_use]
    pub fn new(
        store_dir: &StoreDir,
        info: &PathInfo,
        address: Option<&ContentAddress>,
        is_target: bool,
    ) -> Self {
        Self {
            path: ObjectPath { dir: store_dir.clone(), path: info.path.clone() },
            nar_hash: info.nar_hash,
            fixed: address.is_some_and(|address| proves(address, info, store_dir)),
            is_target,
        }
    }
}

/// Whether a content address proves the hash of the NAR without a look at the
/// bytes: it is that hash, and the path follows from it.
fn proves(address: &ContentAddress, info: &PathInfo, store_dir: &StoreDir) -> bool {
    address.method() == Method::Recursive
        && NarHash::from_sha256(address.hash()) == Some(info.nar_hash)
        && info.is_content_addressed_by(address, store_dir)
}

/// What came of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// The path.
    pub member: Member,
    /// The judgement.
    pub verdict: Verdict,
    /// The word for it.
    pub status: &'static str,
    /// Who attests it.
    pub attested_by: BTreeSet<String>,
    /// How many builds one of them had, where all gave the same.
    pub builds: Option<u64>,
    /// Why there is no answer.
    pub open: Option<(Reason, String)>,
    /// What fails.
    pub finding: Option<Finding>,
}

/// Judges every path of a closure.
#[must_use]
pub fn passages(pool: &Pool, members: &[Member], min_agree: usize) -> Vec<Passage> {
    members.iter().map(|member| passage(pool, member, min_agree)).collect()
}

fn passage(pool: &Pool, member: &Member, min_agree: usize) -> Passage {
    let name = member.path.to_string();
    let said = |kind| pool.said.get(&(kind, name.clone()));
    let digest = Digest::from(member.nar_hash);
    let ask = |kind| Some(answer(kind, &name, said(kind)?, Some(digest), min_agree));
    let fails = |one: &Answer| one.verdict == Verdict::Fail;
    let rebuilt = ask(Kind::Rebuild);
    // A policy run that failed, over this very content, is heeded too; one that
    // passed says nothing of where the content came from.
    let judged = ask(Kind::Summary)
        .filter(fails)
        .filter(|_| said(Kind::Summary).is_some_and(|said| said.contents.contains_key(&digest)));
    let mut passage = Passage {
        member: member.clone(),
        verdict: Verdict::Inconclusive,
        status: NO_REFERENCE,
        attested_by: BTreeSet::new(),
        builds: None,
        open: None,
        finding: None,
    };
    if let Some(failing) = rebuilt.as_ref().filter(|one| fails(one)).or(judged.as_ref()) {
        passage.verdict = Verdict::Fail;
        passage.status = failing.status;
        passage.finding.clone_from(&failing.finding);
    } else if let Some(passing) = rebuilt.as_ref().filter(|one| one.verdict == Verdict::Pass) {
        passage.verdict = Verdict::Pass;
        passage.status = REPRODUCED;
        passage.attested_by.clone_from(&passing.agree);
        let votes = said(Kind::Rebuild).and_then(|said| said.contents.get(&digest));
        let passing = votes.into_iter().flatten().filter(|vote| vote.verdict == Verdict::Pass);
        passage.builds = passing.filter_map(|vote| vote.builds).max();
    } else if member.fixed {
        passage.verdict = Verdict::Pass;
        passage.status = FIXED;
    } else {
        let nobody = || (Reason::NoReference, "no trusted statement speaks of it".to_owned());
        passage.attested_by = rebuilt.as_ref().map(|one| one.agree.clone()).unwrap_or_default();
        passage.open = Some(rebuilt.and_then(|one| one.open).unwrap_or_else(nobody));
    }
    passage
}

/// A closure as policies see it: like the outputs of a rebuild report.
#[must_use]
pub fn material(target: &ObjectPath, passages: &[Passage]) -> Material {
    let mut listing = String::new();
    let things = passages.iter().enumerate().map(|(at, passage)| {
        let member = &passage.member;
        let path = member.path.to_string();
        listing.push_str(&format!("{path} {}\n", member.nar_hash));
        let mut thing = Subject::new(Thing::Output, path.clone(), format!("/facts/paths/{at}"));
        thing.text(Field::Path, path);
        thing.text(Field::Name, member.path.path.name());
        thing.text(Field::Role, if member.is_target { "target" } else { "closure" });
        thing.text(Field::Verdict, passage.verdict.name());
        thing.text(Field::Status, passage.status);
        thing.text(Field::NarHash, member.nar_hash.hash().sri());
        thing.state(Field::FixedOutput, Fact::Known(Value::Truth(passage.status == FIXED)));
        if let Some(builds) = passage.builds.and_then(|builds| i64::try_from(builds).ok()) {
            thing.state(Field::Builds, Fact::Known(Value::Number(builds)));
            thing.state(Field::Stable, Fact::Known(Value::Truth(true)));
        }
        let by: Vec<String> = passage.attested_by.iter().cloned().collect();
        thing.state(Field::SignedBy, Fact::Known(Value::Texts(by)));
        thing
    });
    let things = things.collect();
    let mut whole = Subject::new(Thing::Report, target.to_string(), "/verdict");
    let count = |wanted: Verdict| {
        let count = passages.iter().filter(|passage| passage.verdict == wanted).count();
        Fact::Known(Value::Number(i64::try_from(count).unwrap_or(i64::MAX)))
    };
    // Of several verdicts the worst; of none nothing can be said.
    let verdict = passages.iter().map(|passage| passage.verdict).max();
    whole.text(Field::Command, "gate");
    whole.text(Field::Tool, env!("CARGO_PKG_VERSION"));
    whole.text(Field::Verdict, verdict.unwrap_or(Verdict::Inconclusive).name());
    whole.state(Field::Errors, count(Verdict::Fail));
    whole.state(Field::Unanswered, count(Verdict::Inconclusive));
    let all = i64::try_from(passages.len()).unwrap_or(i64::MAX);
    whole.state(Field::Subjects, Fact::Known(Value::Number(all)));
    Material {
        name: format!("closure of {target}"),
        sha256: Digest::of(listing.as_bytes()).to_string(),
        form: Form::Report("gate".to_owned()),
        scopes: vec![Scope::Rebuild],
        whole: Some(whole),
        things,
        defects: Vec::new(),
    }
}
