//! The Markdown renderer: a summary for a merge request or a job's page.
//!
//! Text from input is escaped so that it makes no links, mentions, images,
//! markup or HTML.

use std::fmt::Write as _;

use super::text::printable;
use super::view::{Cell, Section, Table, Tone};
use super::{Manner, Report, human};
use crate::check::{Finding, Level, Verdict};

/// Most rows of a table: pages of code hosts take about a megabyte.
const MAX_ROWS: usize = 300;

/// Renders a sorted report.
#[must_use]
pub fn render(report: &Report, manner: &Manner) -> String {
    let examination = &report.examination;
    let verdict = human::verdict(report, manner.fail_on);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "## {} verify {}: {}\n\n{}\n",
        sign(verdict),
        examination.command,
        verdict.name(),
        escape(&human::sentence(report, manner.fail_on))
    );
    if !manner.quiet {
        for section in &report.view.sections {
            write_section(&mut text, section);
        }
    }
    for trouble in &report.troubles {
        let all = [std::slice::from_ref(&trouble.message), &trouble.causes].concat().join(": ");
        let _ = writeln!(text, "- :x: {}", escape(&all));
    }
    if !report.troubles.is_empty() {
        text.push('\n');
    }
    write_findings(&mut text, &examination.findings, manner);
    if !examination.coverage.inconclusive.is_empty() {
        text.push_str("### No answer\n\n");
        for open in examination.coverage.inconclusive.iter().take(MAX_ROWS) {
            let _ = writeln!(
                text,
                "- {}: {} ({}): {}",
                escape(&open.subject),
                escape(&open.check),
                open.reason,
                escape(&open.detail)
            );
        }
        left_out(&mut text, examination.coverage.inconclusive.len());
        text.push('\n');
    }
    if !examination.coverage.not_run.is_empty() && !manner.quiet {
        text.push_str("### Not run\n\n");
        for one in &examination.coverage.not_run {
            let _ = writeln!(text, "- {}: {}", escape(&one.check), escape(&one.because));
        }
        text.push('\n');
    }
    while text.ends_with("\n\n") {
        text.pop();
    }
    text
}

const fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => ":white_check_mark:",
        Verdict::Inconclusive => ":grey_question:",
        Verdict::Fail => ":x:",
    }
}

fn write_section(text: &mut String, section: &Section) {
    match section {
        Section::Facts { title, entries } if !entries.is_empty() => {
            heading(text, title);
            for (label, cell) in entries {
                let _ = writeln!(text, "- {}: {}", escape(label), escape(&cell.text));
            }
            text.push('\n');
        }
        Section::Table(table) if !table.rows.is_empty() => {
            heading(text, &table.title);
            write_table(text, table);
        }
        Section::Lines { title, lines } if !lines.is_empty() => {
            heading(text, title);
            for line in lines.iter().take(MAX_ROWS) {
                let _ = writeln!(text, "- {}", escape(line));
            }
            left_out(text, lines.len());
            text.push('\n');
        }
        Section::Facts { .. } | Section::Table(_) | Section::Lines { .. } => {}
    }
}

fn heading(text: &mut String, title: &str) {
    if !title.is_empty() {
        let _ = writeln!(text, "### {}\n", escape(title));
    }
}

fn write_table(text: &mut String, table: &Table) {
    let heads: Vec<String> = table.columns.iter().map(|column| escape(&column.heading)).collect();
    let rules: Vec<&str> =
        table.columns.iter().map(|column| if column.right { "---:" } else { "---" }).collect();
    let _ = writeln!(text, "| {} |\n| {} |", heads.join(" | "), rules.join(" | "));
    for row in table.rows.iter().take(MAX_ROWS) {
        let cells: Vec<String> =
            (0..table.columns.len()).map(|at| row.get(at).map_or_else(String::new, cell)).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text.push('\n');
    left_out(text, table.rows.len());
}

fn cell(cell: &Cell) -> String {
    let sign = match (cell.symbol, cell.tone) {
        (false, _) => "",
        (true, Tone::Good) => ":white_check_mark: ",
        (true, Tone::Bad) => ":x: ",
        (true, Tone::Doubtful) => ":warning: ",
        (true, Tone::Plain | Tone::Dim) => "",
    };
    format!("{sign}{}", escape(&cell.text))
}

fn left_out(text: &mut String, count: usize) {
    if count > MAX_ROWS {
        let _ = writeln!(text, "\n… and {} more\n", count - MAX_ROWS);
    }
}

fn write_findings(text: &mut String, findings: &[Finding], manner: &Manner) {
    let shown: Vec<&Finding> =
        findings.iter().filter(|one| !manner.quiet || one.level >= manner.fail_on).collect();
    if shown.is_empty() {
        return;
    }
    text.push_str("### Findings\n\n| level | rule | subject | what | where |\n| --- | --- | --- | --- | --- |\n");
    for finding in shown.iter().take(MAX_ROWS) {
        let place = finding.location.as_ref().map_or_else(String::new, |place| {
            escape(&format!("{}:{}", place.file, place.start.line))
        });
        let mut what = escape(&finding.message);
        if let Some(repair) = &finding.repair {
            let _ = write!(what, "<br>repair: {}", escape(repair));
        }
        let level = match finding.level {
            Level::Error => ":x: error",
            Level::Warning => ":warning: warning",
            Level::Note => "note",
        };
        let _ = writeln!(
            text,
            "| {level} | {} | {} | {what} | {place} |",
            escape(finding.rule.id),
            escape(&finding.subject)
        );
    }
    text.push('\n');
    left_out(text, shown.len());
}

/// Text that Markdown shows as it is.
fn escape(text: &str) -> String {
    let text = printable(text);
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' | '$' => {
                safe.push('\\');
                safe.push(character);
            }
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '@' => safe.push_str("&#64;"),
            // No links out of what looks like an address.
            ':' => safe.push_str("&#58;"),
            other => safe.push(other),
        }
    }
    safe.replace("www.", "www&#46;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_makes_no_markup() {
        for (text, safe) in [
            ("a|b", "a\\|b"),
            ("<img src=x>", "&lt;img src=x&gt;"),
            ("[x](https://evil)", "\\[x\\](https&#58;//evil)"),
            ("@everyone", "&#64;everyone"),
            ("a\u{1b}[31m\nb", "a\\\\x1b\\[31m\\\\nb"),
        ] {
            assert_eq!(escape(text), safe);
        }
    }
}
