//! What the profiles and comparisons look at in a bill of materials, of
//! whatever format, each with its place. Nothing is filled in: what the
//! document does not say is not here, and what it says is here as written.

mod cyclonedx;
mod spdx;

use serde_json::Value;

use super::document::Spec;

/// Properties that name an output of a derivation.
const OUTPUT: [&str; 2] = ["nix:output", "nix:output_name"];

/// Properties that hold the word for what came of a rebuild.
const VERDICT: [&str; 2] = ["verify:rebuild:status", "verify:rebuild"];

/// Words for rebuilds that hold.
pub const HOLDS: [&str; 2] = ["reproduced", "fixed-by-hash"];

/// A text with its JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// The text, as written.
    pub text: String,
    /// Where it stands.
    pub pointer: String,
}

impl At {
    fn new(text: &str, pointer: String) -> Self {
        Self { text: text.to_owned(), pointer }
    }
}

/// A person or an organisation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Party {
    /// Where it stands.
    pub pointer: String,
    /// Its name.
    pub name: Option<String>,
    /// Its addresses for mail.
    pub emails: Vec<String>,
    /// Its pages.
    pub urls: Vec<String>,
}

/// What made the document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tool {
    /// Where it stands.
    pub pointer: String,
    /// Its name.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
}

/// What a hash is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HashOf {
    /// The component, as the format puts it.
    Component,
    /// What is distributed: the deployable form.
    Distribution,
    /// The source.
    Source,
}

/// A hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hash {
    /// Where it stands.
    pub pointer: String,
    /// What it is of.
    pub of: HashOf,
    /// The algorithm's name as the format writes it.
    pub algorithm: String,
    /// The value, as written.
    pub value: String,
}

/// How a licence is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meant {
    /// Not said.
    Unsaid,
    /// As its makers say.
    Declared,
    /// As whoever wrote the document concludes.
    Concluded,
}

/// How a licence is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LicenceForm {
    /// One identifier of the SPDX list.
    Identifier,
    /// An SPDX expression.
    Expression,
    /// A name, which is no SPDX identifier.
    Name,
}

/// A licence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Licence {
    /// Where it stands.
    pub pointer: String,
    /// As written.
    pub text: String,
    /// How it is given.
    pub form: LicenceForm,
    /// How it is meant.
    pub meant: Meant,
}

/// A component.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// Where it stands.
    pub pointer: String,
    /// The name by which the document refers to it.
    pub reference: Option<String>,
    /// What it is: `library`, `application`.
    pub kind: Option<String>,
    /// The name space of its name.
    pub group: Option<String>,
    /// Its name.
    pub name: Option<At>,
    /// Its version.
    pub version: Option<At>,
    /// Package URLs.
    pub purls: Vec<At>,
    /// CPE, SWID, SWHID, OmniBOR identifiers.
    pub identifiers: Vec<At>,
    /// Hashes.
    pub hashes: Vec<Hash>,
    /// Licences.
    pub licences: Vec<Licence>,
    /// Who made it: manufacturer, authors, originator.
    pub makers: Vec<Party>,
    /// Who supplies it: supplier, publisher.
    pub suppliers: Vec<Party>,
    /// Named values: name, and value with its place.
    pub properties: Vec<(String, At)>,
    /// References to elsewhere: type and address.
    pub links: Vec<(String, At)>,
    /// What patches are called or where they are.
    pub patches: Vec<String>,
    /// Parts it is made of, by their places in [`Outline::parts`].
    pub contains: Vec<usize>,
}

impl Part {
    /// Every value of a property.
    pub fn property<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a At> {
        self.properties.iter().filter(move |(one, _)| one == name).map(|(_, value)| value)
    }

    /// Which output of its derivation it is, if it says.
    #[must_use]
    pub fn output(&self) -> Option<&str> {
        OUTPUT.iter().find_map(|name| self.property(name).next()).map(|at| at.text.as_str())
    }

    /// What came of rebuilding it, if it says; of several words, from several
    /// reports, one that does not hold.
    #[must_use]
    pub fn verdict(&self) -> Option<&str> {
        let words =
            || VERDICT.iter().flat_map(|name| self.property(name)).map(|at| at.text.as_str());
        words().find(|word| !HOLDS.contains(word)).or_else(|| words().next())
    }

    /// How it is called in messages: name and version, else where it stands.
    #[must_use]
    pub fn title(&self) -> String {
        match (&self.name, &self.version) {
            (Some(name), Some(version)) => format!("{} {}", name.text, version.text),
            (Some(name), None) => name.text.clone(),
            _ => self.pointer.clone(),
        }
    }
}

/// What one part depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependencies {
    /// Where it is said.
    pub pointer: String,
    /// Of whom.
    pub of: String,
    /// On whom.
    pub on: Vec<String>,
}

/// What is said of the completeness of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completeness {
    /// Where it is said.
    pub pointer: String,
    /// `complete`, `incomplete`, `unknown`.
    pub aggregate: String,
    /// Of whom; empty for the document as a whole.
    pub of: Vec<String>,
}

/// A bill of materials, as far as it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The format.
    pub spec: Spec,
    /// What tells it from other documents.
    pub serial: Option<At>,
    /// Its own version.
    pub revision: Option<At>,
    /// When it was made.
    pub timestamp: Option<At>,
    /// Who made it.
    pub authors: Vec<Party>,
    /// With what.
    pub tools: Vec<Tool>,
    /// At which moments of the software's life.
    pub contexts: Vec<At>,
    /// Where it is signed, if it is.
    pub signature: Option<String>,
    /// What it is about, by its place in `parts`.
    pub primary: Option<usize>,
    /// All parts, the one it is about included.
    pub parts: Vec<Part>,
    /// Who depends on whom, by references.
    pub dependencies: Vec<Dependencies>,
    /// What is said of completeness.
    pub completeness: Vec<Completeness>,
    /// What it says of vulnerabilities, if it does.
    pub vulnerabilities: Option<String>,
    /// What it says of itself by name: name, and value with its place.
    pub properties: Vec<(String, At)>,
}

impl Outline {
    /// Looks at a document of that format.
    #[must_use]
    pub fn of(spec: Spec, value: &Value) -> Self {
        if spec.is_cyclonedx() { cyclonedx::outline(spec, value) } else { spdx::outline(value) }
    }

    fn empty(spec: Spec) -> Self {
        Self {
            spec,
            serial: None,
            revision: None,
            timestamp: None,
            authors: Vec::new(),
            tools: Vec::new(),
            contexts: Vec::new(),
            signature: None,
            primary: None,
            parts: Vec::new(),
            dependencies: Vec::new(),
            completeness: Vec::new(),
            vulnerabilities: None,
            properties: Vec::new(),
        }
    }
}

/// The text of a key, with its place. Numbers count as text: the version of a
/// document is one.
fn text(value: &Value, key: &str, pointer: &str) -> Option<At> {
    let here = format!("{pointer}/{key}");
    match value.get(key)? {
        Value::String(text) => Some(At::new(text, here)),
        Value::Number(number) => Some(At::new(&number.to_string(), here)),
        _ => None,
    }
}

/// The text of a key.
fn string(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// The items of a list under a key, each with its place.
fn items<'v>(
    value: &'v Value,
    key: &str,
    pointer: &str,
) -> impl Iterator<Item = (String, &'v Value)> {
    let pointer = format!("{pointer}/{key}");
    let list = value.get(key).and_then(Value::as_array);
    list.into_iter().flatten().enumerate().map(move |(at, one)| (format!("{pointer}/{at}"), one))
}
