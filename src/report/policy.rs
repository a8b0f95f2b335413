//! How a judgement by policies looks.

use serde_json::{Value, json};

use super::{Cell, Column, Report, Section, Table, Tone, View};
use crate::check::{Coverage, Examination, Inconclusive, NotRun, Reason, Subject, Verdict};
use crate::policy::cases::Outcome;
use crate::policy::judge::{RuleOutcome, Waived};
use crate::policy::{Judgement, Material, Policy, Setting};

/// The report of `verify policy check`.
#[must_use]
pub fn checked(
    policies: &[Policy],
    materials: &[Material],
    setting: &Setting<'_>,
    judgement: Judgement,
) -> Report {
    let facts = facts(policies, materials, setting, &judgement);
    let view = View {
        sections: sections("", policies, materials, setting, &judgement),
        noun: Some(("rule", "rules")),
        lists_subjects: true,
    };
    let mut coverage = judgement.coverage.clone();
    if setting.advisories.is_none() {
        coverage.not_run.push(NotRun {
            check: "known vulnerabilities".to_owned(),
            because: "--osv was not given".to_owned(),
        });
    }
    let subjects = judgement.subjects();
    Report::from(Examination {
        command: "policy",
        subjects,
        facts,
        findings: judgement.findings,
        coverage,
    })
    .with_view(view)
}

/// The report of another command with what policies say of what it found: they
/// add to what fails and is open, and take nothing away.
#[must_use]
pub fn held(
    mut report: Report,
    policies: &[Policy],
    materials: &[Material],
    setting: &Setting<'_>,
    judgement: Judgement,
) -> Report {
    let facts = facts(policies, materials, setting, &judgement);
    report.view.sections.extend(sections("Policies", policies, materials, setting, &judgement));
    let run = &mut report.examination;
    let (policies, own) = (judgement.coverage, &mut run.coverage);
    // A run that examined nothing is an open question, whatever else answers;
    // so are policies of which no rule speaks about anything.
    for (answered, check) in [(own.answered, run.command), (policies.answered, "policy")] {
        if answered == 0 {
            own.inconclusive.push(Inconclusive {
                subject: run.command.to_owned(),
                check: check.to_owned(),
                reason: Reason::NothingExamined,
                detail: "it found nothing to judge".to_owned(),
            });
        }
    }
    own.asked = own.asked.saturating_add(policies.asked);
    own.answered = own.answered.saturating_add(policies.answered);
    own.inconclusive.extend(policies.inconclusive);
    run.findings.extend(judgement.findings);
    report.policy = Some(facts);
    report
}

/// What a judgement stands on and what came of it, in its public shape.
#[must_use]
pub fn facts(
    policies: &[Policy],
    materials: &[Material],
    setting: &Setting<'_>,
    judgement: &Judgement,
) -> Value {
    json!({
        "policies": policies.iter().map(|policy| json!({
            "file": policy.file,
            "name": policy.name,
            "sha256": policy.sha256,
            "rules": policy.rules.len(),
            "waivers": policy.waivers.len(),
        })).collect::<Vec<_>>(),
        "materials": materials.iter().map(material).collect::<Vec<_>>(),
        "baselines": setting.baselines.iter().map(material).collect::<Vec<_>>(),
        "advisories": setting.advisories.map(|all| all.len()),
        "rules": judgement.rules.iter().map(rule).collect::<Vec<_>>(),
        "waived": judgement.waived.iter().map(waived).collect::<Vec<_>>(),
    })
}

fn material(one: &Material) -> Value {
    json!({
        "file": one.name,
        "kind": one.kind(),
        "sha256": one.sha256,
        "scopes": one.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>(),
        "things": one.things.len(),
        "defects": one.defects.len(),
    })
}

fn rule(one: &RuleOutcome) -> Value {
    let (verdict, status) = one.answer();
    json!({
        "policy": one.policy,
        "rule": one.rule,
        "level": one.level.name(),
        "scope": one.scope,
        "reason": one.reason,
        "verdict": verdict.name(),
        "status": status,
        "met": one.met,
        "denied": one.denied,
        "unknown": one.unknown,
        "waived": one.waived,
        "left_out": one.left_out,
    })
}

fn waived(one: &Waived) -> Value {
    json!({
        "policy": one.policy,
        "rule": one.rule,
        "subject": one.subject,
        "message": one.message,
        "reason": one.reason,
        "expires": one.expires,
    })
}

fn sections(
    title: &str,
    policies: &[Policy],
    materials: &[Material],
    setting: &Setting<'_>,
    judgement: &Judgement,
) -> Vec<Section> {
    let mut entries: Vec<(String, Cell)> = Vec::new();
    for policy in policies {
        entries.push(("policy".into(), format!("{} ({})", policy.name, policy.file).into()));
    }
    let described = |one: &Material| {
        let text = format!("{} ({}, {} listed)", one.name, one.kind(), one.things.len());
        match one.defects.len() {
            0 => Cell::from(text),
            count => Cell::judged(Tone::Bad, format!("{text}: {count} defects")),
        }
    };
    entries.extend(materials.iter().map(|one| ("judged".to_owned(), described(one))));
    entries.extend(setting.baselines.iter().map(|one| ("earlier".to_owned(), described(one))));
    if let Some(all) = setting.advisories {
        entries.push(("advisories".into(), all.len().to_string().into()));
    }
    let mut sections = vec![Section::Facts { title: title.to_owned(), entries }];
    let several = policies.len() > 1;
    let mut rules: Vec<&RuleOutcome> = judgement.rules.iter().collect();
    rules.sort_by_key(|one| std::cmp::Reverse(one.answer().0));
    sections.push(Section::Table(Table {
        title: "Rules".into(),
        columns: vec![
            Column::text(""),
            Column::text("rule"),
            Column::text("scope"),
            Column::number("met"),
            Column::number("denied"),
            Column::number("unknown"),
            Column::number("waived"),
        ],
        rows: rules
            .into_iter()
            .map(|one| {
                let (verdict, status) = one.answer();
                let name = match several {
                    true => format!("{}/{}", one.policy, one.rule),
                    false => one.rule.clone(),
                };
                let mut row = vec![judged(verdict, status), name.into(), one.scope.into()];
                row.extend(
                    [one.met, one.denied, one.unknown, one.waived].map(|n| n.to_string().into()),
                );
                row
            })
            .collect(),
    }));
    if !judgement.waived.is_empty() {
        let lines = judgement
            .waived
            .iter()
            .map(|one| {
                format!("{}: {} ({}, until {})", one.subject, one.rule, one.reason, one.expires)
            })
            .collect();
        sections.push(Section::Lines { title: "Put up with".into(), lines });
    }
    sections
}

fn judged(verdict: Verdict, word: &str) -> Cell {
    let tone = match verdict {
        Verdict::Pass => Tone::Good,
        Verdict::Inconclusive => Tone::Doubtful,
        Verdict::Fail => Tone::Bad,
    };
    Cell::judged(tone, word)
}

/// The report of `verify policy test`.
#[must_use]
pub fn tested(outcomes: Vec<Outcome>) -> Report {
    let mut examination = Examination {
        command: "policy test",
        subjects: Vec::new(),
        facts: Value::Null,
        findings: Vec::new(),
        coverage: Coverage::default(),
    };
    let mut rows = Vec::new();
    let mut policies = Vec::new();
    for outcome in outcomes {
        let mut cases = Vec::new();
        for (name, expected, came) in &outcome.cases {
            let id = format!("{}: {name}", outcome.file);
            let failed = outcome.findings.iter().any(|finding| finding.subject == id);
            let (verdict, status) =
                if failed { (Verdict::Fail, "wrong") } else { (Verdict::Pass, "as expected") };
            rows.push(vec![
                judged(verdict, status),
                outcome.name.as_str().into(),
                name.as_str().into(),
                came.name().into(),
            ]);
            cases.push(json!({
                "case": name,
                "expected": expected.name(),
                "came": came.name(),
                "as_expected": !failed,
            }));
            examination.subjects.push(Subject { id, verdict, status: status.to_owned() });
            examination.coverage.asked += 1;
            examination.coverage.answered += 1;
        }
        policies.push(json!({ "file": outcome.file, "name": outcome.name, "cases": cases }));
        examination.findings.extend(outcome.findings);
    }
    examination.facts = json!({ "policies": policies });
    let table = Table {
        title: "Cases".into(),
        columns: ["", "policy", "case", "came out as"].map(Column::text).to_vec(),
        rows,
    };
    let view = View {
        sections: vec![Section::Table(table)],
        noun: Some(("case", "cases")),
        lists_subjects: true,
    };
    Report::from(examination).with_view(view)
}
