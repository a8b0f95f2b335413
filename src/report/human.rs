//! The renderer for people: what was examined, worst first; what is wrong and
//! what to do; what was left open; one sentence at the end.

use std::collections::BTreeMap;

use super::pointer;
use super::style::Look;
use super::table;
use super::text::{printable, width, wrap};
use super::view::{Cell, Column, Section, Table, Tone};
use super::{Manner, Report};
use crate::check::{Finding, Inconclusive, Level, Subject, Verdict};

/// Indent of everything below a heading.
const INDENT: usize = 2;

/// Subjects of one open question that are listed; a cache that is down leaves
/// one open for every path.
const SHOWN_SUBJECTS: usize = 20;

/// Reasons for open questions that are listed; in a large closure every input
/// that cannot be had has one of its own.
const SHOWN_REASONS: usize = 25;

/// Renders a sorted report.
#[must_use]
pub fn render(report: &Report, manner: &Manner) -> String {
    let look = manner.look;
    let mut page = Page { look, lines: Vec::new() };
    if !manner.quiet {
        for section in &report.view.sections {
            page.section(section);
        }
    }
    if manner.quiet || !report.view.lists_subjects {
        page.subjects(&report.examination.subjects, manner.quiet);
    }
    page.findings(&report.examination.findings, manner.quiet);
    page.open_questions(&report.examination.coverage.inconclusive);
    if !manner.quiet {
        page.not_run(report);
    }
    page.troubles(report);
    page.verdict(report, manner);
    let mut text = page.lines.join("\n");
    text.push('\n');
    text
}

/// The judgement over a whole run: a tool that failed cannot pass anything.
#[must_use]
pub fn verdict(report: &Report, fail_on: Level) -> Verdict {
    match report.examination.verdict(fail_on) {
        Verdict::Pass if !report.troubles.is_empty() => Verdict::Inconclusive,
        verdict => verdict,
    }
}

/// The whole run in one sentence, coverage included.
#[must_use]
pub fn sentence(report: &Report, fail_on: Level) -> String {
    let examination = &report.examination;
    let coverage = &examination.coverage;
    let mut parts = Vec::new();
    let (one, many) = report.view.noun.unwrap_or(("subject", "subjects"));
    let mut by_status: BTreeMap<(std::cmp::Reverse<Verdict>, &str), u64> = BTreeMap::new();
    for subject in &examination.subjects {
        *by_status
            .entry((std::cmp::Reverse(subject.verdict), subject.status.as_str()))
            .or_default() += 1;
    }
    let total: u64 = by_status.values().sum();
    match by_status.keys().collect::<Vec<_>>().as_slice() {
        [] => parts.push(format!("no {one} was examined")),
        [(_, status)] => parts.push(format!("{} {status}", count(total, one, many))),
        _ => {
            let counts: Vec<String> = by_status
                .iter()
                .map(|((_, status), number)| format!("{number} {status}"))
                .collect();
            parts.push(format!("{}: {}", count(total, one, many), counts.join(", ")));
        }
    }
    let failing = examination.findings.iter().filter(|finding| finding.level >= fail_on).count();
    let others = examination.findings.len() - failing;
    if failing > 0 {
        parts.push(count(to_u64(failing), "failing finding", "failing findings"));
    }
    if others > 0 {
        parts.push(count(to_u64(others), "lesser finding", "lesser findings"));
    }
    let mut covered = format!("{} of {} checks answered", coverage.answered, coverage.asked);
    if !coverage.not_run.is_empty() {
        covered.push_str(&format!(", {} not run", coverage.not_run.len()));
    }
    parts.push(covered);
    if !report.troubles.is_empty() {
        parts.push(count(to_u64(report.troubles.len()), "error", "errors"));
    }
    parts.join("; ")
}

fn to_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

const fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Pass => Tone::Good,
        Verdict::Inconclusive => Tone::Doubtful,
        Verdict::Fail => Tone::Bad,
    }
}

const fn level_tone(level: Level) -> Tone {
    match level {
        Level::Note => Tone::Dim,
        Level::Warning => Tone::Doubtful,
        Level::Error => Tone::Bad,
    }
}

/// Keeps the reasons that leave the most open, as many as are shown, and counts
/// what is open for the others.
fn most_telling<K: Ord + Clone, S>(by_reason: &mut BTreeMap<K, Vec<S>>) -> usize {
    let mut counts: Vec<(std::cmp::Reverse<usize>, K)> = by_reason
        .iter()
        .map(|(key, subjects)| (std::cmp::Reverse(subjects.len()), key.clone()))
        .collect();
    counts.sort();
    let others = counts.into_iter().skip(SHOWN_REASONS);
    others.filter_map(|(_, key)| by_reason.remove(&key)).map(|subjects| subjects.len()).sum()
}

/// Lines that grow.
struct Page {
    look: Look,
    lines: Vec<String>,
}

impl Page {
    fn heading(&mut self, title: &str) {
        if !self.lines.is_empty() {
            self.lines.push(String::new());
        }
        if !title.is_empty() {
            for line in wrap(&printable(title), self.look.width) {
                self.lines.push(self.look.bold(&line));
            }
        }
    }

    /// Text with a mark before its first line, the rest aligned behind it.
    fn marked(&mut self, tone: Tone, text: &str) {
        let mark = self.look.symbol(tone);
        let hang = INDENT + width(mark) + 1;
        for (at, line) in wrap(text, self.look.width.saturating_sub(hang)).into_iter().enumerate() {
            let before = if at == 0 {
                format!("{}{} ", " ".repeat(INDENT), self.look.paint(tone, mark))
            } else {
                " ".repeat(hang)
            };
            self.lines.push(format!("{before}{line}"));
        }
    }

    fn indented(&mut self, indent: usize, tone: Tone, text: &str) {
        for line in wrap(text, self.look.width.saturating_sub(indent)) {
            self.lines.push(format!("{}{}", " ".repeat(indent), self.look.paint(tone, &line)));
        }
    }

    fn section(&mut self, section: &Section) {
        match section {
            Section::Facts { title, entries } if !entries.is_empty() => {
                self.heading(title);
                self.lines.extend(table::facts(entries, self.look, INDENT));
            }
            Section::Table(table) if !table.rows.is_empty() => {
                self.heading(&table.title);
                self.lines.extend(table::layout(table, self.look, INDENT));
            }
            Section::Lines { title, lines } if !lines.is_empty() => {
                self.heading(title);
                for line in lines {
                    self.indented(INDENT, Tone::Plain, &printable(line));
                }
            }
            Section::Facts { .. } | Section::Table(_) | Section::Lines { .. } => {}
        }
    }

    fn subjects(&mut self, subjects: &[Subject], quiet: bool) {
        let mut shown: Vec<&Subject> =
            subjects.iter().filter(|one| !quiet || one.verdict != Verdict::Pass).collect();
        if shown.is_empty() {
            return;
        }
        shown.sort_by(|a, b| b.verdict.cmp(&a.verdict).then_with(|| a.cmp(b)));
        self.heading("");
        let rows = shown
            .into_iter()
            .map(|one| {
                vec![Cell::judged(tone(one.verdict), one.status.as_str()), one.id.as_str().into()]
            })
            .collect();
        let table =
            Table { title: String::new(), columns: vec![Column::text(""), Column::text("")], rows };
        self.lines.extend(table::layout(&table, self.look, INDENT));
    }

    fn findings(&mut self, findings: &[Finding], quiet: bool) {
        for (at, finding) in findings.iter().enumerate() {
            let tone = level_tone(finding.level);
            self.heading("");
            let label = format!("{}[{}]", finding.level, finding.rule.id);
            let rest = printable(&finding.subject);
            // The label is painted after wrapping, so that colour codes take no room.
            let head = wrap(&format!("{label} {rest}"), self.look.width);
            for (number, line) in head.iter().enumerate() {
                match line.strip_prefix(&label).filter(|_| number == 0) {
                    Some(tail) => {
                        self.lines.push(format!("{}{tail}", self.look.strong(tone, &label)));
                    }
                    None => self.lines.push(line.clone()),
                }
            }
            self.indented(INDENT, Tone::Plain, &printable(&finding.message));
            if let Some(place) = &finding.location {
                self.lines.extend(pointer::lines(place, self.look, tone, INDENT));
            }
            let evidence: Vec<(String, Cell)> = finding
                .evidence
                .iter()
                .map(|item| (item.label.clone(), item.value.as_str().into()))
                .collect();
            self.lines.extend(table::facts(&evidence, self.look, INDENT * 2));
            if let Some(command) = &finding.repair {
                self.indented(INDENT, Tone::Plain, &format!("repair: {}", printable(command)));
            }
            // Findings of one rule stand together; what to do is said once.
            let last = findings.get(at + 1).is_none_or(|next| next.rule.id != finding.rule.id);
            if last && !quiet {
                self.indented(INDENT, Tone::Dim, &format!("what to do: {}", finding.rule.remedy));
            }
        }
    }

    fn open_questions(&mut self, open: &[Inconclusive]) {
        if open.is_empty() {
            return;
        }
        self.heading("No answer");
        // Outputs of one build share their reason: it is said once.
        let mut by_reason: BTreeMap<(&str, &str, &str), Vec<&str>> = BTreeMap::new();
        for one in open {
            let key = (one.check.as_str(), one.reason.name(), one.detail.as_str());
            by_reason.entry(key).or_default().push(&one.subject);
        }
        let left_out = most_telling(&mut by_reason);
        for ((check, reason, detail), subjects) in by_reason {
            for subject in subjects.iter().take(SHOWN_SUBJECTS) {
                self.marked(Tone::Doubtful, &printable(subject));
            }
            if let Some(more) = subjects.len().checked_sub(SHOWN_SUBJECTS).filter(|more| *more > 0)
            {
                self.marked(Tone::Doubtful, &format!("and {more} more (--format json lists all)"));
            }
            let text = format!("{} ({reason}): {}", printable(check), printable(detail));
            self.indented(2 * INDENT, Tone::Plain, &text);
        }
        if left_out > 0 {
            let text = format!(
                "and {left_out} more without an answer, for other reasons (--format json lists all)"
            );
            self.marked(Tone::Doubtful, &text);
        }
    }

    fn not_run(&mut self, report: &Report) {
        let left = &report.examination.coverage.not_run;
        if left.is_empty() {
            return;
        }
        self.heading("Not run");
        for one in left {
            let text = format!("{}: {}", printable(&one.check), printable(&one.because));
            self.marked(Tone::Dim, &text);
        }
    }

    fn troubles(&mut self, report: &Report) {
        if report.troubles.is_empty() {
            return;
        }
        self.heading("Errors");
        for trouble in &report.troubles {
            self.marked(Tone::Bad, &printable(&trouble.message));
            for cause in &trouble.causes {
                self.indented(INDENT * 2, Tone::Dim, &format!("because {}", printable(cause)));
            }
        }
    }

    fn verdict(&mut self, report: &Report, manner: &Manner) {
        let verdict = verdict(report, manner.fail_on);
        self.heading("");
        let label = verdict.name().to_uppercase();
        let text = format!("{label}: {}", printable(&sentence(report, manner.fail_on)));
        for (at, line) in wrap(&text, self.look.width).into_iter().enumerate() {
            match line.strip_prefix(&label).filter(|_| at == 0) {
                Some(tail) => {
                    let label = self.look.strong(tone(verdict), &label);
                    self.lines.push(format!("{label}{tail}"));
                }
                None => self.lines.push(line),
            }
        }
    }
}
