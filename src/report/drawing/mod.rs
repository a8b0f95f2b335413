//! A graph as a picture: for Graphviz, or as SVG of our own layout.
//!
//! A [`Drawing`] is what is drawn, not how. Edges that follow from others are
//! left out, or a graph of hundreds of nodes would be black with them.

mod dot;
mod layout;
mod reduce;
mod svg;

use std::fmt;

/// Most nodes that are drawn: leaving out edges takes the square of it in bits.
pub const MAX_NODES: usize = 20_000;

/// Most characters of a label; the title has all of it.
const MAX_LABEL: usize = 34;

/// What a node's colour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shade {
    /// Differs, and nothing below does.
    First,
    /// Differs.
    Differs,
    /// A claim about it is forged.
    Forged,
    /// Nobody knows.
    Open,
    /// Nobody asked.
    Unasked,
    /// Known by its hash.
    Fixed,
    /// Reproduced.
    Good,
    /// Nothing is known of rebuilds.
    Plain,
}

impl Shade {
    /// All, worst first.
    pub(in crate::report) const ALL: [Self; 8] = [
        Self::First,
        Self::Differs,
        Self::Forged,
        Self::Open,
        Self::Unasked,
        Self::Fixed,
        Self::Good,
        Self::Plain,
    ];

    /// What it means, for the legend.
    pub(in crate::report) const fn words(self) -> &'static str {
        match self {
            Self::First => "differs, first",
            Self::Differs => "differs",
            Self::Forged => "forged",
            Self::Open => "not judged",
            Self::Unasked => "only rebuilt as an input",
            Self::Fixed => "fixed by hash",
            Self::Good => "reproduced",
            Self::Plain => "nothing proven",
        }
    }

    /// Told without colour too.
    pub(in crate::report) const fn symbol(self) -> &'static str {
        match self {
            Self::First => "✗✗",
            Self::Differs | Self::Forged => "✗",
            Self::Open => "?",
            Self::Unasked => "·",
            Self::Fixed => "=",
            Self::Good => "✓",
            Self::Plain => "·",
        }
    }

    /// Fill, border and text. Told apart by lightness as well as by hue.
    pub(in crate::report) const fn colours(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::First => ("#a50f15", "#67000d", "#ffffff"),
            Self::Differs => ("#fcae91", "#a50f15", "#000000"),
            Self::Forged => ("#6a51a3", "#3f007d", "#ffffff"),
            Self::Open => ("#fee391", "#993404", "#000000"),
            Self::Unasked => ("#f0f0f0", "#969696", "#000000"),
            Self::Fixed => ("#deebf7", "#3182bd", "#000000"),
            Self::Good => ("#e5f5e0", "#31a354", "#000000"),
            Self::Plain => ("#f7f7f7", "#bdbdbd", "#000000"),
        }
    }
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What stands in its box.
    pub label: String,
    /// What is shown when it is pointed at: its whole story, line by line.
    pub title: Vec<String>,
    /// Its colour.
    pub shade: Shade,
    /// Whether its border is broken: its own chain leads elsewhere.
    pub broken: bool,
}

/// What is drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drawing {
    /// What the picture is of.
    pub title: String,
    /// What broken borders mean, if there are any.
    pub broken_means: String,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// From what is built on to what builds on it, by the nodes' places.
    pub edges: Vec<(usize, usize)>,
}

/// The formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Graphviz: <https://graphviz.org/doc/info/lang.html>
    Dot,
    /// <https://www.w3.org/TR/SVG11/>
    Svg,
}

impl Format {
    /// The format of a file of that name, by its suffix.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        match name.rsplit_once('.')?.1 {
            "dot" | "gv" => Some(Self::Dot),
            "svg" => Some(Self::Svg),
            _ => None,
        }
    }
}

/// More nodes than can be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the graph has {0} derivations, and up to {MAX_NODES} can be drawn: name fewer targets")]
pub struct TooLarge(usize);

/// Draws.
///
/// # Errors
/// A graph of more than [`MAX_NODES`] nodes.
pub fn draw(drawing: &Drawing, format: Format) -> Result<String, TooLarge> {
    if drawing.nodes.len() > MAX_NODES {
        return Err(TooLarge(drawing.nodes.len()));
    }
    let edges = reduce::reduce(drawing.nodes.len(), &drawing.edges);
    let mut text = String::new();
    let written = match format {
        Format::Dot => dot::write(&mut text, drawing, &edges),
        Format::Svg => svg::write(&mut text, drawing, &edges),
    };
    // Writing to a string never fails.
    debug_assert_eq!(written, Ok(()));
    Ok(text)
}

impl Drawing {
    /// Whether a difference is handed on along an edge.
    fn hands_on(&self, (from, to): (usize, usize)) -> bool {
        let (Some(from), Some(to)) = (self.nodes.get(from), self.nodes.get(to)) else {
            return false;
        };
        to.broken && (from.broken || matches!(from.shade, Shade::First | Shade::Differs))
    }
}

/// The colour of edges that hand on a difference, and of broken borders.
const HANDED_ON: &str = "#a50f15";

/// The label of a node in its box, its symbol included.
fn label(node: &Node) -> String {
    let mut label: String = node.label.chars().take(MAX_LABEL).collect();
    if node.label.chars().count() > MAX_LABEL {
        label.pop();
        label.push('…');
    }
    format!("{} {label}", node.shade.symbol())
}

/// Each shade that occurs, with how often.
fn legend(drawing: &Drawing) -> Vec<(Shade, usize)> {
    let count = |shade| drawing.nodes.iter().filter(|node| node.shade == shade).count();
    Shade::ALL.map(|shade| (shade, count(shade))).into_iter().filter(|(_, n)| *n > 0).collect()
}

/// Text without what no file of ours has: control characters and the like.
struct Clean<'a>(&'a str);

impl fmt::Display for Clean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::text::printable(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(label: &str, shade: Shade) -> Node {
        Node { label: label.into(), title: vec![label.into()], shade, broken: false }
    }

    fn drawing() -> Drawing {
        let mut nodes = vec![
            node("a", Shade::First),
            node("b\"<&>\\\u{1b}[31m\u{202e}", Shade::Good),
            node(&"long".repeat(20), Shade::Open),
        ];
        nodes[1].broken = true;
        Drawing {
            title: "x & y".into(),
            broken_means: "own chain differs".into(),
            nodes,
            edges: vec![(0, 1), (1, 2), (0, 2)],
        }
    }

    #[test]
    fn both_formats_show_nodes_edges_and_legend() {
        let dot = draw(&drawing(), Format::Dot).unwrap();
        assert_eq!(dot.matches(" -> ").count(), 2, "{dot}");
        let svg = draw(&drawing(), Format::Svg).unwrap();
        assert_eq!(svg.matches("<path ").count(), 2, "{svg}");
        assert_eq!(svg.matches("<title>").count(), 4, "{svg}");
        for text in [&dot, &svg] {
            assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
            assert!(text.contains("differs, first"), "{text}");
        }
        assert!(
            svg.contains("b\"&lt;&amp;&gt;\\") || svg.contains("b&quot;&lt;&amp;&gt;\\"),
            "{svg}"
        );
        assert!(dot.contains(r#"b\"<&>\\"#), "{dot}");
        assert_eq!(draw(&drawing(), Format::Svg).unwrap(), svg);
    }

    #[test]
    fn formats_go_by_the_suffix() {
        assert_eq!(Format::of("x.dot"), Some(Format::Dot));
        assert_eq!(Format::of("a.b.svg"), Some(Format::Svg));
        assert_eq!((Format::of("svg"), Format::of("x.png")), (None, None));
    }

    #[test]
    fn nothing_and_too_much_are_answers_too() {
        assert!(draw(&Drawing::default(), Format::Svg).unwrap().ends_with("</svg>\n"));
        let nodes = vec![node("x", Shade::Good); MAX_NODES + 1];
        let drawing = Drawing { nodes, ..Drawing::default() };
        assert_eq!(draw(&drawing, Format::Dot), Err(TooLarge(MAX_NODES + 1)));
    }
}
