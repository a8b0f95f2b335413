//! Rebuilds: how much reproduced, who diverges first, why, and the graph.

use std::collections::BTreeMap;

use maud::{Markup, PreEscaped, html};
use serde_json::Value;

use super::parts::{badge, count, path, printed, symbol, table};
use super::saved::{Saved, Word, list, number, object, text};
use crate::report::drawing::{Drawing, Format, Node, Shade, draw};

/// Most derivations that are drawn; larger graphs are left to `--graph`.
const MAX_DRAWN: usize = 300;

/// Entries of an output that differs that are shown; the report has more.
const MAX_ENTRIES: usize = 20;

/// The part of a report of `verify rebuild`.
pub(super) fn part(report: &Saved) -> Markup {
    let facts = &report.facts;
    let sandbox = facts.get("sandbox").unwrap_or(&Value::Null);
    html! {
        dl.facts {
            dt { "world" } dd { (printed(text(facts, "world"))) }
            dt { "sandbox" } dd { (printed(text(sandbox, "ownership"))) }
            @if let Some(canary) = facts.get("canary") {
                dt { "canary" }
                dd {
                    @if canary.get("holds") == Some(&Value::Bool(true)) { (symbol(Word::Pass)) " a difference put before it was seen" }
                    @else { (symbol(Word::Fail)) " failed: nothing in this run passes" }
                }
            }
            @if let Some(rate) = facts.get("rate") { dt { "reproduced" } dd { (self::rate(rate)) } }
            @if let Some(sample) = facts.get("sample") { dt { "sample" } dd { (printed(text(sample, "sentence"))) } }
        }
        (divergent(list(facts, "divergent")))
        (differences(list(facts, "derivations")))
        (graph(report))
    }
}

fn rate(rate: &Value) -> Markup {
    let of = |field| number(rate, field).unwrap_or(0);
    html! {
        (of("reproduced")) " of " (of("judged")) " judged outputs"
        @if of("unjudged") > 0 { ", " (of("unjudged")) " could not be judged" }
        @if of("fixed") > 0 { ", " (of("fixed")) " fixed by their hash" }
    }
}

fn divergent(divergent: &[Value]) -> Markup {
    let rows = html! {
        @for one in divergent {
            @let first = one.get("first") == Some(&Value::Bool(true));
            tr data-v=(if first { "fail" } else { "open" }) {
                td { (if first { "first" } else { "above another" }) }
                td { (path(text(one, "drv_path"))) }
                td.number { (number(one, "dependents").unwrap_or(0)) }
                td.number { (number(one, "targets").unwrap_or(0)) }
            }
        }
    };
    html! {
        @if !divergent.is_empty() {
            h3 { (count(divergent.len(), "derivation differs by itself", "derivations differ by themselves")) }
            (table("divergent derivations", &[("place", ""), ("derivation", ""), ("build on it", "number"), ("of them targets", "number")], &rows))
        }
    }
}

/// Each claim that an output differs from, with what the difference is.
fn differences(derivations: &[Value]) -> Markup {
    let mut found = Vec::new();
    for derivation in derivations {
        for output in object(derivation, "outputs").into_iter().flat_map(|all| all.values()) {
            for claim in list(output, "claims") {
                let differences = list(claim, "differences").iter();
                found.extend(
                    differences.map(|one| (text(output, "path"), text(claim, "location"), one)),
                );
            }
        }
    }
    html! {
        @if !found.is_empty() {
            h3 { "Why outputs differ" }
            @for (output, location, difference) in found {
                details.difference {
                    summary {
                        (badge(Word::Fail, if text(difference, "class").is_empty() { "unknown" } else { text(difference, "class") }))
                        " " (path(output)) span.dim { " against " (printed(location)) }
                    }
                    (one(difference))
                }
            }
        }
    }
}

fn one(difference: &Value) -> Markup {
    let entries = list(difference, "entries");
    html! {
        @let impossible = text(difference, "impossible");
        @if !impossible.is_empty() { p { (printed(impossible)) } }
        @let hint = text(difference, "hint");
        @if !hint.is_empty() { p { b { "Mending: " } (printed(hint)) } }
        @for entry in entries.iter().take(MAX_ENTRIES) {
            h4 { code { (printed(if text(entry, "path").is_empty() { "(the object itself)" } else { text(entry, "path") })) } }
            ul.clues {
                @for clue in list(entry, "clues") {
                    li {
                        span.badge.note { (printed(text(clue, "class"))) }
                        " " (printed(text(clue, "certainty"))) ": " (printed(text(clue, "what")))
                        @if !text(clue, "place").is_empty() { " in " code { (printed(text(clue, "place"))) } }
                        br;
                        code.claimed { "claimed " (printed(text(clue, "claimed"))) }
                        br;
                        code.ours { "ours    " (printed(text(clue, "ours"))) }
                    }
                }
            }
        }
        @if entries.len() > MAX_ENTRIES {
            p.dim { (entries.len() - MAX_ENTRIES) " more entries are in the report." }
        }
        @for note in list(difference, "notes") { p.dim { (printed(note.as_str().unwrap_or_default())) } }
    }
}

/// The graph, where it is small enough to be looked at.
fn graph(report: &Saved) -> Markup {
    let derivations = list(&report.facts, "derivations");
    let statuses: BTreeMap<&str, &str> =
        report.subjects.iter().map(|one| (one.id.as_str(), one.status.as_str())).collect();
    let first: Vec<&str> = list(&report.facts, "divergent")
        .iter()
        .filter(|one| one.get("first") == Some(&Value::Bool(true)))
        .map(|one| text(one, "drv_path"))
        .collect();
    let mut drawing = Drawing::default();
    let mut places = BTreeMap::new();
    let mut drawn = Vec::new();
    for derivation in derivations {
        let Some((shade, title)) = judged(derivation, &statuses, &first) else { continue };
        let drv_path = text(derivation, "drv_path");
        places.insert(drv_path, drawing.nodes.len());
        drawn.push(derivation);
        let label = drv_path.split_once('-').map_or(drv_path, |(_, name)| name);
        let label = label.trim_end_matches(".drv").to_owned();
        drawing.nodes.push(Node { label, title, shade, broken: false });
    }
    for derivation in drawn {
        let to = places.get(text(derivation, "drv_path")).copied();
        let reads = list(derivation, "reads").iter().filter_map(Value::as_str);
        let from = reads.filter_map(|read| places.get(read).copied());
        drawing.edges.extend(from.zip(to.into_iter().cycle()));
    }
    drawing.title = format!("{} derivations, sources left out", drawing.nodes.len());
    html! {
        @if drawing.edges.is_empty() {}
        @else if drawing.nodes.len() > MAX_DRAWN {
            p.dim { "The graph of " (drawing.nodes.len()) " derivations is too large for a page: draw it with 'verify rebuild --graph FILE.svg'." }
        } @else if let Ok(picture) = draw(&drawing, Format::Svg) {
            h3 { "Who builds on whom" }
            div.scroll.picture { (PreEscaped(picture)) }
        }
    }
}

/// How a derivation is drawn; `None` for a fixed output that is what it should
/// be.
fn judged(
    derivation: &Value,
    statuses: &BTreeMap<&str, &str>,
    first: &[&str],
) -> Option<(Shade, Vec<String>)> {
    let drv_path = text(derivation, "drv_path");
    let mut title = vec![drv_path.to_owned()];
    let mut shade = None;
    for (name, output) in object(derivation, "outputs").into_iter().flatten() {
        let status = statuses.get(text(output, "path")).copied();
        title.push(format!("{name}: {}", status.unwrap_or("not judged")));
        let one = match status {
            Some("differs" | "unstable") => Shade::Differs,
            Some("forged") => Shade::Forged,
            Some("reproduced") => Shade::Good,
            Some("fixed-by-hash") => Shade::Fixed,
            Some(_) => Shade::Open,
            None => Shade::Unasked,
        };
        shade = Some(shade.map_or(one, |worst: Shade| worst.min(one)));
    }
    let fixed = derivation.get("fixed_output") == Some(&Value::Bool(true));
    let shade = match shade.unwrap_or(Shade::Open) {
        Shade::Fixed | Shade::Unasked | Shade::Open if fixed => return None,
        Shade::Differs if first.contains(&drv_path) => Shade::First,
        shade => shade,
    };
    Some((shade, title))
}
