//! Bills of materials as facts: CycloneDX and SPDX, ours and anybody's.
//!
//! The document has to be what its schema allows, and its references have to
//! lead somewhere: a component that was taken out leaves references to it
//! behind. What [`Outline`] then finds in it is taken as it is written.

use super::file::Scope;
use super::material::{Content, Defect, MAX_DEFECTS};
use super::subject::{Fact, Field, Kind, Subject, Value};
use crate::nix::hash::NarHash;
use crate::nix::time::Timestamp;
use crate::sbom::document::Document;
use crate::sbom::outline::{HashOf, LicenceForm, Outline, Part};
use crate::sbom::validate;

/// What documents write where nobody knows.
const NOBODY_KNOWS: &str = "NOASSERTION";

/// Reads a bill.
pub(super) fn read(bytes: &[u8]) -> Result<(Outline, Content), Defect> {
    let document =
        Document::read(bytes).map_err(|error| Defect::malformed("", error.to_string()))?;
    let mut defects = match validate::schema_defects(&document) {
        Ok(defects) => defects
            .into_iter()
            .map(|defect| Defect::malformed(defect.pointer, defect.message))
            .collect(),
        Err(error) => vec![Defect::malformed("", error.to_string())],
    };
    let references = validate::references(&document);
    defects.extend(references.doubled.into_iter().map(|(name, first, again)| {
        Defect::contradictory(again, format!("'{name}' is the name of {first} already"))
    }));
    defects.extend(references.dangling.into_iter().map(|(name, pointer)| {
        Defect::contradictory(pointer, format!("it refers to '{name}', which is not there"))
    }));
    defects.truncate(MAX_DEFECTS);
    let outline = Outline::of(document.spec, &document.value);
    let things: Vec<Subject> = outline.parts.iter().map(component).collect();
    let whole = Some(whole(&outline));
    let scopes = scopes(&outline);
    Ok((outline, Content { scopes, whole, things, defects }))
}

/// Which rules judge it: those of what it says that it lists; where it says
/// nothing or several things, both those for what runs and those for the build.
fn scopes(outline: &Outline) -> Vec<Scope> {
    let mut said = outline.properties.iter().filter(|(name, _)| name == SCOPE);
    match (said.next().map(|(_, value)| value.text.as_str()), said.next()) {
        (Some("runtime" | "linked"), None) => vec![Scope::Runtime],
        (Some("build"), None) => vec![Scope::Build],
        _ => vec![Scope::Runtime, Scope::Build],
    }
}

fn whole(outline: &Outline) -> Subject {
    let primary = outline.primary.and_then(|at| outline.parts.get(at));
    let title = primary.map_or_else(|| outline.spec.to_string(), Part::title);
    let mut subject = Subject::new(Kind::Sbom, title, "");
    subject.text(Field::Format, outline.spec.to_string());
    if let Some(part) = primary {
        subject.state(Field::Name, text(part.name.as_ref().map(|at| at.text.as_str())));
        subject.state(Field::Version, text(part.version.as_ref().map(|at| at.text.as_str())));
        subject.state(Field::NarHash, nar_hash(part));
        subject.state(Field::Supplier, supplier(part));
    }
    if let Some(at) = &outline.timestamp {
        let fact = match moment(&at.text) {
            Some(seconds) => Fact::Known(Value::Time(seconds)),
            None => Fact::Unusable(format!("'{}' is no time in UTC", at.text)),
        };
        subject.state(Field::Created, fact);
    }
    let count = i64::try_from(outline.parts.len()).unwrap_or(i64::MAX);
    subject.state(Field::Components, Fact::Known(Value::Number(count)));
    let tools = outline.tools.iter().filter_map(|tool| tool.name.clone()).collect();
    subject.state(Field::Tools, Fact::Known(Value::Texts(tools)));
    subject
}

/// A moment as documents write it: whole seconds or fractions, in UTC.
fn moment(text: &str) -> Option<i64> {
    let plain = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?;
    let (seconds, fraction) = plain.split_once('.').unwrap_or((plain, "0"));
    let digits = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let time: Timestamp = format!("{seconds}Z").parse().ok().filter(|_| digits)?;
    Some(time.seconds())
}

fn component(part: &Part) -> Subject {
    let mut subject = Subject::new(Kind::Component, part.title(), part.pointer.clone());
    subject.state(Field::Name, text(part.name.as_ref().map(|at| at.text.as_str())));
    subject.state(Field::Version, text(part.version.as_ref().map(|at| at.text.as_str())));
    subject.state(Field::Type, text(part.kind.as_deref()));
    let purls: Vec<&str> = part.purls.iter().map(|at| at.text.as_str()).collect();
    subject.state(Field::Purl, one("package URLs", &purls));
    let cpes = part.identifiers.iter().map(|at| at.text.as_str());
    let cpes: Vec<&str> = cpes.filter(|text| text.starts_with("cpe:")).collect();
    subject.state(Field::Cpe, one("CPEs", &cpes));
    subject.state(Field::Licence, licence(part));
    subject.state(Field::Supplier, supplier(part));
    subject.state(Field::Paths, all(part, STORE_PATH));
    subject.state(Field::NarHash, nar_hash(part));
    let hashes = part.hashes.iter().filter(|hash| hash.of != HashOf::Source);
    let hashes =
        hashes.map(|hash| format!("{}:{}", algorithm(&hash.algorithm), hash.value)).collect();
    subject.state(Field::Hashes, Fact::Known(Value::Texts(hashes)));
    let sources = links(part).map(|(url, _)| url.to_owned()).collect();
    subject.state(Field::Sources, Fact::Known(Value::Texts(sources)));
    subject.state(Field::SourceHashes, source_hashes(part));
    let verdicts: Vec<&str> = part.property(VERDICT).map(|at| at.text.as_str()).collect();
    subject.state(Field::Verdict, one("verdicts", &verdicts));
    subject.state(Field::SignedBy, all(part, SIGNED_BY));
    subject.state(Field::Vendored, vendored(part));
    subject
}

fn text(said: Option<&str>) -> Fact {
    let said = said.filter(|text| *text != NOBODY_KNOWS);
    said.map_or(Fact::Missing, |text| Fact::Known(Value::Text(text.to_owned())))
}

/// The only one of what is said; several contradict each other.
fn one(what: &str, said: &[&str]) -> Fact {
    match said {
        [] => Fact::Missing,
        [first, rest @ ..] if rest.iter().all(|other| other == first) => text(Some(first)),
        _ => Fact::Unusable(format!("there are {} different {what}", said.len())),
    }
}

/// Inside another component lies what says so; by itself stands what has a
/// store path of its own. Of anything else it is not known.
fn vendored(part: &Part) -> Fact {
    let inside = part.property(VENDORED).next().is_some();
    let alone = part.property(STORE_PATH).next().is_some();
    if inside || alone { Fact::Known(Value::Truth(inside)) } else { Fact::Missing }
}

fn all(part: &Part, property: &str) -> Fact {
    Fact::Known(Value::Texts(part.property(property).map(|at| at.text.clone()).collect()))
}

fn supplier(part: &Part) -> Fact {
    text(part.suppliers.iter().find_map(|party| party.name.as_deref()))
}

/// All licences that are stated, as one expression: each of them counts.
fn licence(part: &Part) -> Fact {
    let said: Vec<_> =
        part.licences.iter().filter(|licence| licence.text != NOBODY_KNOWS).collect();
    if let Some(named) = said.iter().find(|licence| licence.form == LicenceForm::Name) {
        let shown: String = named.text.chars().take(100).collect();
        return Fact::Unusable(format!("'{shown}' is a name and no SPDX licence"));
    }
    let mut texts: Vec<&str> = said.iter().map(|licence| licence.text.as_str()).collect();
    texts.sort_unstable();
    texts.dedup();
    match texts.as_slice() {
        [] => Fact::Missing,
        [one] => text(Some(one)),
        many => Fact::Known(Value::Text(format!("({})", many.join(") AND (")))),
    }
}

/// The source URLs, each with where it stands.
fn links(part: &Part) -> impl Iterator<Item = (&str, &str)> {
    part.links
        .iter()
        .filter(|(kind, _)| kind == "source-distribution")
        .map(|(_, at)| (at.text.as_str(), at.pointer.as_str()))
}

/// The algorithms that fix the sources; unusable if one is not fixed.
fn source_hashes(part: &Part) -> Fact {
    let mut algorithms: Vec<String> = Vec::new();
    for (url, pointer) in links(part) {
        let place = format!("{}/hashes/", pointer.strip_suffix("/url").unwrap_or(pointer));
        let before = algorithms.len();
        algorithms.extend(
            part.hashes
                .iter()
                .filter(|hash| hash.of == HashOf::Source && hash.pointer.starts_with(&place))
                .map(|hash| algorithm(&hash.algorithm)),
        );
        if algorithms.len() == before {
            return Fact::Unusable(format!("the source {url} has no hash"));
        }
    }
    algorithms.sort_unstable();
    algorithms.dedup();
    Fact::Known(Value::Texts(algorithms))
}

/// `SHA-256` and `SHA256` as `sha256`.
fn algorithm(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

fn nar_hash(part: &Part) -> Fact {
    let said: Vec<&str> = part.property(NAR_HASH).map(|at| at.text.as_str()).collect();
    match one("NarHashes", &said) {
        Fact::Known(Value::Text(text)) => match NarHash::parse(&text) {
            Ok(hash) => Fact::Known(Value::Text(hash.hash().sri())),
            Err(error) => Fact::Unusable(error.to_string()),
        },
        other => other,
    }
}

/// Names of properties, as `verify sbom` writes them: of the bill, what it
/// lists.
const SCOPE: &str = "verify:scope";
/// Of a component: its store path.
const STORE_PATH: &str = "nix:store_path";
/// Its NarHash.
const NAR_HASH: &str = "nix:narinfo:nar_hash";
/// What a rebuild found out about it.
const VERDICT: &str = "verify:rebuild:status";
/// Trusted keys whose signatures hold for it.
const SIGNED_BY: &str = "nix:narinfo:signed_by";
/// What it is needed for inside the component that it lies in.
const VENDORED: &str = "verify:vendored:scope";
