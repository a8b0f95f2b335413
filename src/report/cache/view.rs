//! What people see of a survey: who was asked, every path worst first, and
//! who has what.

use std::collections::{BTreeMap, HashMap};

use super::facts::{content, sentence};
use crate::check::cache::judge::VOUCHED;
use crate::check::cache::{
    Answer, Examined, Role, SourceKind, SubjectFacts, Survey, Tally, Trust, Version, versions,
};
use crate::check::{Subject, Verdict};
use crate::nix::store_path::StorePath;
use crate::report::view::{Cell, Column, Section, Table, Tone, View};

/// Paths that are shown one by one; the rest are counted. What is wrong with
/// any of them is said below the table all the same.
const SHOWN_PATHS: usize = 40;

/// Characters of a hash part that tell paths of one name apart.
const SHOWN_HASH: usize = 8;

/// What people see.
pub(super) fn view(survey: &Survey, examined: &Examined) -> View {
    let mut sections = vec![setting(survey, examined), sources(survey, &examined.tallies)];
    let rows = worst_first(survey, examined);
    sections.push(paths(survey, examined, &rows));
    let rest = rows.get(SHOWN_PATHS..).unwrap_or_default();
    if !rest.is_empty() {
        sections.push(Section::Lines { title: String::new(), lines: vec![and_more(rest)] });
    }
    if survey.sources.len() > 1 {
        sections.push(matrix(survey, &rows));
    }
    View { sections, noun: Some(("path", "paths")), lists_subjects: true }
}

/// A path with its outcome.
type Row<'a> = (&'a SubjectFacts, &'a StorePath, &'a Subject);

fn worst_first<'a>(survey: &'a Survey, examined: &'a Examined) -> Vec<Row<'a>> {
    let outcomes: HashMap<&str, &Subject> = examined
        .examination
        .subjects
        .iter()
        .map(|subject| (subject.id.as_str(), subject))
        .collect();
    let mut rows: Vec<Row<'a>> = survey
        .subjects
        .iter()
        .filter_map(|subject| {
            let path = survey.table.path(subject.id)?;
            let outcome = outcomes.get(survey.store_dir.full(path).as_str())?;
            Some((subject, path, *outcome))
        })
        .collect();
    rows.sort_by(|a, b| b.2.verdict.cmp(&a.2.verdict).then_with(|| a.1.cmp(b.1)));
    rows
}

const fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Pass => Tone::Good,
        Verdict::Inconclusive => Tone::Doubtful,
        Verdict::Fail => Tone::Bad,
    }
}

/// What was asked, in a few lines.
fn setting(survey: &Survey, examined: &Examined) -> Section {
    let asked = &survey.asked;
    let targets = survey.subjects.iter().filter(|subject| subject.role == Role::Target).count();
    let others = survey.subjects.len().saturating_sub(targets);
    let mut entries: Vec<(String, Cell)> = Vec::new();
    let mut add = |label: &str, cell: Cell| entries.push((label.to_owned(), cell));
    let closure =
        if asked.closure { format!(", {others} in their closure") } else { String::new() };
    add("paths", format!("{targets} asked for{closure}").into());
    let contents = match (&asked.sample, asked.contents) {
        (_, false) => "claims and signatures; no bytes were read".to_owned(),
        (None, true) => "claims, signatures and all bytes".to_owned(),
        (Some((sample, seed)), true) => {
            format!("claims, signatures and the bytes of a sample of {sample} (seed {seed})")
        }
    };
    add("checked", contents.into());
    if let Some(wanted) = asked.min_agree {
        let known = survey.operators.witnesses();
        add("agreement", format!("{wanted} of {known} operators have to attest a path").into());
    }
    for (source, tally) in survey.sources.iter().zip(&examined.tallies) {
        if let Some(bound) = &tally.bound {
            add("sample", format!("{source}: {}", sentence(bound)).into());
        } else if asked.sample.is_some() && tally.unread > 0 {
            let text = format!(
                "{source}: {} of the sample could not be read, so nothing is said about the rest",
                tally.unread
            );
            add("sample", Cell::toned(Tone::Doubtful, text));
        }
    }
    for remark in &examined.remarks {
        add("remark", Cell::toned(Tone::Doubtful, remark.clone()));
    }
    Section::Facts { title: String::new(), entries }
}

/// Who was asked, with numbers. Columns in which all is nought are left out.
fn sources(survey: &Survey, tallies: &[Tally]) -> Section {
    type Number = fn(&Tally) -> u64;
    let columns: [(&str, Tone, Number); 9] = [
        ("has", Tone::Plain, |tally| tally.present),
        ("trusted", Tone::Plain, |tally| tally.trusted),
        ("forged", Tone::Bad, |tally| tally.forged),
        ("absent", Tone::Plain, |tally| tally.absent),
        ("no answer", Tone::Doubtful, |tally| tally.silent),
        ("unusable", Tone::Bad, |tally| tally.bad),
        ("bytes right", Tone::Plain, |tally| tally.right),
        ("bytes wrong", Tone::Bad, |tally| tally.wrong),
        ("holes", Tone::Doubtful, |tally| tally.holes),
    ];
    let shown: Vec<&(&str, Tone, Number)> = columns
        .iter()
        .enumerate()
        .filter(|(at, (_, _, number))| *at < 2 || tallies.iter().any(|tally| number(tally) > 0))
        .map(|(_, column)| column)
        .collect();
    let mut headings = vec![Column::number(""), Column::text("source")];
    let known = !survey.operators.all().is_empty();
    if known {
        headings.push(Column::text("operator"));
    }
    headings.extend(shown.iter().map(|(heading, _, _)| Column::number(*heading)));
    let rows = survey.sources.iter().zip(tallies).enumerate().map(|(at, (source, tally))| {
        let mut row: Vec<Cell> =
            vec![at.saturating_add(1).to_string().into(), source.to_string().into()];
        if known {
            let operator = survey.operators.of_cache(&source.name);
            let text =
                operator.map_or_else(String::new, |operator| match operator.origin.as_deref() {
                    Some(origin) => {
                        format!("{} ({} of {origin})", operator.name, operator.role.name())
                    }
                    None if operator.role == crate::check::operators::Role::Builder => {
                        operator.name.clone()
                    }
                    None => format!("{} ({})", operator.name, operator.role.name()),
                });
            row.push(text.into());
        }
        row.extend(shown.iter().map(|(_, tone, number)| {
            let number = number(tally);
            let tone = if number > 0 { *tone } else { Tone::Dim };
            Cell::toned(tone, number.to_string())
        }));
        row
    });
    Section::Table(Table { title: "Sources".to_owned(), columns: headings, rows: rows.collect() })
}

/// The paths with their results, and why.
fn paths(survey: &Survey, examined: &Examined, rows: &[Row<'_>]) -> Section {
    let examination = &examined.examination;
    let mut open: BTreeMap<&str, &str> = BTreeMap::new();
    for one in &examination.coverage.inconclusive {
        if one.check == VOUCHED {
            open.insert(&one.subject, &one.detail);
        } else {
            open.entry(&one.subject).or_insert(&one.detail);
        }
    }
    // Findings are sorted, the gravest first.
    let found: BTreeMap<&str, &str> = examination
        .findings
        .iter()
        .rev()
        .map(|finding| (finding.subject.as_str(), finding.message.as_str()))
        .collect();
    let why = |outcome: &Subject| {
        let (open, found) = (open.get(outcome.id.as_str()), found.get(outcome.id.as_str()));
        // A lesser finding is not why a path has no answer, unless it is that
        // something refers to what is nowhere.
        match outcome.verdict {
            Verdict::Inconclusive if outcome.status != "absent" => open.or(found),
            _ => found.or(open),
        }
        .map_or_else(String::new, ToString::to_string)
    };
    let rows = rows.iter().take(SHOWN_PATHS).map(|(subject, path, outcome)| {
        let because = match outcome.verdict {
            Verdict::Pass => vouched(survey, subject),
            _ => why(outcome),
        };
        vec![
            Cell::judged(tone(outcome.verdict), outcome.status.as_str()),
            short(path).into(),
            because.into(),
        ]
    });
    Section::Table(Table {
        title: "Paths".to_owned(),
        columns: vec![Column::text("result"), Column::text("path"), Column::text("because")],
        rows: rows.collect(),
    })
}

/// A path in few columns; findings name it in full.
fn short(path: &StorePath) -> String {
    let hash: String = path.hash_part().chars().take(SHOWN_HASH).collect();
    format!("{hash}..-{}", path.name())
}

/// What makes a path pass.
fn vouched(survey: &Survey, subject: &SubjectFacts) -> String {
    let versions = versions(subject);
    let Some(right) = versions.iter().find(|version| version.is_trusted()) else {
        return String::new();
    };
    let mut keys: Vec<&str> = right
        .claims
        .iter()
        .filter(|(_, trust)| *trust == Trust::Signed)
        .filter_map(|(source, _)| subject.answers.get(*source)?.claim())
        .flat_map(|claim| claim.standing.keys().iter().map(String::as_str))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let who = if keys.is_empty() {
        "its content address proves it".to_owned()
    } else {
        format!("signed by {}", keys.join(", "))
    };
    let others: usize = versions.iter().map(|version| version.claims.len()).sum();
    let agreeing = right.claims.len();
    match (survey.sources.len(), others.saturating_sub(agreeing)) {
        (1, _) => who,
        (all, 0) => format!("{who}; {agreeing} of {all} sources have it, all the same"),
        (_, differing) => {
            format!("{who}; {agreeing} agree, {differing} without a trusted signature differ")
        }
    }
}

/// The paths that are not shown, in numbers.
fn and_more(rest: &[Row<'_>]) -> String {
    let mut counts: BTreeMap<(std::cmp::Reverse<Verdict>, &str), u64> = BTreeMap::new();
    for (_, _, outcome) in rest {
        *counts.entry((std::cmp::Reverse(outcome.verdict), &outcome.status)).or_default() += 1;
    }
    let counts: Vec<String> =
        counts.iter().map(|((_, status), count)| format!("{count} {status}")).collect();
    format!("and {} more: {} (--format json lists all)", rest.len(), counts.join(", "))
}

/// Who has what: a column for each source, a letter for each content where
/// there are several.
fn matrix(survey: &Survey, rows: &[Row<'_>]) -> Section {
    let mut columns = vec![Column::text("path")];
    columns.extend(survey.sources.iter().enumerate().map(|(at, source)| {
        let number = at.saturating_add(1);
        Column::text(match source.kind {
            SourceKind::Cache => format!("{number}"),
            SourceKind::LocalStore => format!("{number} (local)"),
        })
    }));
    let rows = rows.iter().take(SHOWN_PATHS).map(|(subject, path, _)| {
        let versions = versions(subject);
        let mut row: Vec<Cell> = vec![short(path).into()];
        row.extend(
            subject
                .answers
                .iter()
                .enumerate()
                .map(|(source, answer)| cell(source, answer, &versions)),
        );
        row
    });
    Section::Table(Table {
        title: "Who has what (numbers as above)".to_owned(),
        columns,
        rows: rows.collect(),
    })
}

fn cell(source: usize, answer: &Answer, versions: &[Version<'_>]) -> Cell {
    let claim = match answer {
        Answer::NotAsked => return Cell::toned(Tone::Dim, "not asked"),
        Answer::Absent => return Cell::toned(Tone::Dim, "-"),
        Answer::Silent(_) => return Cell::judged(Tone::Doubtful, "no answer"),
        Answer::Bad(_) => return Cell::judged(Tone::Bad, "unusable"),
        Answer::Claim(claim) => claim,
    };
    let trust = Trust::of(claim);
    let at = versions
        .iter()
        .position(|version| version.claims.iter().any(|(claimant, _)| *claimant == source));
    let letter = at.filter(|_| versions.len() > 1).map_or_else(String::new, letter);
    let (tone, word) = match (content(claim), trust) {
        (Some("wrong"), _) => (Tone::Bad, "wrong bytes"),
        (_, Trust::Forged) => (Tone::Bad, "forged"),
        (_, Trust::Signed) => (Tone::Good, "signed"),
        (_, Trust::ContentAddress) => (Tone::Good, "proven"),
        (_, Trust::Unsorted) => (Tone::Doubtful, "unsorted"),
        (_, Trust::None) => (Tone::Doubtful, "untrusted"),
    };
    let several = versions.iter().filter(|version| version.is_trusted()).count() > 1;
    let tone = if several && tone == Tone::Good { Tone::Bad } else { tone };
    Cell::judged(tone, format!("{letter}{word}"))
}

/// The first contents are called by letters, the others by numbers.
fn letter(at: usize) -> String {
    let letters = ['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H'];
    letters.get(at).map_or_else(|| format!("{at} "), |letter| format!("{letter} "))
}
