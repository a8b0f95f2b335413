//! The small pieces that all parts of the page are made of.

use maud::{Markup, html};

use super::saved::Word;
use crate::report::text;

/// Text from a report, fit to be shown.
pub(super) fn printed(value: &str) -> Markup {
    html! { (text::printable(value)) }
}

/// A store path with its hash dimmed, or any other text as it is.
pub(super) fn path(value: &str) -> Markup {
    let Some((directory, base)) = value.rsplit_once('/') else { return printed(value) };
    match base.split_once('-') {
        Some((hash, name)) if hash.len() == HASH && hash.is_ascii() => html! {
            code.path {
                span.dir { (printed(directory)) "/" }
                span.hash { (printed(hash)) }
                "-" (printed(name))
            }
        },
        _ => html! { code.path { (printed(value)) } },
    }
}

/// Characters of the hash in a store path.
const HASH: usize = 32;

/// A word with its colour and symbol.
pub(super) fn badge(word: Word, says: &str) -> Markup {
    html! { span class={ "badge " (class(word)) } { (symbol(word)) " " (printed(says)) } }
}

/// The class that colours it.
pub(super) const fn class(word: Word) -> &'static str {
    match word {
        Word::Pass => "pass",
        Word::Inconclusive => "open",
        Word::Fail => "fail",
    }
}

/// Told without colour too.
pub(super) const fn symbol(word: Word) -> &'static str {
    match word {
        Word::Pass => "\u{2713}",
        Word::Inconclusive => "?",
        Word::Fail => "\u{2717}",
    }
}

/// A column's heading, and the class of its cells: `number`, `mark` or none.
pub(super) type Heading<'a> = (&'a str, &'static str);

/// A table that can be searched, with room for the script's controls. Rows are
/// `tr`s; a row's `data-v` is what it is filtered by.
pub(super) fn table(label: &str, headings: &[Heading<'_>], rows: &Markup) -> Markup {
    html! {
        div.filtered data-label=(label) {
            div.scroll {
                table {
                    thead { tr { @for (heading, class) in headings { th scope="col" class=(class) { (printed(heading)) } } } }
                    tbody { (rows) }
                }
            }
        }
    }
}

/// Milliseconds as people read them.
pub(super) fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds} ms"),
        1..60 => format!("{seconds}.{} s", milliseconds % 1000 / 100),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// `1 output`, `2 outputs`.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (time, shown) in
            [(7, "7 ms"), (1_250, "1.2 s"), (61_000, "1 min 1 s"), (3_660_000, "1 h 1 min")]
        {
            assert_eq!(duration(time), shown);
        }
    }

    #[test]
    fn text_from_a_report_is_only_text() {
        let shown = path("/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-<b>\u{1b}").into_string();
        assert!(shown.ends_with("-&lt;b&gt;\\x1b</code>"), "{shown}");
        assert!(!printed("a\u{202e}\n").into_string().contains(text::is_unsafe));
    }
}
