//! The lines of a file that a finding points at, what is meant underlined.
//!
//! ```text
//!    --> flake.lock:12:18
//! 12 |         "owner": "somebody",
//!    |                  ^^^^^^^^^^ locked
//! 20 |         "owner": "NixOS",
//!    |                  ------- original
//! ```

use super::style::Look;
use super::text::{char_width, printable, width};
use super::view::Tone;
use crate::check::{Location, Mark};

/// Draws a place within the width of `look`, indented by `indent`.
pub(super) fn lines(place: &Location, look: Look, tone: Tone, indent: usize) -> Vec<String> {
    let margin = " ".repeat(indent);
    let digits = place.marks.iter().map(|mark| mark.line.to_string().len()).max().unwrap_or(1);
    let head = format!(
        "{}--> {}:{}:{}",
        " ".repeat(digits),
        printable(&place.file),
        place.start.line,
        place.start.column
    );
    let mut lines = vec![format!("{margin}{}", look.paint(Tone::Dim, &head))];
    let room = look.width.saturating_sub(indent + digits + 3).max(8);
    for (at, mark) in place.marks.iter().enumerate() {
        let drawn = Drawn::new(mark, room);
        let number = format!("{:>digits$} |", mark.line);
        lines.push(format!("{margin}{} {}", look.paint(Tone::Dim, &number), drawn.text));
        let (sign, tone) = if at == 0 { ("^", tone) } else { ("-", Tone::Dim) };
        let below = format!("{} |", " ".repeat(digits));
        let under = sign.repeat(drawn.length);
        let label = printable(&mark.label);
        let fits = drawn.before + drawn.length + 1 + width(&label) <= room;
        let under = match (label.is_empty(), fits) {
            (true, _) => look.paint(tone, &under),
            (false, true) => look.paint(tone, &format!("{under} {label}")),
            // Too narrow beside: below.
            (false, false) => format!(
                "{}\n{margin}{} {}",
                look.paint(tone, &under),
                look.paint(Tone::Dim, &below),
                look.paint(tone, &clip(&label, room))
            ),
        };
        let line = format!(
            "{margin}{} {}{under}",
            look.paint(Tone::Dim, &below),
            " ".repeat(drawn.before)
        );
        lines.extend(line.split('\n').map(str::to_owned));
    }
    lines
}

/// A marked line as it is drawn.
struct Drawn {
    text: String,
    /// Columns before the mark.
    before: usize,
    /// Columns of the mark.
    length: usize,
}

impl Drawn {
    /// Made printable, tabs as two spaces, the common indent left as it is,
    /// cut on the left if the mark would else lie outside `room`.
    fn new(mark: &Mark, room: usize) -> Self {
        let part = |from: usize, count: usize| -> String {
            let text: String = mark.text.chars().skip(from).take(count).collect();
            printable(&text.replace('\t', "  ")).into_owned()
        };
        let mut before = part(0, mark.before);
        let marked = part(mark.before, mark.length);
        let after = part(mark.before.saturating_add(mark.length), usize::MAX);
        let wanted = width(&marked).clamp(1, room / 2);
        if width(&before) + wanted + 1 > room {
            // Keep what stands right before the mark.
            let keep = room.saturating_sub(wanted).min(room / 3);
            let mut tail = Vec::new();
            let mut used = 1;
            for character in before.chars().rev() {
                used += char_width(character);
                if used > keep {
                    break;
                }
                tail.push(character);
            }
            before = std::iter::once('…').chain(tail.into_iter().rev()).collect();
        }
        let columns = width(&before);
        let left = room.saturating_sub(columns);
        let length = width(&marked).clamp(1, left.max(1));
        let text = clip(&format!("{before}{marked}{after}"), room);
        Self { text: text.trim_end().to_owned(), before: columns, length }
    }
}

/// The beginning of a text that fits into `room` columns.
fn clip(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut used = 1;
    let mut kept: String = text
        .chars()
        .take_while(|character| {
            used += char_width(*character);
            used <= room
        })
        .collect();
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Source, Span};

    fn draw(text: &str, what: &str, columns: usize) -> Vec<String> {
        let start = text.find(what).unwrap();
        let source = Source::new("flake.lock", text.as_bytes());
        let place = source.labelled(Span::new(start, start + what.len()), "locked");
        let look = Look::new(false, true, Some(columns));
        lines(&place, look, Tone::Bad, 2)
    }

    #[test]
    fn the_mark_stands_below_what_is_meant() {
        let text = "{\n  \"owner\": \"somebody\",\n}\n";
        assert_eq!(
            draw(text, "\"somebody\"", 80),
            [
                "   --> flake.lock:2:12",
                "  2 |   \"owner\": \"somebody\",",
                "    |            ^^^^^^^^^^ locked",
            ]
        );
    }

    #[test]
    fn every_width_holds_and_nothing_raw_gets_out() {
        let text = format!("\t{}\u{1b}[31m\u{4e2d}\u{6587}BAD{}", "a".repeat(90), "z".repeat(300));
        for columns in 40..200 {
            for line in draw(&text, "BAD", columns) {
                assert!(width(&line) <= columns, "{columns}: {line}");
                assert!(!line.contains('\u{1b}'));
            }
            let drawn = draw(&text, "BAD", columns);
            let at = drawn[2].find('^').unwrap();
            let above: usize = drawn[1].find("BAD").map(|b| width(&drawn[1][..b])).unwrap();
            assert_eq!(at, above, "{columns}: {drawn:#?}");
        }
    }
}
