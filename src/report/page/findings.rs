//! What is wrong, over all reports: the worst first, each with its evidence and
//! what to do.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::parts::{count, path, printed};
use super::saved::{Finding, Level};
use super::{Content, Sheet};

/// All findings, those of one rule together.
pub(super) fn all(sheets: &[Sheet]) -> Markup {
    let mut groups: BTreeMap<(Level, &str), Vec<(&Finding, &Sheet)>> = BTreeMap::new();
    for sheet in sheets {
        if let Content::Report(report) = &sheet.content {
            for finding in &report.findings {
                let group = groups.entry((finding.level, &finding.rule)).or_default();
                group.push((finding, sheet));
            }
        }
    }
    let number = groups.values().map(Vec::len).sum();
    html! {
        section id="findings" {
            h2 { (count(number, "finding", "findings")) }
            @if number == 0 {
                p.dim { "Nothing wrong was found. Look below at what got no answer." }
            } @else {
                div.filtered data-label="findings" {
                    @for ((level, rule), findings) in &groups { (group(*level, rule, findings)) }
                }
            }
        }
    }
}

/// The findings of one rule; errors lie open.
fn group(level: Level, rule: &str, findings: &[(&Finding, &Sheet)]) -> Markup {
    let (class, name) = match level {
        Level::Error => ("fail", "error"),
        Level::Warning => ("open", "warning"),
        Level::Note => ("note", "note"),
    };
    let summary = findings.first().map(|(finding, _)| finding.summary.as_str());
    html! {
        details.group open[level == Level::Error] {
            summary {
                span class={ "badge " (class) } { (name) }
                code.rule { (printed(rule)) }
                " " span.dim { (findings.len()) " \u{d7} " (printed(summary.unwrap_or_default())) }
            }
            @for (finding, sheet) in findings { (one(class, finding, sheet)) }
        }
    }
}

fn one(class: &str, finding: &Finding, sheet: &Sheet) -> Markup {
    html! {
        details.finding data-v=(class) {
            summary {
                (path(&finding.subject))
                p { (printed(&finding.message)) }
            }
            dl {
                dt { "in" } dd { (sheet.heading()) " (" (printed(&sheet.name)) ")" }
                @if let Some(place) = &finding.location {
                    dt { "at" }
                    dd { code { (printed(&place.file)) ":" (place.line) ":" (place.column) } }
                }
                @for evidence in &finding.evidence {
                    dt { (printed(&evidence.label)) }
                    dd { code { (printed(&evidence.value)) } }
                }
                dt { "what to do" } dd { (printed(&finding.remedy)) }
                @if let Some(repair) = &finding.repair {
                    dt { "mended by" } dd { code { (printed(repair)) } }
                }
            }
        }
    }
}
