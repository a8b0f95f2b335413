//! A bill of materials as a file: what format it is in, its JSON with places,
//! and the text of each place.
//!
//! <https://cyclonedx.org/specification/overview/>, <https://spdx.github.io/spdx-spec/v2.3/>

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::xml::{self, ReadError};
use crate::nix::json::{self, Duplicates, JsonError, Node, Span};

/// A format and its version, as far as it can be judged here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Spec {
    CycloneDx1_2,
    CycloneDx1_3,
    CycloneDx1_4,
    CycloneDx1_5,
    CycloneDx1_6,
    CycloneDx1_7,
    Spdx2_3,
}

impl Spec {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::CycloneDx1_2,
        Self::CycloneDx1_3,
        Self::CycloneDx1_4,
        Self::CycloneDx1_5,
        Self::CycloneDx1_6,
        Self::CycloneDx1_7,
        Self::Spdx2_3,
    ];

    /// The version of the format.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Self::CycloneDx1_2 => "1.2",
            Self::CycloneDx1_3 => "1.3",
            Self::CycloneDx1_4 => "1.4",
            Self::CycloneDx1_5 => "1.5",
            Self::CycloneDx1_6 => "1.6",
            Self::CycloneDx1_7 => "1.7",
            Self::Spdx2_3 => "2.3",
        }
    }

    /// Whether it is CycloneDX.
    #[must_use]
    pub const fn is_cyclonedx(self) -> bool {
        !matches!(self, Self::Spdx2_3)
    }

    /// CycloneDX of that version.
    #[must_use]
    pub fn cyclonedx(version: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|spec| spec.is_cyclonedx() && spec.version() == version)
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.is_cyclonedx() { "CycloneDX" } else { "SPDX" };
        write!(f, "{name} {}", self.version())
    }
}

/// Why a file is no bill of materials that can be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// No JSON.
    #[error("the file is not JSON: {0}")]
    Json(#[from] JsonError),
    /// XML that is none, or not the format's.
    #[error(transparent)]
    Xml(#[from] ReadError),
    /// JSON that names no format.
    #[error(
        "the file names no format of a bill of materials (expected \"bomFormat\": \"CycloneDX\" with \"specVersion\", or \"spdxVersion\")"
    )]
    NoFormat,
    /// A format, or a version of one, that is not known here.
    #[error("{0} cannot be judged (can be: CycloneDX 1.2 to 1.7, SPDX 2.3)")]
    Unsupported(String),
}

/// What XML may begin with and JSON may not.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A bill of materials that could be read.
#[derive(Debug)]
pub struct Document<'t> {
    /// What it is.
    pub spec: Spec,
    /// All of it.
    pub value: Value,
    /// Keys that stand twice in one object.
    pub duplicates: Duplicates,
    places: Places<'t>,
}

/// Where what stands.
#[derive(Debug)]
enum Places<'t> {
    /// The JSON with its places.
    Json(Node<'t>),
    /// Places of XML elements by the JSON pointers of what they mean.
    Xml(BTreeMap<String, Span>),
}

impl<'t> Document<'t> {
    /// Reads a file.
    ///
    /// # Errors
    /// What is not JSON, or no format that can be judged.
    pub fn read(bytes: &'t [u8]) -> Result<Self, DocumentError> {
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        if first == Some(&b'<') || bytes.starts_with(BYTE_ORDER_MARK) {
            let xml::XmlDocument { value, places } = xml::read(bytes)?;
            let spec = recognise(&value)?;
            let duplicates = Duplicates::default();
            return Ok(Self { spec, value, duplicates, places: Places::Xml(places) });
        }
        let json::Document { root, duplicates } = json::parse(bytes)?;
        let value = plain(&root);
        let spec = recognise(&value)?;
        Ok(Self { spec, value, duplicates, places: Places::Json(root) })
    }

    /// Where the value of a JSON pointer (RFC 6901) stands; of what is not
    /// there the place of what should hold it.
    #[must_use]
    pub fn place(&self, pointer: &str) -> Span {
        let root = match &self.places {
            Places::Json(root) => root,
            Places::Xml(places) => return nearest(places, pointer),
        };
        let mut node = root;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let next = match &node.value {
                json::Value::Array(items) => {
                    step.parse::<usize>().ok().and_then(|at| items.get(at))
                }
                _ => node.member(&step),
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        opening(node)
    }
}

/// The place of the pointer, or of the nearest that holds it.
fn nearest(places: &BTreeMap<String, Span>, pointer: &str) -> Span {
    let mut pointer = pointer;
    loop {
        if let Some(place) = places.get(pointer) {
            return *place;
        }
        match pointer.rsplit_once('/') {
            Some((holder, _)) => pointer = holder,
            None => return Span::new(0, 0),
        }
    }
}

/// The place that stands for a value: scalars whole, of what holds others its
/// bracket.
fn opening(node: &Node<'_>) -> Span {
    match node.value {
        json::Value::Array(_) | json::Value::Object(_) => Span::new(node.offset, node.offset + 1),
        _ => node.span(),
    }
}

/// What a JSON pointer calls a key.
#[must_use]
pub fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

pub(super) fn recognise(value: &Value) -> Result<Spec, DocumentError> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    if let Some(version) = text("spdxVersion") {
        return match version {
            "SPDX-2.3" => Ok(Spec::Spdx2_3),
            other => Err(DocumentError::Unsupported(format!("'{other}'"))),
        };
    }
    if let (Some(_), Some(_)) = (value.get("@context"), value.get("@graph")) {
        return Err(DocumentError::Unsupported("JSON-LD, as of SPDX 3,".to_owned()));
    }
    // A file that says CycloneDX and is wrong about the rest is one that the
    // schema has to speak about.
    match (text("bomFormat"), text("specVersion")) {
        (Some("CycloneDX"), None) => {
            Err(DocumentError::Unsupported("CycloneDX without a specVersion".to_owned()))
        }
        (_, Some(version)) => Spec::cyclonedx(version)
            .ok_or_else(|| DocumentError::Unsupported(format!("CycloneDX '{version}'"))),
        _ => Err(DocumentError::NoFormat),
    }
}

/// The value without places. Of two equal keys the last counts, as in most
/// readers; the others are named by [`Document::duplicates`].
fn plain(node: &Node<'_>) -> Value {
    match &node.value {
        json::Value::Null => Value::Null,
        json::Value::Bool(value) => Value::Bool(*value),
        json::Value::Number(text) => {
            serde_json::from_str(text).unwrap_or_else(|_| Value::String((*text).to_owned()))
        }
        json::Value::String(text) => Value::String(text.to_string()),
        json::Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        json::Value::Object(members) => {
            let mut map = Map::new();
            for member in members {
                map.insert(member.key.to_string(), plain(&member.value));
            }
            Value::Object(map)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_recognised() {
        for (text, wanted) in [
            (r#"{"bomFormat":"CycloneDX","specVersion":"1.7"}"#, Ok(Spec::CycloneDx1_7)),
            (r#"{"bomFormat":"AcmeX","specVersion":"1.4"}"#, Ok(Spec::CycloneDx1_4)),
            (r#"{"spdxVersion":"SPDX-2.3"}"#, Ok(Spec::Spdx2_3)),
            (
                r#"{"spdxVersion":"SPDX-2.2"}"#,
                Err(DocumentError::Unsupported("'SPDX-2.2'".to_owned())),
            ),
            (
                r#"{"bomFormat":"CycloneDX","specVersion":"9.1"}"#,
                Err(DocumentError::Unsupported("CycloneDX '9.1'".to_owned())),
            ),
            (r"{}", Err(DocumentError::NoFormat)),
            ("[1]", Err(DocumentError::NoFormat)),
        ] {
            assert_eq!(Document::read(text.as_bytes()).map(|one| one.spec), wanted, "{text}");
        }
        assert!(matches!(Document::read(b"<bom/>"), Err(DocumentError::Xml(_))));
        let xml = b" <bom xmlns='http://cyclonedx.org/schema/bom/1.5' version='1'/>";
        assert_eq!(Document::read(xml).unwrap().spec, Spec::CycloneDx1_5);
    }

    #[test]
    fn pointers_lead_to_places() {
        let text = br#"{"specVersion":"1.7","a":[{"b/c":"x~"},"last"]}"#;
        let document = Document::read(text).unwrap();
        let at = |pointer: &str| {
            let span = document.place(pointer);
            std::str::from_utf8(&text[span.start..span.end]).unwrap()
        };
        assert_eq!(at("/a/0/b~1c"), "\"x~\"");
        assert_eq!(at("/a/1"), "\"last\"");
        assert_eq!(at("/a/0/missing/deep"), "{");
        assert_eq!(document.place("/a/0").start, document.place("/a/0/none").start);
        assert_eq!(at("/a/9"), "[");
    }
}
