//! A drawing in the language of Graphviz.

use std::fmt::{Result, Write};

use super::{Clean, Drawing, HANDED_ON, label, legend};

pub(super) fn write(out: &mut String, drawing: &Drawing, edges: &[(usize, usize)]) -> Result {
    writeln!(out, "// Edges that follow from others are left out.")?;
    for (shade, count) in legend(drawing) {
        writeln!(out, "// {} {}: {count}", shade.symbol(), shade.words())?;
    }
    writeln!(out, "digraph {} {{", quoted(&drawing.title))?;
    writeln!(out, "  rankdir=LR; nodesep=0.1; ranksep=0.6;")?;
    writeln!(
        out,
        "  node [shape=box, style=filled, fontname=\"monospace\", fontsize=10, height=0.2];"
    )?;
    writeln!(out, "  edge [color=\"#737373\", arrowsize=0.5];")?;
    for (at, node) in drawing.nodes.iter().enumerate() {
        let (fill, border, text) = node.shade.colours();
        let style = if node.broken { "\"filled,dashed\"" } else { "filled" };
        writeln!(
            out,
            "  n{at} [label={}, tooltip={}, style={style}, fillcolor=\"{fill}\", color=\"{border}\", \
             fontcolor=\"{text}\"];",
            quoted(&label(node)),
            quoted(&node.title.join("\n")),
        )?;
    }
    for &(from, to) in edges {
        let hands_on = drawing.hands_on((from, to));
        let how = if hands_on { format!(" [color=\"{HANDED_ON}\"]") } else { String::new() };
        writeln!(out, "  n{from} -> n{to}{how};")?;
    }
    writeln!(out, "}}")
}

/// A string of the language. Backslashes are escapes in labels too.
fn quoted(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| Clean(line).to_string()).collect();
    let text = lines.join("\n").replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{text}\"")
}
