//! A lock file: what the change does, and what is pinned.

use maud::{Markup, html};
use serde_json::Value;

use super::parts::{badge, count, printed, table};
use super::saved::{Saved, Word, list, text};

/// Characters of a revision or hash that tell it from others.
const SHORT: usize = 12;

/// The part of a report of `verify lock`.
pub(super) fn part(report: &Saved) -> Markup {
    html! {
        (changes(list(&report.facts, "changes")))
        (inputs(list(&report.facts, "inputs")))
        (suppressed(list(&report.facts, "suppressed")))
    }
}

fn changes(changes: &[Value]) -> Markup {
    let rows = html! {
        @for change in changes {
            @let word = match text(change, "verdict") {
                "pass" => Word::Pass,
                "fail" => Word::Fail,
                _ => Word::Inconclusive,
            };
            tr data-v=(super::parts::class(word)) {
                td { (badge(word, text(change, "change"))) }
                td { code { (printed(text(change, "input"))) } }
                td { (pin(change.get("from"))) }
                td { (pin(change.get("to"))) }
                td.number {
                    @if let Some(commits) = change.get("commits_between").and_then(Value::as_i64) { (commits) }
                }
            }
        }
    };
    html! {
        @if !changes.is_empty() {
            h3 { (count(changes.len(), "input", "inputs")) " changed" }
            (table("changes", &[("change", ""), ("input", ""), ("from", ""), ("to", ""), ("commits", "number")], &rows))
        }
    }
}

fn pin(pin: Option<&Value>) -> Markup {
    let Some(pin) = pin.filter(|pin| pin.is_object()) else {
        return html! { span.dim { "\u{2013}" } };
    };
    html! {
        code title=(crate::report::text::printable(text(pin, "locked"))) { (short(text(pin, "rev"))) }
        br;
        span.dim { (printed(day(text(pin, "last_modified")))) }
    }
}

fn inputs(inputs: &[Value]) -> Markup {
    let rows = html! {
        @for input in inputs {
            tr data-v="pass" {
                td { code { (printed(text(input, "input"))) } }
                td { code { (printed(text(input, "original"))) } }
                td { code title=(crate::report::text::printable(text(input, "rev"))) { (short(text(input, "rev"))) } }
                td { (printed(day(text(input, "last_modified")))) }
                td { code { (printed(text(input, "nar_hash"))) } }
            }
        }
    };
    html! {
        @if !inputs.is_empty() {
            h3 { (count(inputs.len(), "input", "inputs")) " pinned" }
            (table("inputs", &[("input", ""), ("asks for", ""), ("revision", ""), ("date", ""), ("NAR hash", "")], &rows))
        }
    }
}

fn suppressed(suppressed: &[Value]) -> Markup {
    html! {
        @if !suppressed.is_empty() {
            details {
                summary { (count(suppressed.len(), "finding", "findings")) " the configuration puts up with" }
                ul {
                    @for one in suppressed {
                        li {
                            code { (printed(text(one, "rule"))) } " " (printed(text(one, "input"))) ": "
                            (printed(text(one, "message"))) " (" (printed(text(one, "reason"))) ")"
                        }
                    }
                }
            }
        }
    }
}

/// The beginning of a revision.
fn short(rev: &str) -> Markup {
    let shown: String = rev.chars().take(SHORT).collect();
    printed(&shown)
}

/// The day of a time.
fn day(time: &str) -> &str {
    time.split_once('T').map_or(time, |(day, _)| day)
}
