//! CycloneDX XML as the JSON that says the same, so that one schema and one
//! set of profiles judge both.

use std::collections::BTreeMap;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde_json::{Map, Number, Value, json};

use super::NAMESPACE;
use super::shape::{self, Field, How, Scalar};
use crate::nix::json::{MAX_DEPTH, MAX_LEN, MAX_VALUES, Span};

/// A document that was read.
#[derive(Debug)]
pub struct XmlDocument {
    /// What it says, as JSON.
    pub value: Value,
    /// Where what stands, by JSON pointers.
    pub places: BTreeMap<String, Span>,
}

/// Why XML cannot be read as CycloneDX.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No well-formed XML, or a bound is broken.
    #[error("the file is not well-formed XML: at byte {offset}: {why}")]
    Malformed {
        /// Where.
        offset: usize,
        /// What.
        why: String,
    },
    /// Something that XML allows and the format does not.
    #[error("at byte {offset}: {why}")]
    Forbidden {
        /// Where.
        offset: usize,
        /// What.
        why: String,
    },
    /// Another kind of XML.
    #[error("the file is XML, and no CycloneDX: its root is {0}")]
    NoFormat(String),
    /// A part of CycloneDX that is not understood here.
    #[error(
        "at byte {offset}: <{element}> in <{parent}> cannot be judged; the same document as JSON can"
    )]
    Unsupported {
        /// Where.
        offset: usize,
        /// What.
        element: String,
        /// In what.
        parent: String,
    },
}

impl ReadError {
    /// Where it is, if at a place.
    #[must_use]
    pub const fn offset(&self) -> Option<usize> {
        match self {
            Self::Malformed { offset, .. }
            | Self::Forbidden { offset, .. }
            | Self::Unsupported { offset, .. } => Some(*offset),
            Self::NoFormat(_) => None,
        }
    }
}

/// An element.
#[derive(Debug, Default)]
struct Element {
    name: String,
    span: Span,
    attributes: Vec<(String, String)>,
    children: Vec<Self>,
    text: String,
}

/// Reads a document.
///
/// # Errors
/// What is not XML, not CycloneDX, or not understood.
pub fn read(bytes: &[u8]) -> Result<XmlDocument, ReadError> {
    let root = tree(bytes)?;
    let namespace = root.attributes.iter().find(|(name, _)| name == "xmlns").map(|one| &one.1);
    let version = match namespace.and_then(|one| one.strip_prefix(NAMESPACE)) {
        Some(version) if root.name == "bom" => version.to_owned(),
        _ => {
            let space = namespace.map_or("none", String::as_str);
            let root = format!("<{}> of the name space {space}", root.name);
            return Err(ReadError::NoFormat(root));
        }
    };
    let mut builder = Builder { places: BTreeMap::new() };
    let mut map = builder.object(&root, shape::BOM, "", &version)?;
    map.insert("bomFormat".to_owned(), "CycloneDX".into());
    map.insert("specVersion".to_owned(), version.into());
    Ok(XmlDocument { value: Value::Object(map), places: builder.places })
}

/// The elements of a text.
fn tree(bytes: &[u8]) -> Result<Element, ReadError> {
    let malformed = |offset: usize, why: &str| ReadError::Malformed { offset, why: why.to_owned() };
    if bytes.len() > MAX_LEN {
        return Err(malformed(MAX_LEN, "the text is too long"));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| malformed(error.valid_up_to(), "the text is not UTF-8"))?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let shift = text.len() - text.trim_start_matches('\u{feff}').len();
    let (mut open, mut done, mut count) = (Vec::<Element>::new(), None, 0_usize);
    loop {
        let at = |reader: &Reader<&[u8]>| {
            usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX).saturating_add(shift)
        };
        let before = at(&reader);
        let event = reader.read_event().map_err(|error| {
            let offset = usize::try_from(reader.error_position()).unwrap_or(before);
            malformed(offset.saturating_add(shift), &error.to_string())
        })?;
        let after = at(&reader);
        match event {
            Event::Start(start) | Event::Empty(start) if done.is_some() => {
                let name = start.name().as_ref().to_owned();
                return Err(malformed(before, &format!("a second root {name:?}")));
            }
            Event::Start(ref start) | Event::Empty(ref start) => {
                count += 1;
                if count > MAX_VALUES || open.len() >= MAX_DEPTH {
                    return Err(malformed(before, "too many elements, or they nest too deeply"));
                }
                let element = element(start, Span::new(before, after))
                    .map_err(|why| malformed(before, &why))?;
                if matches!(event, Event::Start(_)) {
                    open.push(element);
                } else {
                    close(&mut open, &mut done, element);
                }
            }
            Event::End(_) => match open.pop() {
                Some(element) => close(&mut open, &mut done, element),
                None => return Err(malformed(before, "an end without a start")),
            },
            Event::Text(part) => add(&mut open, &part.xml10_content(), before)?,
            Event::CData(part) => add(&mut open, &part.xml10_content(), before)?,
            Event::GeneralRef(part) => {
                let resolved = match part.resolve_char_ref() {
                    Ok(Some(character)) => Some(character.to_string()),
                    Ok(None) => predefined(&part.xml10_content()).map(str::to_owned),
                    Err(_) => None,
                };
                let Some(resolved) = resolved else {
                    return Err(malformed(before, "an entity that nobody has declared"));
                };
                add(&mut open, &resolved, before)?;
            }
            Event::DocType(_) => {
                let why =
                    "a document type declaration, which no bill of materials needs".to_owned();
                return Err(ReadError::Forbidden { offset: before, why });
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    match (open.is_empty(), done) {
        (true, Some(root)) => Ok(root),
        _ => Err(malformed(text.len(), "the text ends before its root does")),
    }
}

/// The entities that XML itself has.
fn predefined(name: &str) -> Option<&'static str> {
    Some(match name {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        _ => return None,
    })
}

fn close(open: &mut [Element], done: &mut Option<Element>, element: Element) {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None => *done = Some(element),
    }
}

fn add(open: &mut [Element], text: &str, offset: usize) -> Result<(), ReadError> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => {
            let why = "text outside the root".to_owned();
            return Err(ReadError::Malformed { offset, why });
        }
    }
    Ok(())
}

fn element(start: &BytesStart<'_>, span: Span) -> Result<Element, String> {
    let name = start.name().as_ref().to_owned();
    let mut attributes: Vec<(String, String)> = Vec::new();
    // Doubled attributes are an error of the iterator.
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| error.to_string())?;
        attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
    }
    Ok(Element { name, span, attributes, ..Element::default() })
}

struct Builder {
    places: BTreeMap<String, Span>,
}

impl Builder {
    /// An element as an object of those fields.
    fn object(
        &mut self,
        element: &Element,
        fields: &[Field],
        pointer: &str,
        version: &str,
    ) -> Result<Map<String, Value>, ReadError> {
        self.places.insert(pointer.to_owned(), element.span);
        let mut map = Map::new();
        for (name, value) in &element.attributes {
            // What another name space adds is none of the format's business.
            if name.contains(':') || name == "xmlns" {
                continue;
            }
            // The schema lets anybody add attributes.
            let known = fields.iter().find(|one| one.element == name);
            if let Some((field, How::Attribute(kind))) = known.map(|one| (one, one.how)) {
                map.insert(field.key.to_owned(), scalar(value, kind));
            }
        }
        if let Some(field) = fields.iter().find(|one| matches!(one.how, How::Content)) {
            if let Some(child) = element.children.first() {
                return Err(unsupported(child, element));
            }
            map.insert(field.key.to_owned(), element.text.clone().into());
            return Ok(map);
        }
        no_text(element)?;
        let mut last = 0;
        for child in &element.children {
            let known = fields.iter().position(|one| {
                one.element == child.name && !matches!(one.how, How::Attribute(_) | How::Content)
            });
            let (place, field) = match known.and_then(|at| Some((at, fields.get(at)?))) {
                Some(found) => found,
                None => return Err(unsupported(child, element)),
            };
            if place < last {
                let why = format!("<{}> stands behind what has to follow it", child.name);
                return Err(forbidden(child, why));
            }
            last = place;
            self.field(child, field, &mut map, pointer, version)?;
        }
        Ok(map)
    }

    fn field(
        &mut self,
        child: &Element,
        field: &Field,
        map: &mut Map<String, Value>,
        pointer: &str,
        version: &str,
    ) -> Result<(), ReadError> {
        let here = format!("{pointer}/{}", field.key);
        let repeats = matches!(field.how, How::Flat(_) | How::FlatTexts);
        if map.contains_key(field.key) && !repeats {
            return Err(forbidden(child, format!("<{}> stands twice", child.name)));
        }
        let value = match field.how {
            How::Attribute(_) | How::Content => return Ok(()),
            How::Element(kind) => {
                self.places.insert(here, child.span);
                scalar(leaf(child)?, kind)
            }
            How::Object(fields) => self.object(child, fields, &here, version)?.into(),
            How::List(item, fields) => self.items(child, item, &here, |out, one, here| {
                Ok(out.object(one, fields, &here, version)?.into())
            })?,
            How::Scalars(item, kind) => {
                self.items(child, item, &here, |_, one, _| Ok(scalar(leaf(one)?, kind)))?
            }
            How::References(item) => {
                self.items(child, item, &here, |_, one, _| Ok(reference(one)?.into()))?
            }
            How::Flat(fields) => {
                let count = map.get(field.key).and_then(Value::as_array).map_or(0, Vec::len);
                // One identity and no list of them before 1.6.
                let single = field.key == "identity" && matches!(version, "1.5");
                let here = if single { here } else { format!("{here}/{count}") };
                let one = Value::Object(self.object(child, fields, &here, version)?);
                if single && map.contains_key(field.key) {
                    return Err(forbidden(child, format!("<{}> stands twice", child.name)));
                }
                if single { one } else { pushed(map.remove(field.key), one) }
            }
            How::FlatTexts => pushed(map.remove(field.key), leaf(child)?.into()),
            How::Licences => {
                let mixed = child.children.len() > 1
                    && child.children.iter().any(|one| one.name == "expression");
                // Since 1.5 the JSON schema says so itself.
                if mixed && matches!(version, "1.2" | "1.3" | "1.4") {
                    return Err(forbidden(child, "an expression stands alone".to_owned()));
                }
                self.items(child, "", &here, |out, one, here| match one.name.as_str() {
                    "license" => {
                        let here = format!("{here}/license");
                        let licence = out.object(one, shape::LICENCE, &here, version)?;
                        Ok(json!({ "license": licence }))
                    }
                    "expression" => Ok(out.object(one, shape::EXPRESSION, &here, version)?.into()),
                    _ => Err(unsupported(one, child)),
                })?
            }
            How::Dependencies => {
                self.items(child, "dependency", &here, |_, one, _| dependency(one))?
            }
            How::Tools => match child.children.first().map(|one| one.name.as_str()) {
                Some("tool") | None => self.items(child, "tool", &here, |out, one, here| {
                    Ok(out.object(one, shape::TOOL, &here, version)?.into())
                })?,
                Some(_) => self.object(child, shape::TOOLS, &here, version)?.into(),
            },
        };
        map.insert(field.key.to_owned(), value);
        Ok(())
    }

    /// The items inside an element; `item` is their name, empty for any.
    fn items(
        &mut self,
        element: &Element,
        item: &str,
        pointer: &str,
        mut make: impl FnMut(&mut Self, &Element, String) -> Result<Value, ReadError>,
    ) -> Result<Value, ReadError> {
        self.places.insert(pointer.to_owned(), element.span);
        no_text(element)?;
        let mut items = Vec::new();
        for (at, child) in element.children.iter().enumerate() {
            if !item.is_empty() && child.name != item {
                return Err(unsupported(child, element));
            }
            let here = format!("{pointer}/{at}");
            self.places.insert(here.clone(), child.span);
            items.push(make(self, child, here)?);
        }
        Ok(Value::Array(items))
    }
}

fn pushed(list: Option<Value>, one: Value) -> Value {
    match list {
        Some(Value::Array(mut list)) => {
            list.push(one);
            Value::Array(list)
        }
        _ => Value::Array(vec![one]),
    }
}

fn unsupported(element: &Element, parent: &Element) -> ReadError {
    ReadError::Unsupported {
        offset: element.span.start,
        element: element.name.clone(),
        parent: parent.name.clone(),
    }
}

fn forbidden(element: &Element, why: String) -> ReadError {
    ReadError::Forbidden {
        offset: element.span.start,
        why: format!("in <{}>: {why}", element.name),
    }
}

/// An element around others has no text of its own.
fn no_text(element: &Element) -> Result<(), ReadError> {
    if element.text.trim().is_empty() {
        return Ok(());
    }
    Err(forbidden(element, "text where elements are expected".to_owned()))
}

/// The text of an element without others in it.
fn leaf(element: &Element) -> Result<&str, ReadError> {
    match element.children.first() {
        Some(child) => Err(unsupported(child, element)),
        None => Ok(&element.text),
    }
}

fn reference(element: &Element) -> Result<&str, ReadError> {
    let found = element.attributes.iter().find(|(name, _)| name == "ref");
    found.map(|(_, to)| to.as_str()).ok_or_else(|| forbidden(element, "it has no ref".to_owned()))
}

/// A scalar; what is none of its kind stays text, for the schema to say so.
fn scalar(text: &str, kind: Scalar) -> Value {
    match (kind, text.trim()) {
        (Scalar::Text, _) => text.into(),
        (Scalar::Number, number) => number
            .parse::<u64>()
            .map(Number::from)
            .ok()
            .or_else(|| number.parse::<f64>().ok().and_then(Number::from_f64))
            .map_or_else(|| text.into(), Value::Number),
        (Scalar::Bool, "true" | "1") => true.into(),
        (Scalar::Bool, "false" | "0") => false.into(),
        (Scalar::Bool, _) => text.into(),
    }
}

/// A dependency with those inside it. Deeper ones belong to entries of their
/// own and are refused here.
fn dependency(element: &Element) -> Result<Value, ReadError> {
    no_text(element)?;
    let mut value = json!({ "ref": reference(element)? });
    for child in &element.children {
        let key = match child.name.as_str() {
            "dependency" => "dependsOn",
            "provides" => "provides",
            _ => return Err(unsupported(child, element)),
        };
        if let Some(below) = child.children.first() {
            return Err(unsupported(below, child));
        }
        let to = Value::from(reference(child)?);
        let list = value.get_mut(key).map(Value::take);
        if let Some(map) = value.as_object_mut() {
            map.insert(key.to_owned(), pushed(list, to));
        }
    }
    Ok(value)
}
