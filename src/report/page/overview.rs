//! The first screen: one verdict, a card for each report, and what was left
//! open.

use maud::{Markup, html};

use super::parts::{badge, class, count, path, printed, symbol, table};
use super::saved::{Saved, Subject, Word};
use super::{Content, Sheet};

/// The word in a verdict.
pub(super) const fn word(word: Word) -> &'static str {
    match word {
        Word::Pass => "PASS",
        Word::Inconclusive => "INCONCLUSIVE",
        Word::Fail => "FAIL",
    }
}

/// The verdict over everything on the page, and where its parts are.
pub(super) fn head(sheets: &[Sheet], worst: Option<Word>) -> Markup {
    html! {
        header class=[worst.map(class)] {
            div.inner {
                p.brand { "verify" }
                h1 {
                    @match worst {
                        Some(worst) => { (symbol(worst)) " " (word(worst)) }
                        None => { "Bills of materials" }
                    }
                }
                @if let Some(worst) = worst { p { (meaning(worst)) } }
                nav aria-label="Parts of this page" {
                    a href="#findings" { "findings" }
                    @for (at, sheet) in sheets.iter().enumerate() {
                        a href={ "#part-" (at) } { (sheet.heading()) }
                    }
                }
            }
        }
    }
}

/// What a verdict means, in a sentence.
const fn meaning(word: Word) -> &'static str {
    match word {
        Word::Pass => "Everything that was asked for was checked and holds.",
        Word::Inconclusive => "Nothing failed, but something that was asked for got no answer.",
        Word::Fail => "Something fails, differs or is forged.",
    }
}

/// A card for each report.
pub(super) fn cards(sheets: &[Sheet]) -> Markup {
    html! {
        section.cards {
            @for (at, sheet) in sheets.iter().enumerate() {
                article class={ "card " (sheet.word().map(class).unwrap_or_default()) } {
                    h2 { a href={ "#part-" (at) } { (sheet.heading()) } }
                    @match &sheet.content {
                        Content::Report(report) => { (card(report)) }
                        Content::Bill(bill) => { (super::bill::card(bill)) }
                    }
                }
            }
        }
    }
}

fn card(report: &Saved) -> Markup {
    let counts = [Word::Pass, Word::Inconclusive, Word::Fail]
        .map(|word| (word, report.subjects.iter().filter(|one| one.verdict == word).count()));
    let coverage = &report.coverage;
    html! {
        p { (badge(report.verdict.result, word(report.verdict.result))) }
        p.sentence { (printed(sentence(&report.verdict.sentence))) }
        (bar(&counts))
        p.dim {
            (coverage.answered) " of " (coverage.asked) " checks answered"
            @if !coverage.not_run.is_empty() { ", " (coverage.not_run.len()) " not asked for" }
        }
        @for trouble in &report.troubles {
            p.trouble {
                (symbol(Word::Fail)) " " (printed(&trouble.message))
                @for cause in &trouble.causes { ": " (printed(cause)) }
            }
        }
    }
}

/// A verdict's sentence without the word that the badge has already.
fn sentence(whole: &str) -> &str {
    let rest = whole.split_once(": ").filter(|(word, _)| word.chars().all(char::is_uppercase));
    rest.map_or(whole, |(_, rest)| rest)
}

/// How many subjects of each kind, as a bar a thousand wide. Few among many can
/// still be seen.
fn bar(counts: &[(Word, usize); 3]) -> Markup {
    let all: usize = counts.iter().map(|(_, count)| count).sum();
    let shown = counts.iter().filter(|(_, count)| *count > 0);
    let words: Vec<String> =
        shown.map(|(one, count)| format!("{count} {}", word(*one).to_lowercase())).collect();
    let mut from = 0;
    html! {
        @if all > 0 {
            svg.bar viewBox="0 0 1000 12" preserveAspectRatio="none" role="img" aria-label=(words.join(", ")) {
                @for (word, count) in counts {
                    @let start = from * WIDTH / all;
                    @let end = { from += count; from * WIDTH / all };
                    @if *count > 0 {
                        rect class=(class(*word)) x=(start.min(WIDTH - LEAST)) y="0"
                            width=(end.saturating_sub(start).max(LEAST)) height="12" {}
                    }
                }
            }
        }
    }
}

/// The width of a bar, in its own units.
const WIDTH: usize = 1000;

/// The least width of a part that is there.
const LEAST: usize = 8;

/// Every subject with its result, the worst first.
pub(super) fn subjects(report: &Saved) -> Markup {
    let mut subjects: Vec<&Subject> = report.subjects.iter().collect();
    subjects.sort_by(|a, b| (a.verdict, &a.status, &a.id).cmp(&(b.verdict, &b.status, &b.id)));
    let rows = html! {
        @for subject in &subjects {
            tr data-v=(class(subject.verdict)) {
                td { (badge(subject.verdict, &subject.status)) }
                td { (path(&subject.id)) }
            }
        }
    };
    html! {
        @if !subjects.is_empty() {
            h3 { (count(subjects.len(), "subject", "subjects")) }
            (table("subjects", &[("result", ""), ("subject", "")], &rows))
        }
    }
}

/// What got no answer and what nobody asked.
pub(super) fn open(report: &Saved) -> Markup {
    let coverage = &report.coverage;
    let rows = html! {
        @for open in &coverage.inconclusive {
            tr data-v="open" {
                td { (badge(Word::Inconclusive, &open.reason)) }
                td { (path(&open.subject)) }
                td { (printed(&open.check)) }
                td { (printed(&open.detail)) }
            }
        }
    };
    html! {
        @if !coverage.inconclusive.is_empty() {
            h3 { (count(coverage.inconclusive.len(), "question", "questions")) " without an answer" }
            (table("open questions", &[("reason", ""), ("subject", ""), ("check", ""), ("detail", "")], &rows))
        }
        @if !coverage.not_run.is_empty() {
            details {
                summary { (count(coverage.not_run.len(), "check", "checks")) " not asked for" }
                ul {
                    @for left in &coverage.not_run {
                        li { b { (printed(&left.check)) } ": " (printed(&left.because)) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_not_said_twice() {
        assert_eq!(sentence("FAIL: 2 outputs: 1 differs"), "2 outputs: 1 differs");
        assert_eq!(sentence("2 outputs: 1 differs"), "2 outputs: 1 differs");
    }

    #[test]
    fn a_bar_is_as_wide_as_its_counts() {
        let shown = bar(&[(Word::Pass, 3), (Word::Inconclusive, 0), (Word::Fail, 1)]).into_string();
        assert!(shown.contains("x=\"0\" y=\"0\" width=\"750\""), "{shown}");
        assert!(shown.contains("x=\"750\" y=\"0\" width=\"250\""), "{shown}");
        assert!(shown.contains("3 pass, 1 fail"), "{shown}");
    }
}
