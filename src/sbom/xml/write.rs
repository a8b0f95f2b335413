//! CycloneDX JSON as XML.

use serde_json::{Map, Value};

use super::NAMESPACE;
use super::shape::{self, Field, How, Scalar};
use crate::sbom::document::escape;

/// Why a document cannot be written as XML without losing something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// A field that the table of correspondences does not have.
    #[error("{0} has no place in the XML that is written")]
    Unknown(String),
    /// A value that is not what the format says.
    #[error("{pointer} is not {expected}")]
    Wrong {
        /// Where.
        pointer: String,
        /// What belongs there.
        expected: &'static str,
    },
}

/// Writes a CycloneDX document, given as JSON, as XML of the same version.
///
/// # Errors
/// What could not be written, rather than leaving it out.
pub fn write(root: &Value) -> Result<String, WriteError> {
    let mut map = object(root, "")?.clone();
    let version = match map.remove("specVersion") {
        Some(Value::String(version)) => version,
        _ => return Err(wrong("/specVersion", "a version")),
    };
    for key in ["bomFormat", "$schema"] {
        map.remove(key);
    }
    let mut out = Writer { text: String::new(), depth: 0 };
    out.text.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let namespace = ("xmlns".to_owned(), format!("{NAMESPACE}{version}"));
    out.object("bom", Some(namespace), &map, shape::BOM, "")?;
    Ok(out.text)
}

fn wrong(pointer: &str, expected: &'static str) -> WriteError {
    WriteError::Wrong { pointer: pointer.to_owned(), expected }
}

fn object<'v>(value: &'v Value, pointer: &str) -> Result<&'v Map<String, Value>, WriteError> {
    value.as_object().ok_or_else(|| wrong(pointer, "an object"))
}

fn list<'v>(value: &'v Value, pointer: &str) -> Result<&'v [Value], WriteError> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| wrong(pointer, "a list"))
}

/// A scalar as text.
fn scalar(value: &Value, kind: Scalar, pointer: &str) -> Result<String, WriteError> {
    match (kind, value) {
        (Scalar::Text, Value::String(text)) => Ok(text.clone()),
        (Scalar::Number, Value::Number(number)) => Ok(number.to_string()),
        (Scalar::Bool, Value::Bool(flag)) => Ok(flag.to_string()),
        (Scalar::Text, _) => Err(wrong(pointer, "a text")),
        (Scalar::Number, _) => Err(wrong(pointer, "a number")),
        (Scalar::Bool, _) => Err(wrong(pointer, "true or false")),
    }
}

/// Text as it stands in XML. A character that XML 1.0 cannot hold in any form
/// is written as people write it, `\u{1b}`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push_str(&format!("&#{};", u32::from(character))),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                out.extend(character.escape_unicode());
            }
            _ => out.push(character),
        }
    }
    out
}

struct Writer {
    text: String,
    depth: usize,
}

type Attributes = Vec<(String, String)>;

impl Writer {
    fn line(&mut self, text: &str) {
        self.text.extend(std::iter::repeat_n("  ", self.depth));
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn start(name: &str, attributes: &Attributes) -> String {
        let mut text = format!("<{name}");
        for (name, value) in attributes {
            text.push_str(&format!(" {name}=\"{}\"", escaped(value)));
        }
        text
    }

    /// An element with text.
    fn leaf(&mut self, name: &str, attributes: &Attributes, text: &str) {
        let start = Self::start(name, attributes);
        self.line(&format!("{start}>{}</{name}>", escaped(text)));
    }

    /// An element around others.
    fn around(
        &mut self,
        name: &str,
        attributes: &Attributes,
        inside: impl FnOnce(&mut Self) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        let start = Self::start(name, attributes);
        self.line(&format!("{start}>"));
        self.depth += 1;
        inside(self)?;
        self.depth -= 1;
        self.line(&format!("</{name}>"));
        Ok(())
    }

    fn object(
        &mut self,
        name: &str,
        first: Option<(String, String)>,
        map: &Map<String, Value>,
        fields: &[Field],
        pointer: &str,
    ) -> Result<(), WriteError> {
        if let Some(key) = map.keys().find(|key| fields.iter().all(|one| one.key != **key)) {
            return Err(WriteError::Unknown(format!("{pointer}/{}", escape(key))));
        }
        let mut attributes: Attributes = first.into_iter().collect();
        let mut content = None;
        let mut children = Vec::new();
        for field in fields {
            let Some(value) = map.get(field.key) else { continue };
            let here = format!("{pointer}/{}", escape(field.key));
            match field.how {
                How::Attribute(kind) => {
                    attributes.push((field.element.to_owned(), scalar(value, kind, &here)?));
                }
                How::Content => content = Some(scalar(value, Scalar::Text, &here)?),
                _ => children.push((field, value, here)),
            }
        }
        match content {
            Some(text) => {
                if let Some((_, _, here)) = children.first() {
                    return Err(WriteError::Unknown(here.clone()));
                }
                self.leaf(name, &attributes, &text);
                Ok(())
            }
            None if children.is_empty() => {
                let start = Self::start(name, &attributes);
                self.line(&format!("{start}/>"));
                Ok(())
            }
            None => self.around(name, &attributes, |out| {
                children
                    .into_iter()
                    .try_for_each(|(field, value, here)| out.field(field, value, &here))
            }),
        }
    }

    fn field(&mut self, field: &Field, value: &Value, here: &str) -> Result<(), WriteError> {
        let name = field.element;
        let none = Attributes::new();
        match field.how {
            How::Attribute(_) | How::Content => {}
            How::Element(kind) => self.leaf(name, &none, &scalar(value, kind, here)?),
            How::Object(fields) => self.object(name, None, object(value, here)?, fields, here)?,
            How::List(item, fields) => {
                let items = list(value, here)?;
                self.around(name, &none, |out| {
                    items.iter().enumerate().try_for_each(|(at, one)| {
                        let here = format!("{here}/{at}");
                        out.object(item, None, object(one, &here)?, fields, &here)
                    })
                })?;
            }
            How::Scalars(item, kind) => {
                let items = list(value, here)?;
                self.around(name, &none, |out| {
                    items.iter().enumerate().try_for_each(|(at, one)| {
                        out.leaf(item, &none, &scalar(one, kind, &format!("{here}/{at}"))?);
                        Ok(())
                    })
                })?;
            }
            How::References(item) => {
                let items = list(value, here)?;
                self.around(name, &none, |out| {
                    items.iter().enumerate().try_for_each(|(at, one)| {
                        let to = scalar(one, Scalar::Text, &format!("{here}/{at}"))?;
                        let start = Self::start(item, &vec![("ref".to_owned(), to)]);
                        out.line(&format!("{start}/>"));
                        Ok(())
                    })
                })?;
            }
            How::Flat(fields) => {
                if value.is_object() {
                    return self.object(name, None, object(value, here)?, fields, here);
                }
                for (at, one) in list(value, here)?.iter().enumerate() {
                    let here = format!("{here}/{at}");
                    self.object(name, None, object(one, &here)?, fields, &here)?;
                }
            }
            How::FlatTexts => {
                for (at, one) in list(value, here)?.iter().enumerate() {
                    self.leaf(name, &none, &scalar(one, Scalar::Text, &format!("{here}/{at}"))?);
                }
            }
            How::Licences => self.licences(name, value, here)?,
            How::Dependencies => self.dependencies(name, value, here)?,
            How::Tools => match value {
                Value::Object(map) => self.object(name, None, map, shape::TOOLS, here)?,
                _ => {
                    let field =
                        Field { key: "tools", element: name, how: How::List("tool", &shape::TOOL) };
                    self.field(&field, value, here)?;
                }
            },
        }
        Ok(())
    }

    fn licences(&mut self, name: &str, value: &Value, here: &str) -> Result<(), WriteError> {
        let items = list(value, here)?;
        self.around(name, &Attributes::new(), |out| {
            items.iter().enumerate().try_for_each(|(at, one)| {
                let here = format!("{here}/{at}");
                let map = object(one, &here)?;
                match map.get("license") {
                    Some(licence) => {
                        if let Some(key) = map.keys().find(|key| *key != "license") {
                            return Err(WriteError::Unknown(format!("{here}/{}", escape(key))));
                        }
                        let here = format!("{here}/license");
                        out.object("license", None, object(licence, &here)?, shape::LICENCE, &here)
                    }
                    None => out.object("expression", None, map, shape::EXPRESSION, &here),
                }
            })
        })
    }

    fn dependencies(&mut self, name: &str, value: &Value, here: &str) -> Result<(), WriteError> {
        let items = list(value, here)?;
        self.around(name, &Attributes::new(), |out| {
            items.iter().enumerate().try_for_each(|(at, one)| {
                let here = format!("{here}/{at}");
                out.dependency(object(one, &here)?, &here)
            })
        })
    }

    fn dependency(&mut self, map: &Map<String, Value>, here: &str) -> Result<(), WriteError> {
        const LISTS: [(&str, &str); 2] = [("dependsOn", "dependency"), ("provides", "provides")];
        let known = |key: &str| key == "ref" || LISTS.iter().any(|(list, _)| *list == key);
        if let Some(key) = map.keys().find(|key| !known(key)) {
            return Err(WriteError::Unknown(format!("{here}/{}", escape(key))));
        }
        let of = map.get("ref").ok_or_else(|| wrong(&format!("{here}/ref"), "a text"))?;
        let of = scalar(of, Scalar::Text, &format!("{here}/ref"))?;
        let mut inside = Vec::new();
        for (key, element) in LISTS {
            let Some(value) = map.get(key) else { continue };
            let here = format!("{here}/{key}");
            for (at, one) in list(value, &here)?.iter().enumerate() {
                let to = scalar(one, Scalar::Text, &format!("{here}/{at}"))?;
                inside.push(Self::start(element, &vec![("ref".to_owned(), to)]));
            }
        }
        let attributes = vec![("ref".to_owned(), of)];
        if inside.is_empty() {
            let start = Self::start("dependency", &attributes);
            self.line(&format!("{start}/>"));
            return Ok(());
        }
        self.around("dependency", &attributes, |out| {
            for start in inside {
                out.line(&format!("{start}/>"));
            }
            Ok(())
        })
    }
}
