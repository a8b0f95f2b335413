//! How bills of materials look: checked, compared, drawn.

pub mod difference;
pub mod graph;
pub mod treemap;

use serde_json::{Value, json};

use super::{Cell, Column, Report, Section, Table, Tone, View};
use crate::check::sbom::exported::Judged;
use crate::check::sbom::{Checked, FieldScore, Met};
use crate::check::{Coverage, Examination, Subject, Verdict};

/// The report of `verify sbom export`.
#[must_use]
pub fn exported(judged: Judged) -> Report {
    let mut entries: Vec<(String, Cell)> = vec![
        ("form".to_owned(), judged.form.into()),
        (
            "components".to_owned(),
            format!("{}, {} dependencies", judged.components, judged.dependencies).into(),
        ),
    ];
    for (what, count) in judged.counts {
        entries.push((String::new(), format!("{count} {what}").into()));
    }
    if !judged.left_out.is_empty() {
        let text = judged.left_out.join(", ");
        entries.push(("left out".to_owned(), Cell::toned(Tone::Doubtful, text)));
    }
    let view = View {
        sections: vec![Section::Facts { title: String::new(), entries }],
        noun: Some(("target", "targets")),
        lists_subjects: false,
    };
    Report::from(judged.examination).with_view(view)
}

/// The report of `verify sbom check`.
#[must_use]
pub fn checked(files: Vec<Checked>) -> Report {
    let facts = json!({ "files": files.iter().map(facts).collect::<Vec<_>>() });
    let mut sections = Vec::new();
    let several = files.len() > 1;
    for file in &files {
        let title = if several { file.file.clone() } else { String::new() };
        sections.push(Section::Facts { title, entries: entries(file, several) });
        for met in &file.profiles {
            sections.push(Section::Table(table(met, several.then_some(file.file.as_str()))));
        }
    }
    let mut examination = Examination {
        command: "sbom check",
        subjects: Vec::new(),
        facts,
        findings: Vec::new(),
        coverage: Coverage::default(),
    };
    for file in files {
        let (verdict, status) = file.outcome();
        examination.subjects.push(Subject {
            id: file.file.clone(),
            verdict,
            status: status.to_owned(),
        });
        examination.findings.extend(file.findings);
        let coverage = &mut examination.coverage;
        coverage.asked += file.asked;
        coverage.answered += file.answered;
        coverage.inconclusive.extend(file.inconclusive);
        coverage.not_run.extend(file.not_run);
    }
    let noun = Some(("document", "documents"));
    let view = View { sections, noun, lists_subjects: true };
    Report::from(examination).with_view(view)
}

fn facts(file: &Checked) -> Value {
    json!({
        "file": file.file,
        "format": file.spec.map(|spec| if spec.is_cyclonedx() { "CycloneDX" } else { "SPDX" }),
        "version": file.spec.map(|spec| spec.version()),
        "components": file.components,
        "defects": file.defects,
        "profiles": file.profiles.iter().map(|met| json!({
            "profile": met.profile.name(),
            "met": met.holds(),
            "fields": met.fields.iter().map(|one| json!({
                "field": one.field,
                "section": one.section,
                "missing": one.missing,
                "unusable": one.unusable,
                "holds": one.missing + one.unusable == 0,
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    })
}

fn entries(file: &Checked, several: bool) -> Vec<(String, Cell)> {
    let mut entries: Vec<(String, Cell)> = Vec::new();
    if !several {
        entries.push(("document".into(), file.file.as_str().into()));
    }
    let format = file.spec.map_or_else(|| "not known".to_owned(), |spec| spec.to_string());
    entries.push(("format".into(), format.into()));
    if file.spec.is_some() {
        entries.push(("components".into(), file.components.to_string().into()));
        let schema = match file.defects {
            0 => Cell::judged(Tone::Good, "what the format allows"),
            1 => Cell::judged(Tone::Bad, "one defect"),
            many => Cell::judged(Tone::Bad, format!("{many} defects")),
        };
        entries.push(("form".into(), schema));
    }
    let (verdict, status) = file.outcome();
    if several {
        let tone = match verdict {
            Verdict::Pass => Tone::Good,
            Verdict::Inconclusive => Tone::Doubtful,
            Verdict::Fail => Tone::Bad,
        };
        entries.push(("result".into(), Cell::judged(tone, status)));
    }
    entries
}

/// The fields of a profile, each with how it is filled.
fn table(met: &Met, file: Option<&str>) -> Table {
    let title = match file {
        Some(file) => format!("{} in {file}", met.profile),
        None => met.profile.to_string(),
    };
    let rows = met
        .fields
        .iter()
        .map(|one| vec![result(one), one.field.into(), one.section.into()])
        .collect();
    let columns = ["", "field", "section"].map(Column::text).to_vec();
    Table { title, columns, rows }
}

fn result(one: &FieldScore) -> Cell {
    let said = match (one.missing, one.unusable) {
        (0, 0) => return Cell::judged(Tone::Good, "holds"),
        (missing, 0) => format!("{missing} missing"),
        (0, unusable) => format!("{unusable} unusable"),
        (missing, unusable) => format!("{missing} missing, {unusable} unusable"),
    };
    Cell::judged(if one.only_should { Tone::Doubtful } else { Tone::Bad }, said)
}
