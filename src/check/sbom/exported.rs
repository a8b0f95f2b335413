//! What a bill of materials that we have made does not know, and whether what
//! was handed over for it fits: the checks of `verify sbom export`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Checked;
use super::rules::{EVIDENCE_DIFFERS, UNMATCHED_META};
use crate::check::cache::rules::MODIFIED_PATH;
use crate::check::{
    Coverage, Examination, Finding, Inconclusive, NotRun, Reason, Subject, Verdict,
};
use crate::nix::hash::NarHash;
use crate::nix::store_path::{StoreDir, StorePath};
use crate::sbom::bill::{Bill, Component, Licence, Reference};
use crate::sbom::proof::Proofs;

/// The check that an unknown fact leaves open.
const KNOWN: &str = "what it is";

/// The check that unknown dependencies leave open.
const DEPENDENCIES: &str = "what it depends on";

/// The check that evidence is about what is in the bill.
const EVIDENCE: &str = "whether the evidence is about it";

/// A bill with what is known about how it was made.
pub struct Exported<'a> {
    /// The bill.
    pub bill: &'a Bill,
    /// The store directory.
    pub store_dir: &'a StoreDir,
    /// The form it was written in, as people call it.
    pub form: String,
    /// What the form could not say.
    pub left_out: &'a BTreeSet<String>,
    /// Whether descriptions were handed over.
    pub described: bool,
    /// The evidence that was handed over.
    pub proofs: &'a Proofs,
    /// Objects whose bytes are not what is said of them: path, stated, found.
    pub modified: Vec<(StorePath, NarHash, NarHash)>,
    /// What is wrong with the targets.
    pub findings: Vec<Finding>,
    /// Targets that could not be read.
    pub unanswered: Vec<Inconclusive>,
    /// What came of holding the document against profiles, if that was asked
    /// for.
    pub checked: Option<Checked>,
}

/// What came of it.
#[derive(Debug)]
pub struct Judged {
    /// The judgement.
    pub examination: Examination,
    /// How many components there are.
    pub components: usize,
    /// How many dependencies.
    pub dependencies: usize,
    /// How many components have each of these.
    pub counts: Vec<(&'static str, usize)>,
    /// The form.
    pub form: String,
    /// What the form could not say.
    pub left_out: Vec<String>,
}

/// Judges a bill.
#[must_use]
pub fn examine(exported: Exported<'_>) -> Judged {
    let bill = exported.bill;
    let mut coverage = Coverage::default();
    coverage.inconclusive.extend(exported.unanswered);
    let mut findings = exported.findings;
    for (path, stated, found) in exported.modified {
        let finding = Finding::new(
            &MODIFIED_PATH,
            exported.store_dir.full(&path),
            "its bytes do not have the hash that is said of it, so the bill does not describe them",
        );
        findings.push(
            finding
                .with("stated NarHash", stated.to_string())
                .with("found NarHash", found.to_string()),
        );
    }
    let undepended: BTreeSet<&Reference> = bill.unknown_dependencies().collect();
    for (reference, component) in &bill.components {
        coverage.asked += 1;
        let before = coverage.inconclusive.len();
        let mut open = |check: &str, detail: &str| {
            coverage.inconclusive.push(Inconclusive {
                subject: reference.to_string(),
                check: check.to_owned(),
                reason: Reason::NoReference,
                detail: detail.to_owned(),
            });
        };
        for unknown in &component.unknown {
            open(KNOWN, unknown);
        }
        if undepended.contains(reference) && component.unknown.is_empty() {
            open(DEPENDENCIES, "nobody who was asked knows what it depends on");
        }
        evidence(component, exported.proofs, &mut findings, &mut open);
        coverage.answered += u64::from(coverage.inconclusive.len() == before);
    }
    let described = bill.components.values().filter(|one| is_described(one)).count();
    if exported.described && described == 0 {
        let subject = bill.subjects.first().map(AsRef::as_ref).unwrap_or_default();
        findings.push(Finding::new(
            &UNMATCHED_META,
            subject,
            "none of the components has the path or the name of an entry of --meta",
        ));
    }
    if !exported.described {
        coverage.not_run.push(NotRun {
            check: "what packages say of themselves: licences, homepages".to_owned(),
            because: "no --meta was given".to_owned(),
        });
    }
    if let Some(checked) = exported.checked {
        coverage.asked += checked.asked;
        coverage.answered += checked.answered;
        coverage.inconclusive.extend(checked.inconclusive);
        findings.extend(checked.findings);
    }
    let subjects = bill.subjects.iter().map(|reference| {
        let failed = findings.iter().any(|finding| finding.subject == **reference);
        let open = coverage.inconclusive.iter().any(|open| open.subject == **reference);
        let (verdict, status) = match (failed, open) {
            (true, _) => (Verdict::Fail, "listed, with findings"),
            (false, true) => (Verdict::Inconclusive, "listed, not wholly known"),
            (false, false) => (Verdict::Pass, "listed"),
        };
        Subject { id: reference.to_string(), verdict, status: status.to_owned() }
    });
    let subjects = subjects.collect();
    let count =
        |has: fn(&Component) -> bool| bill.components.values().filter(|one| has(one)).count();
    let counts = vec![
        ("with a NAR hash", count(|one| one.nar.is_some())),
        ("with a licence", count(|one| one.licence != Licence::Unknown)),
        (
            "with a source that was fetched",
            count(|one| one.sources.iter().any(|s| !s.urls.is_empty())),
        ),
        ("with patches", count(|one| !one.patches.is_empty())),
        ("with evidence", count(|one| !one.proofs.is_empty())),
        ("not wholly known", count(|one| !one.unknown.is_empty())),
    ];
    let dependencies = bill.dependencies.values().map(|on| on.len()).sum();
    let left_out: Vec<String> = exported.left_out.iter().cloned().collect();
    let facts = json!({
        "scope": bill.scope.name(),
        "form": exported.form,
        "components": bill.components.len(),
        "dependencies": dependencies,
        "timestamp": bill.created,
        "left_out": left_out,
        "counts": counts.iter().map(|(name, count)| json!({ "what": name, "components": count })).collect::<Vec<Value>>(),
    });
    Judged {
        examination: Examination { command: "sbom export", subjects, facts, findings, coverage },
        components: bill.components.len(),
        dependencies,
        counts,
        form: exported.form,
        left_out,
    }
}

fn is_described(component: &Component) -> bool {
    component.licence != Licence::Unknown
        || component.description.is_some()
        || component.homepage.is_some()
        || component.supplier.is_some()
}

/// Evidence about a path of the bill has to be about the same bytes.
fn evidence(
    component: &Component,
    proofs: &Proofs,
    findings: &mut Vec<Finding>,
    open: &mut impl FnMut(&str, &str),
) {
    let Some(path) = &component.store_path else { return };
    let hashes: Vec<NarHash> = proofs.hashes_of(path).collect();
    if hashes.is_empty() {
        return;
    }
    match component.nar {
        None => open(EVIDENCE, "its NAR hash is not known (name a cache or --local-store)"),
        Some((hash, _)) if !hashes.contains(&hash) => {
            let finding = Finding::new(
                &EVIDENCE_DIFFERS,
                &*component.reference,
                "a report that was given as evidence is about other bytes of this path",
            );
            let finding = finding.with("NarHash in the bill", hash.to_string());
            let finding = hashes.iter().fold(finding, |finding, other| {
                finding.with("NarHash in the report", other.to_string())
            });
            findings.push(finding);
        }
        Some(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::check::Level;
    use crate::sbom::bill::{References, Scope};

    const PATH: &str = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a";
    const HASH: &str = "sha256:06arpldzpalbsxhz6rpsvi1x3y92gl23hxls2p7x24jf3md047ka";

    fn bill(unknown: &[&str], depended: bool) -> Bill {
        let component = Component {
            name: "a".into(),
            store_path: Some(PATH.into()),
            nar: Some((NarHash::parse(HASH).unwrap(), None)),
            unknown: unknown.iter().map(|&text| text.to_owned()).collect(),
            ..Component::new(PATH.into())
        };
        let dependencies = depended.then(|| (PATH.into(), References::default()));
        Bill {
            scope: Scope::Runtime,
            subjects: BTreeSet::from([PATH.into()]),
            components: BTreeMap::from([(PATH.into(), component)]),
            dependencies: dependencies.into_iter().collect(),
            builds: BTreeMap::new(),
            created: None,
        }
    }

    fn judge(bill: &Bill, proofs: &Proofs, described: bool) -> Examination {
        examine(Exported {
            bill,
            store_dir: &StoreDir::default(),
            form: "x".into(),
            left_out: &BTreeSet::new(),
            described,
            proofs,
            modified: Vec::new(),
            findings: Vec::new(),
            unanswered: Vec::new(),
            checked: None,
        })
        .examination
    }

    #[test]
    fn what_is_not_known_keeps_a_bill_from_passing() {
        let none = Proofs::default();
        for (unknown, depended, verdict) in [
            (&[][..], true, Verdict::Pass),
            (&[], false, Verdict::Inconclusive),
            (&["its licence"], true, Verdict::Inconclusive),
        ] {
            let examination = judge(&bill(unknown, depended), &none, false);
            assert_eq!(examination.verdict(Level::Error), verdict, "{unknown:?} {depended}");
        }
    }

    #[test]
    fn evidence_about_other_bytes_and_descriptions_of_nothing_are_said() {
        let report = json!({
            "format": "nix-verify-report", "version": 1, "command": "cache",
            "subjects": [],
            "facts": { "paths": [{ "path": PATH, "status": "verified", "verdict": "pass", "versions": [{
                "nar_hash": "sha256:12nzayj81hymzl4d34h6q6f0y4kyyhzh4ycwsf7v050abvfb2ij3", "claims": []
            }] }] }
        });
        let mut proofs = Proofs::default();
        proofs.add(report.to_string().as_bytes()).unwrap();
        let examination = judge(&bill(&[], true), &proofs, true);
        let rules: Vec<&str> = examination.findings.iter().map(|one| one.rule.id).collect();
        assert_eq!(rules, ["evidence-differs", "unmatched-meta"]);
    }
}
