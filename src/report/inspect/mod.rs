//! The facts of `verify inspect`: as JSON, and as people see them.

mod against;
mod derivation;
mod lock;
mod nar;
mod narinfo;

use serde_json::{Value, json};

use super::{Report, Section, View};
use crate::check::difference::Explanation;
use crate::check::inspect::derivation::DerivationFacts;
use crate::check::inspect::nar::NarFacts;
use crate::check::inspect::narinfo::NarInfoFacts;
use crate::check::inspect::{Answers, Inspected};
use crate::nix::flake_lock::FlakeLock;
use crate::nix::store_path::StoreDir;

/// How the facts of one kind of file are shown.
trait Facts {
    /// The fields of the public JSON, as an object.
    fn json(&self, store_dir: &StoreDir) -> Value;

    /// What people see.
    fn sections(&self, store_dir: &StoreDir) -> Vec<Section>;
}

/// The report about a NAR.
#[must_use]
pub fn nar(done: Inspected<NarFacts>, store_dir: &StoreDir) -> Report {
    report(("NAR", "NARs"), "nar", done.facts.as_ref(), done.answers, store_dir)
}

/// The report about two NARs.
#[must_use]
pub fn nars(done: Inspected<Explanation>, store_dir: &StoreDir) -> Report {
    report(("NAR", "NARs"), "nars", done.facts.as_ref(), done.answers, store_dir)
}

/// The report about a narinfo.
#[must_use]
pub fn narinfo(done: Inspected<NarInfoFacts>, store_dir: &StoreDir) -> Report {
    report(("narinfo", "narinfos"), "narinfo", done.facts.as_ref(), done.answers, store_dir)
}

/// The report about a derivation.
#[must_use]
pub fn derivation(done: Inspected<DerivationFacts>, store_dir: &StoreDir) -> Report {
    report(("derivation", "derivations"), "drv", done.facts.as_ref(), done.answers, store_dir)
}

/// The report about a lock file.
#[must_use]
pub fn lock(done: Inspected<FlakeLock<'_>>, store_dir: &StoreDir) -> Report {
    report(("lock file", "lock files"), "lock", done.facts.as_ref(), done.answers, store_dir)
}

fn report<F: Facts>(
    noun: (&'static str, &'static str),
    kind: &str,
    facts: Option<&F>,
    answers: Answers,
    store_dir: &StoreDir,
) -> Report {
    let mut public = json!({ "kind": kind });
    if let (Some(object), Some(Value::Object(more))) =
        (public.as_object_mut(), facts.map(|facts| facts.json(store_dir)))
    {
        object.extend(more);
    }
    let sections = facts.map(|facts| facts.sections(store_dir)).unwrap_or_default();
    Report::from(answers.into_examination(public)).with_view(View {
        sections,
        noun: Some(noun),
        lists_subjects: false,
    })
}
