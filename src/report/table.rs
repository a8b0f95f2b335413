//! Tables that fit: columns share the width at hand, long values wrap inside
//! their column, and where columns would get too thin rows are stacked.

use super::style::Look;
use super::text::{printable, width, wrap};
use super::view::{Cell, Table, Tone};

/// Columns between two cells.
const GAP: usize = 2;

/// A column thinner than this is no longer read as one.
const THIN: usize = 12;

/// A cell made printable, its symbol included.
struct Ready {
    text: String,
    tone: Tone,
}

/// Lays out a table for `look`, each line indented by `indent`.
pub(super) fn layout(table: &Table, look: Look, indent: usize) -> Vec<String> {
    let room = look.width.saturating_sub(indent).max(THIN);
    let headings: Vec<String> =
        table.columns.iter().map(|column| printable(&column.heading).into_owned()).collect();
    let rows: Vec<Vec<Ready>> = table
        .rows
        .iter()
        .map(|row| {
            (0..headings.len())
                .map(|at| row.get(at).map_or_else(empty, |c| ready(c, look)))
                .collect()
        })
        .collect();
    match share(&headings, &rows, room) {
        Some(widths) => side_by_side(table, &headings, &rows, &widths, look, indent),
        None => stacked(&headings, &rows, look, indent),
    }
}

const fn empty() -> Ready {
    Ready { text: String::new(), tone: Tone::Plain }
}

/// A cell as it is printed, before colour.
fn ready(cell: &Cell, look: Look) -> Ready {
    let text = printable(&cell.text);
    let text =
        if cell.symbol { format!("{} {text}", look.symbol(cell.tone)) } else { text.into_owned() };
    Ready { text, tone: cell.tone }
}

/// Shares the room among the columns: each gets what it needs, and the widest
/// give way first. `None` if that leaves a column too thin.
fn share(headings: &[String], rows: &[Vec<Ready>], room: usize) -> Option<Vec<usize>> {
    let mut widths: Vec<usize> = headings
        .iter()
        .enumerate()
        .map(|(at, heading)| {
            let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| width(&cell.text));
            cells.max().unwrap_or(0).max(width(heading)).min(room)
        })
        .collect();
    let gaps = GAP * widths.len().saturating_sub(1);
    loop {
        let used: usize = widths.iter().sum::<usize>() + gaps;
        if used <= room {
            return Some(widths);
        }
        let widest = widths.iter_mut().max()?;
        if *widest <= THIN {
            return None;
        }
        *widest -= 1;
    }
}

fn side_by_side(
    table: &Table,
    headings: &[String],
    rows: &[Vec<Ready>],
    widths: &[usize],
    look: Look,
    indent: usize,
) -> Vec<String> {
    let mut lines = Vec::new();
    let margin = " ".repeat(indent);
    if headings.iter().any(|heading| !heading.is_empty()) {
        let heads: Vec<Ready> = headings
            .iter()
            .map(|heading| Ready { text: heading.clone(), tone: Tone::Dim })
            .collect();
        row_lines(table, &heads, widths, look, &margin, &mut lines);
    }
    for row in rows {
        row_lines(table, row, widths, look, &margin, &mut lines);
    }
    lines
}

fn row_lines(
    table: &Table,
    row: &[Ready],
    widths: &[usize],
    look: Look,
    margin: &str,
    lines: &mut Vec<String>,
) {
    let cells: Vec<Vec<String>> =
        row.iter().zip(widths).map(|(cell, columns)| wrap(&cell.text, *columns)).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    for at in 0..height {
        let mut line = margin.to_owned();
        let mut pending = 0;
        for (((pieces, columns), cell), column) in
            cells.iter().zip(widths).zip(row).zip(&table.columns)
        {
            let piece = pieces.get(at).map_or("", String::as_str);
            let pad = columns.saturating_sub(width(piece));
            if column.right {
                pending += pad;
            }
            if !piece.is_empty() {
                line.push_str(&" ".repeat(pending));
                line.push_str(&look.paint(cell.tone, piece));
                pending = 0;
            }
            if !column.right {
                pending += pad;
            }
            pending += GAP;
        }
        lines.push(line);
    }
}

/// One line for each cell, its heading before it.
fn stacked(headings: &[String], rows: &[Vec<Ready>], look: Look, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let label = headings.iter().map(|heading| width(heading)).max().unwrap_or(0);
    let room = look.width.saturating_sub(indent + label + GAP).max(THIN);
    for (number, row) in rows.iter().enumerate() {
        if number > 0 {
            lines.push(String::new());
        }
        for (heading, cell) in headings.iter().zip(row) {
            if cell.text.is_empty() {
                continue;
            }
            for (at, piece) in wrap(&cell.text, room).into_iter().enumerate() {
                let shown = if at == 0 { heading.as_str() } else { "" };
                lines.push(format!(
                    "{}{}{}{}",
                    " ".repeat(indent),
                    look.paint(Tone::Dim, shown),
                    " ".repeat(label + GAP - width(shown)),
                    look.paint(cell.tone, &piece)
                ));
            }
        }
    }
    lines
}

/// Labelled values, the labels in one column.
pub(super) fn facts(entries: &[(String, Cell)], look: Look, indent: usize) -> Vec<String> {
    let labels: Vec<String> =
        entries.iter().map(|(label, _)| printable(label).into_owned()).collect();
    let label = labels.iter().map(|label| width(label)).max().unwrap_or(0);
    let room = look.width.saturating_sub(indent + label + GAP).max(THIN);
    let mut lines = Vec::new();
    for (name, (_, cell)) in labels.iter().zip(entries) {
        let cell = ready(cell, look);
        for (at, piece) in wrap(&cell.text, room).into_iter().enumerate() {
            let shown = if at == 0 { name.as_str() } else { "" };
            lines.push(format!(
                "{}{}{}{}",
                " ".repeat(indent),
                look.paint(Tone::Dim, shown),
                " ".repeat(label + GAP - width(shown)),
                look.paint(cell.tone, &piece)
            ));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::view::Column;

    fn table() -> Table {
        Table {
            title: String::new(),
            columns: vec![Column::text("output"), Column::number("size"), Column::text("verdict")],
            rows: vec![
                vec![
                    "/nix/store/snvwng24c1v75d5hqy346rp3122n7yk4-data-with-a-long-name-1.0".into(),
                    "12345678".into(),
                    Cell::judged(Tone::Bad, "differs"),
                ],
                vec!["short".into(), "1".into(), Cell::judged(Tone::Good, "reproduced")],
            ],
        }
    }

    #[test]
    fn every_width_is_kept_and_nothing_is_lost() {
        for columns in 40..=200 {
            let look = Look::new(false, true, Some(columns));
            let lines = layout(&table(), look, 2);
            for line in &lines {
                assert!(width(line) <= columns, "{columns}: {line}");
                assert!(!line.ends_with(' '));
            }
            let all: String = lines.concat().split_whitespace().collect();
            assert!(all.contains("reproduced") && all.contains("12345678"), "{all}");
        }
    }

    #[test]
    fn a_wide_terminal_puts_a_row_on_one_line() {
        let look = Look::new(false, false, Some(200));
        assert_eq!(
            layout(&table(), look, 0),
            [
                "output                                                                     size  verdict",
                "/nix/store/snvwng24c1v75d5hqy346rp3122n7yk4-data-with-a-long-name-1.0  12345678  x differs",
                "short                                                                         1  + reproduced",
            ]
        );
    }

    #[test]
    fn hostile_cells_stay_in_their_place() {
        let table = Table {
            title: String::new(),
            columns: vec![Column::text("name")],
            rows: vec![vec!["a\u{1b}[2Jb\nc\u{202e}".into()]],
        };
        let lines = layout(&table, Look::new(true, true, None), 0);
        assert_eq!(lines.last().map(String::as_str), Some("a\\x1b[2Jb\\nc\\u{202e}"));
    }
}
