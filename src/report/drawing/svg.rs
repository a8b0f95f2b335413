//! A drawing as SVG. Every node has a `<title>`, which browsers show when it is
//! pointed at and screen readers read.

use std::fmt::{Result, Write};

use super::layout::{self, HEIGHT, Point, real};
use super::{Clean, Drawing, HANDED_ON, Node, label, legend};

/// Size of the text in pixels.
const FONT: f64 = 11.0;

/// Width of a character of a monospaced font of that size.
const CHARACTER: f64 = 6.7;

/// Space in a box beside its text.
const PADDING: f64 = 6.0;

/// Space around everything.
const MARGIN: f64 = 20.0;

/// Lines above the graph: the title and the legend.
const HEAD: f64 = 56.0;

pub(super) fn write(out: &mut String, drawing: &Drawing, edges: &[(usize, usize)]) -> Result {
    let labels: Vec<String> = drawing.nodes.iter().map(label).collect();
    let widths: Vec<f64> = labels.iter().map(|label| width(label)).collect();
    let placed = layout::layout(&widths, edges);
    let least = real(drawing.title.chars().count()) * CHARACTER;
    let page_width = placed.width.max(least).max(700.0) + 2.0 * MARGIN;
    let page_height = placed.height + HEAD + 2.0 * MARGIN;
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{page_width:.0}\" \
         height=\"{page_height:.0}\" viewBox=\"0 0 {page_width:.0} {page_height:.0}\" \
         font-family=\"monospace\" font-size=\"{FONT}\" role=\"img\">"
    )?;
    writeln!(out, "<title>{}</title>", escaped(&drawing.title))?;
    writeln!(out, "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>")?;
    head(out, drawing)?;
    writeln!(out, "<g transform=\"translate({MARGIN} {:.0})\">", MARGIN + HEAD)?;
    writeln!(
        out,
        "<g fill=\"none\" stroke=\"#737373\" stroke-width=\"0.8\" stroke-opacity=\"0.7\">"
    )?;
    for (line, ends) in placed.edges.iter().zip(edges) {
        edge(out, line, drawing.hands_on(*ends))?;
    }
    writeln!(out, "</g>")?;
    for (at, node) in drawing.nodes.iter().enumerate() {
        let (Some(text), Some(corner), Some(width)) =
            (labels.get(at), placed.nodes.get(at), widths.get(at))
        else {
            continue;
        };
        self::node(out, node, text, *corner, *width)?;
    }
    writeln!(out, "</g>\n</svg>")
}

/// The width of a box with that text.
fn width(text: &str) -> f64 {
    real(text.chars().count()) * CHARACTER + 2.0 * PADDING
}

/// The title and what the colours mean.
fn head(out: &mut String, drawing: &Drawing) -> Result {
    writeln!(
        out,
        "<text x=\"{MARGIN}\" y=\"{:.0}\" font-size=\"14\" font-weight=\"bold\">{}</text>",
        MARGIN + 10.0,
        escaped(&drawing.title)
    )?;
    let mut x = MARGIN;
    let y = MARGIN + 24.0;
    let mut entry = |out: &mut String, text: &str, colours: (&str, &str, &str), dash: &str| {
        let width = width(text);
        let (fill, border, ink) = colours;
        writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" rx=\"3\" \
             fill=\"{fill}\" stroke=\"{border}\"{dash}/><text x=\"{:.1}\" y=\"{:.1}\" \
             fill=\"{ink}\">{}</text>",
            x + PADDING,
            y + 13.0,
            escaped(text)
        )?;
        x += width + 10.0;
        Ok(())
    };
    for (shade, count) in legend(drawing) {
        let text = format!("{} {}: {count}", shade.symbol(), shade.words());
        entry(out, &text, shade.colours(), "")?;
    }
    if drawing.nodes.iter().any(|node| node.broken) {
        entry(out, &drawing.broken_means, ("#ffffff", HANDED_ON, "#000000"), DASHES)?;
    }
    Ok(())
}

/// A broken border.
const DASHES: &str = " stroke-width=\"2\" stroke-dasharray=\"5 3\"";

fn node(out: &mut String, node: &Node, text: &str, corner: Point, width: f64) -> Result {
    let (fill, border, ink) = node.shade.colours();
    let (border, dash) = if node.broken { (HANDED_ON, DASHES) } else { (border, "") };
    let title: Vec<String> = node.title.iter().map(|line| escaped(line)).collect();
    writeln!(
        out,
        "<g><title>{}</title><rect x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" \
         height=\"{HEIGHT}\" rx=\"3\" fill=\"{fill}\" stroke=\"{border}\"{dash}/>\
         <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{ink}\">{}</text></g>",
        title.join("\n"),
        corner.x,
        corner.y,
        corner.x + PADDING,
        corner.y + 13.0,
        escaped(text)
    )
}

/// Curves between columns, straight lines across them.
fn edge(out: &mut String, line: &[Point], hands_on: bool) -> Result {
    let Some(start) = line.first() else { return Ok(()) };
    write!(out, "<path d=\"M{:.1} {:.1}", start.x, start.y)?;
    let mut from = *start;
    for (at, to) in line.iter().enumerate().skip(1) {
        if at % 2 == 1 {
            let middle = (from.x + to.x) / 2.0;
            write!(
                out,
                "C{middle:.1} {:.1} {middle:.1} {:.1} {:.1} {:.1}",
                from.y, to.y, to.x, to.y
            )?;
        } else {
            write!(out, "H{:.1}", to.x)?;
        }
        from = *to;
    }
    if hands_on {
        return writeln!(out, "\" stroke=\"{HANDED_ON}\" stroke-width=\"1.6\"/>");
    }
    writeln!(out, "\"/>")
}

/// Text as it stands in XML.
fn escaped(text: &str) -> String {
    let text = Clean(text).to_string();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
