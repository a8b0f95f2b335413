//! Caches: who was asked, who signed what, and path by path who has it.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::Value;

use super::parts::{badge, class, count, path, printed, symbol, table};
use super::saved::{Saved, Word, list, number, text};

/// Paths shown in the matrix; the worst come first.
const MAX_PATHS: usize = 5_000;

/// The part of a report of `verify cache`.
pub(super) fn part(report: &Saved) -> Markup {
    let sources = list(&report.facts, "sources");
    html! {
        @for remark in list(&report.facts, "remarks") {
            p.dim { (printed(remark.as_str().unwrap_or_default())) }
        }
        (asked(sources))
        (signers(report, sources))
        (matrix(report, sources))
    }
}

fn asked(sources: &[Value]) -> Markup {
    let rows = html! {
        @for source in sources {
            @let contents = source.get("contents").unwrap_or(&Value::Null);
            @let wrong = number(contents, "wrong").unwrap_or(0);
            @let bad = number(source, "forged").unwrap_or(0) + number(source, "bad").unwrap_or(0) + wrong;
            tr data-v=(if bad > 0 { "fail" } else { "pass" }) {
                td { code { (printed(text(source, "name"))) } }
                td { (printed(text(source, "operator"))) }
                @for field in ["present", "absent", "no_answer", "trusted", "forged"] {
                    td.number { (number(source, field).unwrap_or(0)) }
                }
                td.number { (number(contents, "right").unwrap_or(0)) }
                td.number { (wrong) }
            }
        }
    };
    let headings = [
        ("cache or store", ""),
        ("operator", ""),
        ("present", "number"),
        ("absent", "number"),
        ("no answer", "number"),
        ("signed", "number"),
        ("forged", "number"),
        ("bytes right", "number"),
        ("bytes wrong", "number"),
    ];
    html! {
        h3 { "Who was asked" }
        (table("sources", &headings, &rows))
    }
}

/// How many paths each key signs in each cache.
fn signers(report: &Saved, sources: &[Value]) -> Markup {
    let mut signed: BTreeMap<&str, BTreeMap<u64, usize>> = BTreeMap::new();
    for path in list(&report.facts, "paths") {
        let versions = list(path, "versions").iter();
        for claim in versions.flat_map(|version| list(version, "claims")) {
            let Some(source) = number(claim, "source") else { continue };
            for key in list(claim, "keys").iter().filter_map(Value::as_str) {
                *signed.entry(key).or_default().entry(source).or_default() += 1;
            }
        }
    }
    let mut headings = vec![("key", "")];
    headings.extend(sources.iter().map(|source| (short(text(source, "name")), "number")));
    let rows = html! {
        @for (key, counts) in &signed {
            tr data-v="pass" {
                td { code { (printed(key)) } }
                @for (_, at) in sources.iter().zip(0_u64..) {
                    td.number { @if let Some(count) = counts.get(&at) { (count) } }
                }
            }
        }
    };
    html! {
        @if !signed.is_empty() {
            h3 { "Who signed how much" }
            (table("signers", &headings, &rows))
        }
    }
}

/// A URL's host, or the end of a path.
fn short(name: &str) -> &str {
    let rest = name.split_once("://").map_or(name, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() { rest.rsplit('/').next().unwrap_or(rest) } else { host }
}

/// Path by path, who has it and whether they agree.
fn matrix(report: &Saved, sources: &[Value]) -> Markup {
    let mut paths: Vec<(Word, &Value)> =
        list(&report.facts, "paths").iter().map(|path| (verdict(path), path)).collect();
    paths.sort_by_key(|(word, path)| (*word, text(path, "path")));
    let left = paths.len().saturating_sub(MAX_PATHS);
    let all = paths.len();
    paths.truncate(MAX_PATHS);
    let mut headings = vec![("result", ""), ("path", "")];
    headings.extend(sources.iter().map(|source| (short(text(source, "name")), "mark")));
    let rows = html! {
        @for (word, one) in paths {
            tr data-v=(class(word)) {
                td { (badge(word, text(one, "status"))) }
                td { (path(text(one, "path"))) }
                @for (_, at) in sources.iter().zip(0_u64..) { td.mark { (mark(one, at)) } }
            }
        }
    };
    html! {
        @if all > 0 {
            h3 { (count(all, "path", "paths")) " by cache" }
            p.dim { "\u{2713} signed by a trusted key, \u{2717} forged, wrong or other content, = present, without a trusted signature, \u{2013} absent, ? no answer" }
            (table("paths", &headings, &rows))
            @if left > 0 { p.dim { (left) " more, which are no worse, are in the report only." } }
        }
    }
}

fn verdict(path: &Value) -> Word {
    match text(path, "verdict") {
        "pass" => Word::Pass,
        "fail" => Word::Fail,
        _ => Word::Inconclusive,
    }
}

/// What a source says about a path.
fn mark(one: &Value, source: u64) -> Markup {
    let among = |field: &str| list(one, field).iter().any(|at| at.as_u64() == Some(source));
    let versions = list(one, "versions");
    let claims = versions
        .iter()
        .enumerate()
        .flat_map(|(at, version)| list(version, "claims").iter().map(move |claim| (at, claim)));
    let mut said = claims.filter(|(_, claim)| number(claim, "source") == Some(source));
    let Some((version, claim)) = said.next() else {
        let (shown, says) = match () {
            () if among("bad") => ("\u{2717}", "an answer that cannot be used"),
            () if among("no_answer") => ("?", "no answer"),
            () if among("absent") => ("\u{2013}", "absent"),
            () => ("", "not asked"),
        };
        let class = if shown == "\u{2717}" { "fail" } else { "dim" };
        return html! { span class=(class) title=(says) { (shown) } };
    };
    let trust = text(claim, "trust");
    let wrong = text(claim, "content") == "wrong" || trust == "forged";
    let keys: Vec<&str> = list(claim, "keys").iter().filter_map(Value::as_str).collect();
    let (shown, tone) = match () {
        () if wrong => (symbol(Word::Fail), class(Word::Fail)),
        () if version > 0 => ("\u{2260}", class(Word::Fail)),
        () if matches!(trust, "signed" | "content-addressed") => {
            (symbol(Word::Pass), class(Word::Pass))
        }
        () => ("=", class(Word::Inconclusive)),
    };
    let says = format!("{trust} {}", keys.join(" "));
    html! { span class=(tone) title=(crate::report::text::printable(&says)) { (shown) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_called_by_their_hosts() {
        for (name, shown) in [
            ("https://cache.nixos.org", "cache.nixos.org"),
            ("https://h:8080/a/b", "h:8080"),
            ("file:///srv/cache", "cache"),
            ("/", ""),
        ] {
            assert_eq!(short(name), shown);
        }
    }
}
