//! One judgement over policies and materials.
//!
//! A rule is asked of every subject of its scope. It is met, or denied, or it
//! cannot be judged, which is as bad as denied unless the rule leaves it open.
//! A rule that nothing given speaks about is denied as a whole.

use rayon::prelude::*;

use super::advisories::Advisories;
use super::check::Check;
use super::file::{OnUnknown, Policy, Rule, Waiver};
use super::material::Material;
use super::predicate::Evaluator;
use super::rego;
use super::subject::{Field, Subject, Unknown};
use super::{each, together};
use crate::check::policy::{
    EXPIRED_WAIVER, MISSING_EVIDENCE, POLICY_DENIED, POLICY_UNKNOWN, UNUSED_WAIVER,
};
use crate::check::{
    Coverage, Finding, Inconclusive, Level, Reason, Source, Span, Subject as Judged, Verdict,
};

/// Most findings of one rule that are listed; the rest is counted.
pub const MAX_OF_RULE: usize = 1_000;

/// Steps that the expressions of one rule may take in all, for each subject
/// and beside that: linear in what is judged, a second or so for thousands.
const STEPS_EACH: u64 = 5_000;
const STEPS: u64 = 1_000_000;

/// What a judgement needs beside policies and materials.
#[derive(Debug, Clone, Copy, Default)]
pub struct Setting<'a> {
    /// Now, in seconds since 1970.
    pub now: i64,
    /// Earlier reports and bills, for what is held against them.
    pub baselines: &'a [Material],
    /// Known vulnerabilities, if any were given.
    pub advisories: Option<&'a Advisories>,
    /// What evaluates Rego, if anything here does.
    pub rego: Option<&'a dyn rego::Evaluator>,
}

/// What came of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleOutcome {
    /// The policy's name.
    pub policy: String,
    /// The rule's id.
    pub rule: String,
    /// How much it weighs.
    pub level: Level,
    /// What it judges.
    pub scope: &'static str,
    /// Why there is such a rule.
    pub reason: String,
    /// Subjects that meet it.
    pub met: usize,
    /// Subjects that do not.
    pub denied: usize,
    /// Subjects that it cannot be judged on.
    pub unknown: usize,
    /// Subjects that do not meet it and are put up with.
    pub waived: usize,
    /// Subjects that its `when` leaves out.
    pub left_out: usize,
    /// Whether nothing that was given speaks about it.
    pub without_evidence: bool,
    /// What becomes of what it cannot be judged on.
    pub on_unknown: OnUnknown,
}

impl RuleOutcome {
    /// The answer, with a word for it.
    #[must_use]
    pub fn answer(&self) -> (Verdict, &'static str) {
        if self.denied > 0 {
            (Verdict::Fail, "denied")
        } else if self.without_evidence {
            (Verdict::Fail, "no-evidence")
        } else if self.unknown > 0 {
            match self.on_unknown {
                OnUnknown::Deny => (Verdict::Fail, "unknown"),
                OnUnknown::Inconclusive => (Verdict::Inconclusive, "unknown"),
            }
        } else if self.waived > 0 {
            (Verdict::Pass, "waived")
        } else if self.met > 0 {
            (Verdict::Pass, "met")
        } else {
            (Verdict::Pass, "not-applicable")
        }
    }
}

/// Something that is put up with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waived {
    /// The policy's name.
    pub policy: String,
    /// The rule's id.
    pub rule: String,
    /// The subject.
    pub subject: String,
    /// What is wrong with it.
    pub message: String,
    /// Why it is put up with.
    pub reason: String,
    /// Until when.
    pub expires: String,
}

/// What was judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Each rule, in the order of the policies.
    pub rules: Vec<RuleOutcome>,
    /// What is wrong, materials that break their form included.
    pub findings: Vec<Finding>,
    /// What is put up with.
    pub waived: Vec<Waived>,
    /// What was asked and answered.
    pub coverage: Coverage,
}

impl Judgement {
    /// The judgement as a report has it: every rule is a subject.
    #[must_use]
    pub fn subjects(&self) -> Vec<Judged> {
        self.rules
            .iter()
            .map(|rule| {
                let (verdict, status) = rule.answer();
                let id = format!("{}/{}", rule.policy, rule.rule);
                Judged { id, verdict, status: status.to_owned() }
            })
            .collect()
    }

    /// The judgement in one word. Only [`Verdict::Pass`] lets anything pass.
    #[must_use]
    pub fn verdict(&self, fail_on: Level) -> Verdict {
        let coverage = &self.coverage;
        if self.findings.iter().any(|finding| finding.level >= fail_on) {
            Verdict::Fail
        } else if !coverage.inconclusive.is_empty()
            || coverage.answered < coverage.asked
            || coverage.answered == 0
        {
            Verdict::Inconclusive
        } else {
            Verdict::Pass
        }
    }
}

/// What is known of one subject under one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It meets the rule.
    Met,
    /// It does not; why.
    Denied(String),
    /// It cannot be judged.
    Unknown(Unknown),
}

impl Answer {
    /// From a test that may lack what it needs.
    pub(super) fn of(answer: Result<Option<String>, Unknown>) -> Self {
        match answer {
            Ok(None) => Self::Met,
            Ok(Some(why)) => Self::Denied(why),
            Err(unknown) => Self::Unknown(unknown),
        }
    }
}

/// Something a rule was asked of: its material, itself, and the answer.
pub(super) struct Asked<'m> {
    pub material: &'m Material,
    /// What it is called, and its place.
    pub id: String,
    pub name: String,
    pub pointer: String,
    pub answer: Answer,
}

impl<'m> Asked<'m> {
    pub(super) fn new(material: &'m Material, subject: &Subject, answer: Answer) -> Self {
        let name = subject.as_text(Field::Name).unwrap_or_default().to_owned();
        let (id, pointer) = (subject.id.clone(), subject.pointer.clone());
        Self { material, id, name, pointer, answer }
    }
}

/// Judges materials by policies.
#[must_use]
pub fn judge(policies: &[Policy], materials: &[Material], setting: &Setting<'_>) -> Judgement {
    let mut judgement = Judgement {
        rules: Vec::new(),
        findings: Vec::new(),
        waived: Vec::new(),
        coverage: Coverage::default(),
    };
    for material in materials.iter().chain(setting.baselines) {
        judgement.findings.extend(material.defects.iter().map(|defect| {
            Finding::new(defect.rule, &material.name, defect.message.clone())
                .with("place", format!("{}#{}", material.name, defect.pointer))
        }));
    }
    let rules: Vec<(&Policy, &Rule)> = policies
        .iter()
        .flat_map(|policy| policy.rules.iter().map(move |rule| (policy, rule)))
        .collect();
    let judged: Vec<OneRule<'_>> =
        rules.par_iter().map(|(policy, rule)| one_rule(policy, rule, materials, setting)).collect();
    let mut used: Vec<(&str, usize)> = Vec::new();
    for one in judged {
        used.extend(one.waivers.into_iter().map(|offset| (one.policy.sha256.as_str(), offset)));
        judgement.rules.push(one.outcome);
        judgement.findings.extend(one.findings);
        judgement.waived.extend(one.waived);
        let coverage = &mut judgement.coverage;
        coverage.asked = coverage.asked.saturating_add(one.asked);
        coverage.answered = coverage.answered.saturating_add(one.answered);
        coverage.inconclusive.extend(one.open);
    }
    for policy in policies {
        let source = Source::new(policy.file.as_str(), policy.text.as_bytes());
        for waiver in &policy.waivers {
            let is_used = used.contains(&(policy.sha256.as_str(), waiver.offset));
            judgement.findings.extend(waiver_finding(waiver, is_used, setting.now, &source));
        }
    }
    judgement
}

fn waiver_finding(
    waiver: &Waiver,
    is_used: bool,
    now: i64,
    source: &Source<'_>,
) -> Option<Finding> {
    let Waiver { rule, subject, expires, reason, .. } = waiver;
    let finding = if now >= waiver.over {
        let message = format!("the waiver of '{rule}' for '{subject}' ended on {expires}");
        Finding::new(&EXPIRED_WAIVER, source.name(), message)
    } else if !is_used {
        let message = format!("the waiver of '{rule}' for '{subject}' covers nothing");
        Finding::new(&UNUSED_WAIVER, source.name(), message)
    } else {
        return None;
    };
    let place = Span::new(waiver.offset, waiver.offset.saturating_add(1));
    Some(finding.with("reason", reason).located(source.at(place)))
}

/// What came of one rule.
struct OneRule<'p> {
    policy: &'p Policy,
    outcome: RuleOutcome,
    findings: Vec<Finding>,
    waived: Vec<Waived>,
    open: Vec<Inconclusive>,
    asked: u64,
    answered: u64,
    /// Waivers that were of use, by their places.
    waivers: Vec<usize>,
}

fn one_rule<'p>(
    policy: &'p Policy,
    rule: &Rule,
    materials: &[Material],
    setting: &Setting<'_>,
) -> OneRule<'p> {
    let mut one = OneRule {
        policy,
        outcome: RuleOutcome {
            policy: policy.name.clone(),
            rule: rule.id.clone(),
            level: rule.level,
            scope: rule.scope.name(),
            reason: rule.reason.clone(),
            met: 0,
            denied: 0,
            unknown: 0,
            waived: 0,
            left_out: 0,
            without_evidence: false,
            on_unknown: rule.unknown,
        },
        findings: Vec::new(),
        waived: Vec::new(),
        open: Vec::new(),
        asked: 0,
        answered: 0,
        waivers: Vec::new(),
    };
    let spoken: Vec<&Material> =
        materials.iter().filter(|material| material.scopes.contains(&rule.scope)).collect();
    let mut total = 0_usize;
    for material in &spoken {
        let asked = if rule.check.is_about_all() {
            together::ask(&rule.check, rule.scope, material, setting)
        } else {
            ask_each(rule, material, setting, &mut one.outcome.left_out)
        };
        total = total.saturating_add(asked.len());
        for asked in asked {
            one.count(rule, asked, setting.now);
        }
    }
    if total == 0 && one.outcome.left_out == 0 {
        one.outcome.without_evidence = true;
        one.asked += 1;
        one.answered += 1;
        let message = if spoken.is_empty() {
            format!("{} was not given", rule.scope.material())
        } else {
            format!("what was given lists no {}", rule.kind)
        };
        one.findings.push(one.finding(rule, &MISSING_EVIDENCE, &one.id(rule), message));
    }
    one.cap(rule);
    one
}

/// Asks a rule of each subject of a material.
fn ask_each<'m>(
    rule: &Rule,
    material: &'m Material,
    setting: &Setting<'_>,
    left_out: &mut usize,
) -> Vec<Asked<'m>> {
    let subjects: Vec<&Subject> = material
        .things
        .iter()
        .chain(&material.whole)
        .filter(|subject| subject.kind == rule.kind)
        .collect();
    let count = u64::try_from(subjects.len()).unwrap_or(u64::MAX);
    let mut work = Work {
        evaluator: Evaluator::new(setting.now),
        steps: STEPS_EACH.saturating_mul(count).saturating_add(STEPS),
    };
    let mut asked = Vec::with_capacity(subjects.len());
    let mut told = Told::default();
    for subject in subjects {
        let applies = rule.when.as_ref().map_or(Ok(true), |when| work.holds(when, subject));
        let answer = match applies {
            Ok(false) => {
                *left_out += 1;
                continue;
            }
            Ok(true) => match &rule.check {
                Check::Require(predicate) => {
                    Answer::of(work.holds(predicate, subject).map(|holds| {
                        (!holds).then(|| format!("'{}' does not hold", predicate.text()))
                    }))
                }
                Check::Rego(module) => match module.input(subject) {
                    Ok(input) => told.add(asked.len(), input),
                    Err(unknown) => Answer::Unknown(unknown),
                },
                check => Answer::of(each::ask(check, material, subject, setting)),
            },
            Err(unknown) => Answer::Unknown(unknown),
        };
        asked.push(Asked::new(material, subject, answer));
    }
    if let Check::Rego(module) = &rule.check {
        told.ask(module, setting.rego, &mut asked);
    }
    asked
}

/// What a module of Rego is told, all at once, with the places of the answers.
#[derive(Default)]
struct Told {
    places: Vec<usize>,
    inputs: Vec<String>,
}

impl Told {
    /// Remembers an input, and gives the answer that stands until there is one.
    fn add(&mut self, place: usize, input: String) -> Answer {
        self.places.push(place);
        self.inputs.push(input);
        Answer::Unknown(Unknown::Other("the module gives no answer".to_owned()))
    }

    fn ask(
        self,
        module: &rego::Module,
        evaluator: Option<&dyn rego::Evaluator>,
        asked: &mut [Asked<'_>],
    ) {
        let Some(evaluator) = evaluator else { return };
        if self.inputs.is_empty() {
            return;
        }
        let answers = evaluator.answers(module.text(), &self.inputs);
        for (place, answer) in self.places.into_iter().zip(answers) {
            let Some(one) = asked.get_mut(place) else { continue };
            one.answer = match answer {
                Ok(true) => Answer::Met,
                Ok(false) => Answer::Denied("the module does not allow it".to_owned()),
                Err(why) => Answer::Unknown(Unknown::Other(why)),
            };
        }
    }
}

/// Evaluation with a bound on its work.
struct Work<'s> {
    evaluator: Result<Evaluator<'s>, Unknown>,
    steps: u64,
}

impl<'s> Work<'s> {
    fn holds(
        &mut self,
        predicate: &super::predicate::Predicate,
        subject: &'s Subject,
    ) -> Result<bool, Unknown> {
        let cost = predicate.cost(subject);
        self.steps = self.steps.checked_sub(cost).ok_or_else(|| {
            Unknown::Other(
                "the expression takes more steps than it may (docs/policies.md)".to_owned(),
            )
        })?;
        self.evaluator.as_ref().map_err(Clone::clone)?.holds(predicate, subject)
    }
}

impl OneRule<'_> {
    fn id(&self, rule: &Rule) -> String {
        format!("{}/{}", self.policy.name, rule.id)
    }

    fn finding(
        &self,
        rule: &Rule,
        kind: &'static crate::check::Rule,
        subject: &str,
        message: String,
    ) -> Finding {
        Finding::new(kind, subject, message)
            .weighed(rule.level)
            .with("rule", self.id(rule))
            .with("reason", &rule.reason)
    }

    /// Counts one answer.
    fn count(&mut self, rule: &Rule, asked: Asked<'_>, now: i64) {
        self.asked += 1;
        let (kind, message) = match &asked.answer {
            Answer::Met => {
                self.outcome.met += 1;
                self.answered += 1;
                return;
            }
            Answer::Denied(why) => (&POLICY_DENIED, why.clone()),
            Answer::Unknown(unknown) => (&POLICY_UNKNOWN, unknown.to_string()),
        };
        let names = [asked.id.as_str(), asked.name.as_str()];
        let mut valid = None;
        for waiver in self.policy.waivers.iter().filter(|one| one.covers(&rule.id, &names)) {
            self.waivers.push(waiver.offset);
            if now < waiver.over && valid.is_none() {
                valid = Some(waiver);
            }
        }
        self.waivers.sort_unstable();
        self.waivers.dedup();
        if let Some(waiver) = valid {
            self.outcome.waived += 1;
            self.answered += 1;
            if self.waived.len() < MAX_OF_RULE {
                self.waived.push(Waived {
                    policy: self.policy.name.clone(),
                    rule: rule.id.clone(),
                    subject: asked.id,
                    message,
                    reason: waiver.reason.clone(),
                    expires: waiver.expires.clone(),
                });
            }
            return;
        }
        let is_unknown = kind == &POLICY_UNKNOWN;
        if is_unknown {
            self.outcome.unknown += 1;
        } else {
            self.outcome.denied += 1;
        }
        if is_unknown && rule.unknown == OnUnknown::Inconclusive {
            if self.open.len() < MAX_OF_RULE {
                self.open.push(Inconclusive {
                    subject: asked.id,
                    check: self.id(rule),
                    reason: Reason::InputMissing,
                    detail: format!("{message} ({}#{})", asked.material.name, asked.pointer),
                });
            }
            return;
        }
        self.answered += 1;
        if self.findings.len() < MAX_OF_RULE {
            let place = format!("{}#{}", asked.material.name, asked.pointer);
            let finding = self.finding(rule, kind, &asked.id, message).with("place", place);
            self.findings.push(finding);
        }
    }

    /// Says how many findings are not listed.
    fn cap(&mut self, rule: &Rule) {
        let open = match rule.unknown {
            OnUnknown::Deny => 0,
            OnUnknown::Inconclusive => self.outcome.unknown,
        };
        let all = self.outcome.denied + self.outcome.unknown - open;
        let listed = self.findings.len();
        if all > listed && listed > 0 {
            let message = format!("{} more findings of this rule are not listed", all - listed);
            let id = self.id(rule);
            self.findings.push(self.finding(rule, &POLICY_DENIED, &id, message));
        }
    }
}
