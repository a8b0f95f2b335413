//! Comparing with an earlier report: what got worse?
//!
//! With a baseline, a run answers whether anything *regressed*. What failed
//! before in the same way becomes a note, what had no answer before is not
//! asked again, and what held before and does not now is said. Only what the
//! baseline says itself is known: another rule broken by the same output, or
//! another question about it, counts as ever. A forged claim stays an error
//! whenever it is met, and a failed canary is never set aside.

use std::collections::{BTreeMap, BTreeSet};

use super::rebuild::rounds::STABLE;
use super::rebuild::rules::FORGED_SIGNATURE;
use super::rebuild::verdicts::REPRODUCES;
use super::{Examination, Finding, Inconclusive, Level, Reason, Rule, Verdict};
use crate::nix::json::{self, JsonError, Node};

/// What reports of this format call themselves.
const FORMAT: &str = "nix-verify-report";

/// The version that is read.
const VERSION: &str = "1";

/// The status that is never taken for known.
const FORGED: &str = "forged";

/// Most subjects of a baseline: all of nixpkgs several times over.
const MAX_SUBJECTS: usize = 1_000_000;

/// Something that held in the baseline fails now.
pub static REGRESSION: Rule = Rule {
    id: "regression",
    level: Level::Error,
    summary: "what held in the baseline fails now",
    remedy: "look at what changed between the two runs; make a new baseline only when the cause is known",
    page: page!("regression"),
};

/// Why a file is no baseline.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// No JSON.
    #[error("the baseline is not valid JSON: {0}")]
    Json(#[from] JsonError),
    /// A key that stands twice.
    #[error("the baseline names the key '{0}' twice in one object")]
    Duplicate(String),
    /// Something is not what a report has there.
    #[error(
        "the baseline's field '{field}' is not {expected}: name a report that verify wrote with --format json"
    )]
    Field {
        /// The field.
        field: String,
        /// What it should be.
        expected: String,
    },
    /// A subject that stands twice.
    #[error("the baseline names the subject '{0}' twice")]
    Twice(String),
    /// Too many subjects.
    #[error("the baseline has a list of {0} entries (expected at most {MAX_SUBJECTS})")]
    TooMany(usize),
}

/// What an earlier run said of one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Was {
    verdict: Verdict,
    status: String,
}

/// An earlier report, as far as it is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    subjects: BTreeMap<String, Was>,
    /// The rules that were broken, each with the subject.
    findings: BTreeSet<(String, String)>,
    /// The checks that got no answer, each with the subject.
    open: BTreeSet<(String, String)>,
}

/// A subject in both reports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The subject, as it is called now.
    pub subject: String,
    /// Its status in the baseline.
    pub was: String,
    /// Its status now.
    pub now: String,
}

/// How a run compares with its baseline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Held before and fails now.
    pub regressed: Vec<Change>,
    /// Held before and has no answer now.
    pub lost: Vec<Change>,
    /// Fails or has no answer as before.
    pub known: Vec<Change>,
    /// Did not hold before and does now.
    pub mended: Vec<Change>,
    /// Not in the baseline, each with its status.
    pub unknown: Vec<(String, String)>,
    /// In the baseline only, each with its status there.
    pub gone: Vec<(String, String)>,
}

impl Baseline {
    /// Reads the report of an earlier run of `command`.
    ///
    /// # Errors
    /// A file that is no such report, or contradicts itself.
    pub fn parse(bytes: &[u8], command: &str) -> Result<Self, BaselineError> {
        let document = json::parse(bytes)?;
        if let Some(key) = document.duplicates.named.first() {
            return Err(BaselineError::Duplicate(key.key.clone()));
        }
        let root = document.root;
        expect(&root, "format", FORMAT)?;
        expect_number(&root, "version", VERSION)?;
        expect(&root, "command", command)?;
        let listed = list(&root, "subjects")?;
        let mut subjects = BTreeMap::new();
        for subject in listed {
            let text = |field: &str| text(subject, "subjects", field);
            let words = [Verdict::Pass, Verdict::Inconclusive, Verdict::Fail];
            let verdict = text("verdict")?;
            let verdict = words
                .into_iter()
                .find(|word| word.name() == verdict)
                .ok_or_else(|| wrong("subjects.verdict", "pass, inconclusive or fail"))?;
            let id = text("id")?.to_owned();
            let was = Was { verdict, status: text("status")?.to_owned() };
            if subjects.insert(id.clone(), was).is_some() {
                return Err(BaselineError::Twice(id));
            }
        }
        let findings = pairs(&root, "findings", "rule")?;
        let coverage = root.member("coverage");
        let open = coverage.map(|coverage| pairs(coverage, "inconclusive", "check"));
        let open = open.transpose()?.unwrap_or_default();
        Ok(Self { subjects, findings, open })
    }

    /// Compares, and leaves in `examination` what is new to the baseline.
    pub fn apply(&self, examination: &mut Examination) -> Comparison {
        let mut comparison = Comparison::default();
        let mut met = BTreeSet::new();
        let names = self.by_name(examination);
        for subject in &mut examination.subjects {
            let before = names.get(&subject.id).copied();
            let Some((id, was)) = before else {
                comparison.unknown.push((subject.id.clone(), subject.status.clone()));
                continue;
            };
            met.insert(id);
            let change = Change {
                subject: subject.id.clone(),
                was: was.status.clone(),
                now: subject.status.clone(),
            };
            match (was.verdict, subject.verdict) {
                (Verdict::Pass, Verdict::Pass) => {}
                (_, Verdict::Pass) => comparison.mended.push(change),
                (Verdict::Pass, Verdict::Fail) => {
                    let message = format!(
                        "its result was '{}' in the baseline and is '{}' now",
                        change.was, change.now
                    );
                    examination.findings.push(Finding::new(&REGRESSION, &subject.id, message));
                    comparison.regressed.push(change);
                }
                (Verdict::Fail, Verdict::Fail)
                    if was.status == subject.status && subject.status != FORGED =>
                {
                    comparison.known.push(change);
                }
                (Verdict::Inconclusive, Verdict::Inconclusive)
                    if subject.status != Reason::CanaryFailed.name() =>
                {
                    comparison.known.push(change);
                }
                // Another failure than before, or one where there was no answer.
                (_, Verdict::Fail) => comparison.unknown.push((change.subject, change.now)),
                (_, Verdict::Inconclusive) => comparison.lost.push(change),
            }
        }
        let gone = self.subjects.iter().filter(|(id, _)| !met.contains(id.as_str()));
        comparison.gone = gone.map(|(id, was)| (id.clone(), was.status.clone())).collect();
        self.silence(&comparison.known, &names, examination);
        comparison
    }

    /// For each subject of now the one of before: the same, or, where packages
    /// have changed and with them all hashes, the only one of the same name.
    fn by_name<'a>(&'a self, examination: &Examination) -> BTreeMap<String, (&'a str, &'a Was)> {
        let mut before: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for id in self.subjects.keys() {
            before.entry(name(id)).or_default().push(id);
        }
        let mut now: BTreeMap<&str, usize> = BTreeMap::new();
        for subject in &examination.subjects {
            *now.entry(name(&subject.id)).or_default() += 1;
        }
        let mut found = BTreeMap::new();
        for subject in &examination.subjects {
            let same = self.subjects.get_key_value(&subject.id);
            let named = || match before.get(name(&subject.id)).map(Vec::as_slice) {
                Some([only]) if now.get(name(&subject.id)) == Some(&1) => {
                    self.subjects.get_key_value(*only)
                }
                _ => None,
            };
            if let Some((id, was)) = same.or_else(named) {
                found.insert(subject.id.clone(), (id.as_str(), was));
            }
        }
        found
    }

    /// Takes what is known out of what decides: of the subjects that are as
    /// before, what the baseline says of them too.
    fn silence(
        &self,
        known: &[Change],
        names: &BTreeMap<String, (&str, &Was)>,
        examination: &mut Examination,
    ) {
        let known: BTreeMap<&str, (&str, &Was)> = known
            .iter()
            .filter_map(|change| Some((change.subject.as_str(), *names.get(&change.subject)?)))
            .collect();
        for finding in &mut examination.findings {
            let Some((id, _)) = known.get(finding.subject.as_str()) else { continue };
            let said = (finding.rule.id.to_owned(), (*id).to_owned());
            // A bad signature is no difference that anybody could get used to.
            if finding.rule.id != FORGED_SIGNATURE.id && self.findings.contains(&said) {
                finding.level = Level::Note;
            }
        }
        let is_known = |open: &Inconclusive| {
            known.get(open.subject.as_str()).is_some_and(|(id, was)| {
                // What a report with a baseline has set aside it no longer lists.
                let stated = was.verdict == Verdict::Inconclusive
                    && [REPRODUCES, STABLE].contains(&open.check.as_str());
                stated || self.open.contains(&(open.check.clone(), (*id).to_owned()))
            })
        };
        let coverage = &mut examination.coverage;
        let before = coverage.inconclusive.len();
        coverage.inconclusive.retain(|open| open.reason == Reason::CanaryFailed || !is_known(open));
        let taken = before.saturating_sub(coverage.inconclusive.len());
        let taken = u64::try_from(taken).unwrap_or(u64::MAX);
        coverage.asked = coverage.asked.saturating_sub(taken).max(coverage.answered);
    }
}

impl Comparison {
    /// One line for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let count = |number: usize, what: &str| (number > 0).then(|| format!("{number} {what}"));
        let parts = [
            Some(match self.regressed.len() {
                0 => "nothing that held fails now".to_owned(),
                1 => "1 output that held fails now".to_owned(),
                many => format!("{many} outputs that held fail now"),
            }),
            count(self.lost.len(), "without an answer now"),
            count(self.known.len(), "as before"),
            count(self.mended.len(), "mended"),
            count(self.unknown.len(), "new to the baseline"),
            count(self.gone.len(), "no longer examined"),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// The part of a subject that stays when the hash in its store path changes.
fn name(subject: &str) -> &str {
    let base = subject.rsplit('/').next().unwrap_or(subject);
    base.split_once('-').map_or(base, |(_, name)| name)
}

/// A list of the baseline.
fn list<'a>(node: &'a Node<'_>, field: &str) -> Result<&'a [Node<'a>], BaselineError> {
    match node.member(field).map(|node| &node.value) {
        Some(json::Value::Array(listed)) if listed.len() > MAX_SUBJECTS => {
            Err(BaselineError::TooMany(listed.len()))
        }
        Some(json::Value::Array(listed)) => Ok(listed),
        _ => Err(wrong(field, "a list")),
    }
}

/// A text of an entry of that list.
fn text<'a>(entry: &'a Node, list: &str, field: &str) -> Result<&'a str, BaselineError> {
    let found = entry.member(field).and_then(Node::string);
    found.ok_or_else(|| wrong(&format!("{list}.{field}"), "a text"))
}

/// What each entry of a list has in `field`, and its subject. Without the list
/// nothing is known.
fn pairs(
    node: &Node,
    name: &str,
    field: &str,
) -> Result<BTreeSet<(String, String)>, BaselineError> {
    if node.member(name).is_none() {
        return Ok(BTreeSet::new());
    }
    list(node, name)?
        .iter()
        .map(|entry| {
            let what = text(entry, name, field)?.to_owned();
            Ok((what, text(entry, name, "subject")?.to_owned()))
        })
        .collect()
}

fn expect(root: &Node, field: &str, text: &str) -> Result<(), BaselineError> {
    if root.member(field).and_then(Node::string) == Some(text) {
        return Ok(());
    }
    Err(wrong(field, &format!("'{text}'")))
}

fn expect_number(root: &Node, field: &str, number: &str) -> Result<(), BaselineError> {
    match root.member(field).map(|node| &node.value) {
        Some(json::Value::Number(found)) if *found == number => Ok(()),
        _ => Err(wrong(field, number)),
    }
}

fn wrong(field: &str, expected: &str) -> BaselineError {
    BaselineError::Field { field: field.to_owned(), expected: expected.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Coverage, Inconclusive, Reason, Subject};

    static DIFFERS: Rule =
        Rule { id: "output-differs", level: Level::Error, summary: "", remedy: "", page: "" };
    static BAD: Rule =
        Rule { id: "forged-signature", level: Level::Error, summary: "", remedy: "", page: "" };

    const A: &str = "/nix/store/00000000000000000000000000000000-a";
    const MOVED: &str = "/nix/store/11111111111111111111111111111111-a";
    const B: &str = "/nix/store/00000000000000000000000000000000-b";

    fn verdict(status: &str) -> Verdict {
        match status {
            "reproduced" => Verdict::Pass,
            "differs" | "forged" => Verdict::Fail,
            _ => Verdict::Inconclusive,
        }
    }

    fn report(subjects: &[(&str, &str)]) -> String {
        let findings: Vec<(&str, &str)> = subjects
            .iter()
            .filter(|(_, status)| verdict(status) == Verdict::Fail)
            .map(|(id, status)| (*id, if *status == "forged" { BAD.id } else { DIFFERS.id }))
            .collect();
        let subjects: Vec<String> = subjects
            .iter()
            .map(|(id, status)| {
                format!(
                    "{{\"id\":\"{id}\",\"verdict\":\"{}\",\"status\":\"{status}\"}}",
                    verdict(status)
                )
            })
            .collect();
        let findings: Vec<String> = findings
            .iter()
            .map(|(id, rule)| format!("{{\"rule\":\"{rule}\",\"subject\":\"{id}\"}}"))
            .collect();
        format!(
            "{{\"format\":\"{FORMAT}\",\"version\":1,\"command\":\"rebuild\",\"subjects\":[{}],\
             \"findings\":[{}],\"coverage\":{{\"inconclusive\":[]}}}}",
            subjects.join(","),
            findings.join(",")
        )
    }

    fn baseline(subjects: &[(&str, &str)]) -> Baseline {
        Baseline::parse(report(subjects).as_bytes(), "rebuild").unwrap()
    }

    fn examination(subjects: &[(&str, &str)]) -> Examination {
        let mut coverage = Coverage::default();
        let mut findings = Vec::new();
        for (id, status) in subjects {
            coverage.asked += 1;
            match verdict(status) {
                Verdict::Inconclusive => coverage.inconclusive.push(Inconclusive {
                    subject: (*id).to_owned(),
                    check: "reproduces".to_owned(),
                    reason: Reason::BuildFailed,
                    detail: String::new(),
                }),
                Verdict::Fail => {
                    coverage.answered += 1;
                    let rule = if *status == "forged" { &BAD } else { &DIFFERS };
                    findings.push(Finding::new(rule, *id, ""));
                }
                Verdict::Pass => coverage.answered += 1,
            }
        }
        let subjects = subjects
            .iter()
            .map(|(id, status)| Subject {
                id: (*id).to_owned(),
                verdict: verdict(status),
                status: (*status).to_owned(),
            })
            .collect();
        Examination {
            command: "rebuild",
            subjects,
            facts: serde_json::Value::Null,
            findings,
            coverage,
        }
    }

    /// The verdict of a run with one subject that holds besides, and the
    /// comparison.
    fn compare(was: &str, now: &str) -> (Verdict, Comparison) {
        let baseline = baseline(&[(A, was), (B, "reproduced")]);
        let mut now = examination(&[(A, now), (B, "reproduced")]);
        let comparison = baseline.apply(&mut now);
        (now.verdict(Level::Error), comparison)
    }

    #[test]
    fn only_what_got_worse_fails() {
        use Verdict::*;
        for (was, now, expected) in [
            ("reproduced", "reproduced", Pass),
            ("reproduced", "differs", Fail),
            ("reproduced", "build-failed", Inconclusive),
            ("reproduced", "forged", Fail),
            ("differs", "reproduced", Pass),
            ("differs", "differs", Pass),
            ("differs", "build-failed", Inconclusive),
            ("differs", "forged", Fail),
            ("forged", "forged", Fail),
            ("forged", "differs", Fail),
            ("build-failed", "build-failed", Pass),
            ("build-failed", "unsupported", Pass),
            ("build-failed", "differs", Fail),
            ("build-failed", "reproduced", Pass),
        ] {
            assert_eq!(compare(was, now).0, expected, "{was} -> {now}");
        }
        let (_, comparison) = compare("reproduced", "differs");
        assert_eq!(comparison.regressed.len(), 1);
        assert_eq!(comparison.sentence(), "1 output that held fails now");
        assert_eq!(
            compare("differs", "differs").1.sentence(),
            "nothing that held fails now, 1 as before"
        );
    }

    #[test]
    fn what_the_baseline_does_not_say_is_not_known() {
        static FOREIGN: Rule =
            Rule { id: "foreign-narinfo", level: Level::Error, summary: "", remedy: "", page: "" };
        let open = |check: &str, reason| Inconclusive {
            subject: A.to_owned(),
            check: check.to_owned(),
            reason,
            detail: String::new(),
        };
        for status in ["no-reference", "differs"] {
            let baseline = baseline(&[(A, status), (B, "reproduced")]);
            let run = || examination(&[(A, status), (B, "reproduced")]);
            let verdict = |mut now: Examination| {
                baseline.apply(&mut now);
                now.verdict(Level::Error)
            };
            assert_eq!(verdict(run()), Verdict::Pass, "{status}");
            let mut lied = run();
            lied.findings.push(Finding::new(&FOREIGN, A, ""));
            assert_eq!(verdict(lied), Verdict::Fail, "{status}");
            for (check, reason) in
                [("claim of file:///c", Reason::Unreachable), ("reproduces", Reason::CanaryFailed)]
            {
                let mut now = run();
                now.coverage.asked += 1;
                now.coverage.inconclusive.push(open(check, reason));
                assert_eq!(verdict(now), Verdict::Inconclusive, "{status} {check}");
            }
        }
        assert_eq!(compare("no-reference", "canary-failed").0, Verdict::Inconclusive);
        let listed = report(&[(A, "differs"), (B, "reproduced")]).replace(
            "\"inconclusive\":[]",
            &format!("\"inconclusive\":[{{\"check\":\"c\",\"subject\":\"{A}\"}}]"),
        );
        let mut now = examination(&[(A, "differs"), (B, "reproduced")]);
        now.coverage.asked += 1;
        now.coverage.inconclusive.push(open("c", Reason::Unreachable));
        Baseline::parse(listed.as_bytes(), "rebuild").unwrap().apply(&mut now);
        assert_eq!(now.verdict(Level::Error), Verdict::Pass);
    }

    #[test]
    fn a_run_of_nothing_but_open_questions_is_still_no_pass() {
        let baseline = baseline(&[(A, "build-failed")]);
        let mut now = examination(&[(A, "build-failed")]);
        baseline.apply(&mut now);
        assert_eq!(now.verdict(Level::Error), Verdict::Inconclusive);
    }

    #[test]
    fn a_name_stands_for_a_path_only_where_there_is_one_of_it() {
        let before = baseline(&[(A, "differs"), (B, "reproduced")]);
        let mut now = examination(&[(MOVED, "differs")]);
        let comparison = before.apply(&mut now);
        assert_eq!((comparison.known.len(), comparison.gone.len()), (1, 1));
        let mut now = examination(&[(MOVED, "differs"), (A, "reproduced")]);
        let comparison = before.apply(&mut now);
        assert_eq!(comparison.unknown, [(MOVED.to_owned(), "differs".to_owned())]);
        assert_eq!(now.verdict(Level::Error), Verdict::Fail);
    }

    #[test]
    fn what_is_no_report_is_no_baseline() {
        let good = report(&[(A, "differs")]);
        assert!(Baseline::parse(good.as_bytes(), "rebuild").is_ok());
        assert!(Baseline::parse(good.as_bytes(), "cache").is_err());
        for (from, to) in [
            ("\"version\":1", "\"version\":2"),
            ("\"version\":1", "\"version\":\"1\""),
            (FORMAT, "other"),
            ("\"fail\"", "\"maybe\""),
            ("\"id\"", "\"name\""),
            ("\"subjects\":[", "\"subjects\":{"),
            ("\"subjects\"", "\"objects\""),
            ("\"rule\"", "\"law\""),
            ("\"findings\":[{", "\"findings\":{\"a\":[{"),
            ("\"inconclusive\":[]", "\"inconclusive\":1"),
            ("\"command\"", "\"version\":1,\"command\""),
            ("\"differs\"", "1"),
        ] {
            let text = good.replacen(from, to, 1);
            assert!(Baseline::parse(text.as_bytes(), "rebuild").is_err(), "{text}");
        }
        let twice = report(&[(A, "differs"), (A, "reproduced")]);
        let error = Baseline::parse(twice.as_bytes(), "rebuild").unwrap_err();
        assert!(matches!(error, BaselineError::Twice(_)), "{error}");
    }
}
