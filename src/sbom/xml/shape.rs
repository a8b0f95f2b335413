//! How CycloneDX's JSON and XML correspond: one table for each kind of object,
//! its fields in the order of the XML schema. Writer and reader both follow it,
//! so that what one does not know the other does not invent.
//!
//! Taken from the project's `bom-1.7.xsd` and `bom-1.7.schema.json`; earlier
//! versions have fewer fields in the same order.

/// What a scalar is in JSON; in XML all are text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    Text,
    Number,
    Bool,
}

/// The fields of a kind of object: the address of its table, for tables name
/// each other in circles.
pub(super) type Shape = &'static &'static [Field];

/// How a field of a JSON object is written in XML.
#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    /// As an attribute.
    Attribute(Scalar),
    /// As an element that holds it.
    Element(Scalar),
    /// As the element's own text.
    Content,
    /// An object as an element.
    Object(Shape),
    /// A list of objects as an element with one element for each.
    List(&'static str, Shape),
    /// A list of scalars likewise.
    Scalars(&'static str, Scalar),
    /// A list of references likewise, each an element with a `ref`.
    References(&'static str),
    /// A list of objects as one element for each, without one around them. In
    /// JSON it may also be one object.
    Flat(Shape),
    /// A list of texts likewise.
    FlatTexts,
    /// `licenses`: a list of `{"license": {}}` and `{"expression": ""}`.
    Licences,
    /// `dependencies`: flat in JSON, nested in XML.
    Dependencies,
    /// `tools`: a list of tools, or an object with components and services.
    Tools,
}

/// A field of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    /// Its key in JSON.
    pub key: &'static str,
    /// Its element or attribute in XML.
    pub element: &'static str,
    /// How it is written.
    pub how: How,
}

const fn field(key: &'static str, how: How) -> Field {
    Field { key, element: key, how }
}

const fn named(key: &'static str, element: &'static str, how: How) -> Field {
    Field { key, element, how }
}

const fn text(key: &'static str) -> Field {
    field(key, How::Element(Scalar::Text))
}

const fn number(key: &'static str) -> Field {
    field(key, How::Element(Scalar::Number))
}

const fn flag(key: &'static str) -> Field {
    field(key, How::Element(Scalar::Bool))
}

const fn attribute(key: &'static str) -> Field {
    field(key, How::Attribute(Scalar::Text))
}

const REF: Field = attribute("bom-ref");
const PROPERTIES: Field = field("properties", How::List("property", &PROPERTY));
const HASHES: Field = field("hashes", How::List("hash", &HASH));
const LICENCES: Field = field("licenses", How::Licences);
const LINKS: Field = field("externalReferences", How::List("reference", &LINK));
const AUTHORS: Field = field("authors", How::List("author", &CONTACT));
const NOTES: Field = field("releaseNotes", How::Object(&RELEASE_NOTES));
const TAGS: Field = field("tags", How::Scalars("tag", Scalar::Text));

/// The whole document.
pub(super) static BOM: &[Field] = &[
    attribute("serialNumber"),
    field("version", How::Attribute(Scalar::Number)),
    field("metadata", How::Object(&METADATA)),
    field("components", How::List("component", &COMPONENT)),
    field("services", How::List("service", &SERVICE)),
    LINKS,
    field("dependencies", How::Dependencies),
    field("compositions", How::List("composition", &COMPOSITION)),
    PROPERTIES,
    field("vulnerabilities", How::List("vulnerability", &VULNERABILITY)),
    field("annotations", How::List("annotation", &ANNOTATION)),
    field("formulation", How::List("formula", &FORMULA)),
];

static METADATA: &[Field] = &[
    text("timestamp"),
    field("lifecycles", How::List("lifecycle", &LIFECYCLE)),
    field("tools", How::Tools),
    AUTHORS,
    field("component", How::Object(&COMPONENT)),
    field("manufacturer", How::Object(&ORGANISATION)),
    field("manufacture", How::Object(&ORGANISATION)),
    field("supplier", How::Object(&ORGANISATION)),
    LICENCES,
    PROPERTIES,
    field("distributionConstraints", How::Object(&CONSTRAINTS)),
];

static LIFECYCLE: &[Field] = &[text("phase"), text("name"), text("description")];

/// A tool as it was described up to CycloneDX 1.4.
pub(super) static TOOL: &[Field] = &[text("vendor"), text("name"), text("version"), HASHES, LINKS];

/// Tools as they are described since.
pub(super) static TOOLS: &[Field] = &[
    field("components", How::List("component", &COMPONENT)),
    field("services", How::List("service", &SERVICE)),
];

static ORGANISATION: &[Field] = &[
    REF,
    text("name"),
    field("address", How::Object(&ADDRESS)),
    field("url", How::FlatTexts),
    field("contact", How::Flat(&CONTACT)),
];

static ADDRESS: &[Field] = &[
    REF,
    text("country"),
    text("region"),
    text("locality"),
    text("postOfficeBoxNumber"),
    text("postalCode"),
    text("streetAddress"),
];

static CONTACT: &[Field] = &[REF, text("name"), text("email"), text("phone")];

static COMPONENT: &[Field] = &[
    attribute("type"),
    attribute("mime-type"),
    field("isExternal", How::Attribute(Scalar::Bool)),
    REF,
    field("supplier", How::Object(&ORGANISATION)),
    field("manufacturer", How::Object(&ORGANISATION)),
    AUTHORS,
    text("author"),
    text("publisher"),
    text("group"),
    text("name"),
    text("version"),
    text("versionRange"),
    text("description"),
    text("scope"),
    HASHES,
    LICENCES,
    text("copyright"),
    text("cpe"),
    text("purl"),
    field("omniborId", How::FlatTexts),
    field("swhid", How::FlatTexts),
    field("swid", How::Object(&SWID)),
    flag("modified"),
    field("pedigree", How::Object(&PEDIGREE)),
    LINKS,
    PROPERTIES,
    field("components", How::List("component", &COMPONENT)),
    field("evidence", How::Object(&EVIDENCE)),
    NOTES,
    TAGS,
];

static SWID: &[Field] = &[
    attribute("tagId"),
    attribute("name"),
    attribute("version"),
    field("tagVersion", How::Attribute(Scalar::Number)),
    field("patch", How::Attribute(Scalar::Bool)),
    field("text", How::Object(&ATTACHED)),
    text("url"),
];

static ATTACHED: &[Field] = &[
    named("contentType", "content-type", How::Attribute(Scalar::Text)),
    attribute("encoding"),
    field("content", How::Content),
];

static HASH: &[Field] = &[attribute("alg"), field("content", How::Content)];

static PROPERTY: &[Field] = &[attribute("name"), field("value", How::Content)];

static LINK: &[Field] = &[attribute("type"), text("url"), text("comment"), HASHES, PROPERTIES];

/// A licence that is no expression.
pub(super) static LICENCE: &[Field] = &[
    REF,
    attribute("acknowledgement"),
    text("id"),
    text("name"),
    field("text", How::Object(&ATTACHED)),
    text("url"),
    PROPERTIES,
];

/// A licence that is an expression.
pub(super) static EXPRESSION: &[Field] =
    &[REF, attribute("acknowledgement"), field("expression", How::Content)];

static PEDIGREE: &[Field] = &[
    field("ancestors", How::List("component", &COMPONENT)),
    field("descendants", How::List("component", &COMPONENT)),
    field("variants", How::List("component", &COMPONENT)),
    field("commits", How::List("commit", &COMMIT)),
    field("patches", How::List("patch", &PATCH)),
    text("notes"),
];

static COMMIT: &[Field] = &[
    text("uid"),
    text("url"),
    field("author", How::Object(&ACTION)),
    field("committer", How::Object(&ACTION)),
    text("message"),
];

static ACTION: &[Field] = &[text("timestamp"), text("name"), text("email")];

static PATCH: &[Field] = &[
    attribute("type"),
    field("diff", How::Object(&DIFF)),
    field("resolves", How::List("issue", &ISSUE)),
];

static ISSUE: &[Field] = &[
    attribute("type"),
    text("id"),
    text("name"),
    text("description"),
    field("source", How::Object(&SOURCE)),
    field("references", How::Scalars("url", Scalar::Text)),
];

static SOURCE: &[Field] = &[text("name"), text("url")];

static EVIDENCE: &[Field] = &[
    field("identity", How::Flat(&IDENTITY)),
    field("occurrences", How::List("occurrence", &OCCURRENCE)),
    field("callstack", How::Object(&CALLSTACK)),
    LICENCES,
    field("copyright", How::List("text", &COPYRIGHT)),
];

static IDENTITY: &[Field] = &[
    text("field"),
    number("confidence"),
    text("concludedValue"),
    field("methods", How::List("method", &METHOD)),
    field("tools", How::References("tool")),
];

static METHOD: &[Field] = &[text("technique"), number("confidence"), text("value")];

static OCCURRENCE: &[Field] = &[
    REF,
    text("location"),
    number("line"),
    number("offset"),
    text("symbol"),
    text("additionalContext"),
];

static FRAME: &[Field] = &[
    text("package"),
    text("module"),
    text("function"),
    field("parameters", How::Scalars("parameter", Scalar::Text)),
    number("line"),
    number("column"),
    text("fullFilename"),
];

static COMPOSITION: &[Field] = &[
    REF,
    text("aggregate"),
    field("assemblies", How::References("assembly")),
    field("dependencies", How::References("dependency")),
    field("vulnerabilities", How::References("vulnerability")),
];

static RELEASE_NOTES: &[Field] = &[
    text("type"),
    text("title"),
    text("featuredImage"),
    text("socialImage"),
    text("description"),
    text("timestamp"),
    field("aliases", How::Scalars("alias", Scalar::Text)),
    TAGS,
    field("resolves", How::List("issue", &ISSUE)),
    field("notes", How::List("note", &NOTE)),
    PROPERTIES,
];

static SERVICE: &[Field] = &[
    REF,
    field("provider", How::Object(&ORGANISATION)),
    text("group"),
    text("name"),
    text("version"),
    text("description"),
    field("endpoints", How::Scalars("endpoint", Scalar::Text)),
    flag("authenticated"),
    flag("x-trust-boundary"),
    text("trustZone"),
    LICENCES,
    LINKS,
    PROPERTIES,
    field("services", How::List("service", &SERVICE)),
    NOTES,
    TAGS,
];

static VULNERABILITY: &[Field] = &[
    REF,
    text("id"),
    field("source", How::Object(&SOURCE)),
    field("references", How::List("reference", &REFERENCE)),
    field("ratings", How::List("rating", &RATING)),
    field("cwes", How::Scalars("cwe", Scalar::Number)),
    text("description"),
    text("detail"),
    text("recommendation"),
    text("workaround"),
    field("advisories", How::List("advisory", &ADVISORY)),
    text("created"),
    text("published"),
    text("updated"),
    text("rejected"),
    field("credits", How::Object(&CREDITS)),
    field("tools", How::Tools),
    field("analysis", How::Object(&ANALYSIS)),
    field("affects", How::List("target", &AFFECTED)),
    PROPERTIES,
];

static RATING: &[Field] = &[
    field("source", How::Object(&SOURCE)),
    number("score"),
    text("severity"),
    text("method"),
    text("vector"),
    text("justification"),
];

static CREDITS: &[Field] = &[
    field("organizations", How::List("organization", &ORGANISATION)),
    field("individuals", How::List("individual", &CONTACT)),
];

static ANALYSIS: &[Field] = &[
    text("state"),
    text("justification"),
    named("response", "responses", How::Scalars("response", Scalar::Text)),
    text("detail"),
    text("firstIssued"),
    text("lastUpdated"),
];

static AFFECTED: &[Field] = &[text("ref"), field("versions", How::List("version", &VERSIONS))];

static ANNOTATION: &[Field] = &[
    REF,
    field("subjects", How::References("subject")),
    field("annotator", How::Object(&ANNOTATOR)),
    text("timestamp"),
    text("text"),
];

static ANNOTATOR: &[Field] = &[
    field("organization", How::Object(&ORGANISATION)),
    field("individual", How::Object(&CONTACT)),
    field("component", How::Object(&COMPONENT)),
    field("service", How::Object(&SERVICE)),
];

static FORMULA: &[Field] = &[
    REF,
    field("components", How::List("component", &COMPONENT)),
    field("services", How::List("service", &SERVICE)),
    field("workflows", How::List("workflow", &WORKFLOW)),
    PROPERTIES,
];

static WORKFLOW: &[Field] = &[
    REF,
    text("uid"),
    text("name"),
    text("description"),
    field("taskTypes", How::Scalars("taskType", Scalar::Text)),
    field("steps", How::List("step", &STEP)),
    field("inputs", How::List("input", &RESOURCE)),
    field("outputs", How::List("output", &RESOURCE)),
    text("timeStart"),
    text("timeEnd"),
    PROPERTIES,
];

static CONSTRAINTS: &[Field] = &[text("tlp")];

static DIFF: &[Field] = &[field("text", How::Object(&ATTACHED)), text("url")];

static CALLSTACK: &[Field] = &[field("frames", How::List("frame", &FRAME))];

static COPYRIGHT: &[Field] = &[field("text", How::Content)];

static NOTE: &[Field] = &[text("locale"), field("text", How::Object(&ATTACHED))];

static REFERENCE: &[Field] = &[text("id"), field("source", How::Object(&SOURCE))];

static ADVISORY: &[Field] = &[text("title"), text("url")];

static VERSIONS: &[Field] = &[text("version"), text("range"), text("status")];

static STEP: &[Field] = &[
    text("name"),
    text("description"),
    field("commands", How::List("command", &COMMAND)),
    PROPERTIES,
];

static COMMAND: &[Field] = &[text("executed"), PROPERTIES];

static RESOURCE: &[Field] = &[field("resource", How::Object(&RESOURCE_REFERENCE))];

static RESOURCE_REFERENCE: &[Field] =
    &[text("ref"), field("externalReference", How::Object(&LINK))];
