//! The pieces of a document, as its schema has them. Fields stand in the order
//! in which they are written: that of their names, as in every other JSON of
//! this tool.

use std::borrow::Cow;

use serde::Serialize;

use super::NO_ASSERTION;
use crate::nix::hash::{Hash, HashAlgorithm};
use crate::sbom::bill::{self, Kind, Licence, Proof, SourceHash};
use crate::sbom::vendored::Vendored;

/// Text that is borrowed wherever it can be.
pub(super) type Text<'a> = Cow<'a, str>;

/// Somebody, by name.
#[derive(Serialize)]
pub(super) struct Contact<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<&'a str>,
    pub(super) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<[&'a str; 1]>,
}

impl<'a> Contact<'a> {
    /// Somebody of whom no more is known.
    pub(super) const fn named(name: &'a str) -> Self {
        Self { email: None, name, url: None }
    }
}

/// A fact that has no field of its own.
#[derive(Serialize)]
pub(super) struct Property<'a> {
    name: Text<'a>,
    value: Text<'a>,
}

/// A fact that has no field of its own.
pub(super) fn property<'a>(name: &'a str, value: &'a str) -> Property<'a> {
    Property { name: name.into(), value: value.into() }
}

/// A component that is a store object, or that lies inside one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Component<'a> {
    #[serde(rename = "bom-ref")]
    pub(super) bom_ref: Text<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) components: Vec<Self>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpe: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) evidence: Option<Evidence<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) external_references: Vec<ExternalReference<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) hashes: Vec<Digest<'a>>,
    pub(super) licenses: Licences<'a>,
    pub(super) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pedigree: Option<Pedigree<'a>>,
    pub(super) properties: Vec<Property<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) purl: Option<&'a str>,
    pub(super) supplier: Contact<'a>,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) version: &'a str,
}

/// A hash.
#[derive(Clone, Serialize)]
pub(super) struct Digest<'a> {
    alg: &'static str,
    content: Text<'a>,
}

/// The hashes of a component's NAR.
pub(super) fn hashes(component: &bill::Component) -> Vec<Digest<'_>> {
    let mut hashes = Vec::new();
    if let Some((hash, _)) = &component.nar {
        hashes.push(Digest { alg: "SHA-256", content: hash.hash().base16().into() });
    }
    if let Some(content) = &component.nar_sha512 {
        hashes.push(Digest { alg: "SHA-512", content: content.into() });
    }
    hashes
}

const fn algorithm(hash: &Hash) -> &'static str {
    match hash.algorithm() {
        HashAlgorithm::Md5 => "MD5",
        HashAlgorithm::Sha1 => "SHA-1",
        HashAlgorithm::Sha256 => "SHA-256",
        HashAlgorithm::Sha512 => "SHA-512",
    }
}

/// What stands for a licence.
#[derive(Serialize)]
pub(super) struct Licences<'a>([Choice<'a>; 1]);

#[derive(Serialize)]
#[serde(untagged)]
enum Choice<'a> {
    Expression { acknowledgement: &'static str, expression: &'a str },
    License { license: Named<'a> },
}

#[derive(Serialize)]
struct Named<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledgement: Option<&'static str>,
    name: &'a str,
}

pub(super) fn licences(licence: &Licence) -> Licences<'_> {
    Licences([match licence {
        Licence::Unknown => {
            Choice::License { license: Named { acknowledgement: None, name: NO_ASSERTION } }
        }
        // An identifier is an expression too, and as such may be newer than the
        // list in the schema, or end in a plus.
        Licence::Expression { text, names } => match names.get(text) {
            Some(name) => {
                Choice::License { license: Named { acknowledgement: Some("declared"), name } }
            }
            None => Choice::Expression { acknowledgement: "declared", expression: text },
        },
    }])
}

/// Where something about a component is.
#[derive(Serialize)]
pub(super) struct ExternalReference<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Digest<'a>>,
    #[serde(rename = "type")]
    kind: &'static str,
    url: Text<'a>,
}

/// The URLs of a source, each with the hash of the file that it serves, if
/// that is what the hash is of.
pub(super) fn distribution<'a>(
    source: &'a bill::Source,
) -> impl Iterator<Item = ExternalReference<'a>> {
    let hashes = match &source.hash {
        Some(SourceHash::File(hash)) => {
            vec![Digest { alg: algorithm(hash), content: hash.base16().into() }]
        }
        _ => Vec::new(),
    };
    let mut comment: Text<'a> = match &source.variable {
        Some(variable) => format!("{variable}: {}", source.store_path).into(),
        None => source.store_path.as_str().into(),
    };
    match &source.hash {
        Some(SourceHash::Nar(hash)) => {
            comment.to_mut().push_str(&format!("; NAR of what is made of it: {}", hash.sri()));
        }
        Some(SourceHash::Made(hash)) => {
            comment.to_mut().push_str(&format!("; file that is made of it: {}", hash.sri()));
        }
        Some(SourceHash::File(_)) | None => {}
    }
    if let Some(revision) = &source.revision {
        comment.to_mut().push_str(&format!("; revision {revision}"));
    }
    let kind = "source-distribution";
    // Without an URL there is only the store object itself, of which the hash
    // of a file is none.
    let own = source.urls.is_empty().then(|| ExternalReference {
        comment: Some(comment.clone()),
        hashes: Vec::new(),
        kind,
        url: file_url(&source.store_path).into(),
    });
    let served = source.urls.iter().map(move |url| ExternalReference {
        comment: Some(comment.clone()),
        hashes: hashes.clone(),
        kind,
        url: uri(url),
    });
    served.chain(own)
}

/// Where people read about a component.
pub(super) fn website(url: &str) -> ExternalReference<'_> {
    ExternalReference { comment: None, hashes: Vec::new(), kind: "website", url: uri(url) }
}

/// The store object itself.
pub(super) fn object<'a>(path: &str, hashes: Vec<Digest<'a>>) -> ExternalReference<'a> {
    ExternalReference {
        comment: Some("hashes of the NAR of this store object".into()),
        hashes,
        kind: "distribution",
        url: file_url(path).into(),
    }
}

/// What was changed in the sources of a component.
#[derive(Serialize)]
pub(super) struct Pedigree<'a> {
    patches: Vec<Patch<'a>>,
}

#[derive(Serialize)]
struct Patch<'a> {
    diff: Diff<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resolves: Vec<Resolved<'a>>,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct Diff<'a> {
    url: Text<'a>,
}

#[derive(Serialize)]
struct Resolved<'a> {
    description: &'static str,
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// What was changed, if anything was.
pub(super) fn pedigree(patches: &[bill::Patch]) -> Option<Pedigree<'_>> {
    (!patches.is_empty()).then(|| Pedigree { patches: patches.iter().map(patch).collect() })
}

fn patch(patch: &bill::Patch) -> Patch<'_> {
    let resolves = patch.mends.iter().map(|id| Resolved {
        description: "named by the patch; whether it is mended was not checked",
        id,
        kind: "security",
    });
    let url = match patch.source.urls.first() {
        Some(url) => uri(url),
        None => file_url(&patch.source.store_path).into(),
    };
    Patch { diff: Diff { url }, resolves: resolves.collect(), kind: "unofficial" }
}

/// How it is known that a component lies inside another.
#[derive(Serialize)]
pub(super) struct Evidence<'a> {
    identity: [Identity<'a>; 1],
    occurrences: Vec<Occurrence<'a>>,
}

#[derive(Serialize)]
struct Identity<'a> {
    confidence: f64,
    field: &'static str,
    methods: Vec<Technique<'a>>,
}

#[derive(Serialize)]
struct Technique<'a> {
    confidence: f64,
    technique: &'static str,
    value: Text<'a>,
}

#[derive(Serialize)]
struct Occurrence<'a> {
    location: &'a str,
}

pub(super) fn vendored_reference(parent: &str, one: &Vendored) -> String {
    let version = one.version.as_deref().unwrap_or_default();
    // Names that package URLs write alike may be of two packages.
    let purl = one.purl.as_deref().unwrap_or_default();
    format!("{parent}#{}:{}@{version}:{purl}", one.ecosystem.purl_type(), one.name)
}

pub(super) fn vendored_component<'a>(parent: &str, one: &'a Vendored) -> Component<'a> {
    let hashes = one.digests.iter().filter_map(|digest| {
        let alg = digest.kind.cyclonedx()?;
        Some(Digest { alg, content: digest.value.as_str().into() })
    });
    let methods = one.evidence.iter().map(|evidence| Technique {
        confidence: f64::from(evidence.confidence.percent()) / 100.0,
        technique: evidence.technique.cyclonedx(),
        value: format!("{} ({})", evidence.format, evidence.technique.name()).into(),
    });
    let occurrences = one.evidence.iter().map(|evidence| Occurrence { location: &evidence.place });
    let references = one.sources.iter().map(|url| ExternalReference {
        comment: None,
        hashes: Vec::new(),
        kind: "source-distribution",
        url: uri(url),
    });
    Component {
        bom_ref: vendored_reference(parent, one).into(),
        components: Vec::new(),
        cpe: None,
        description: None,
        evidence: Some(Evidence {
            identity: [Identity {
                confidence: f64::from(one.confidence().percent()) / 100.0,
                field: "purl",
                methods: methods.collect(),
            }],
            occurrences: occurrences.collect(),
        }),
        external_references: references.collect(),
        hashes: hashes.collect(),
        licenses: licences(&Licence::Unknown),
        name: &one.name,
        pedigree: None,
        properties: vec![property("verify:vendored:scope", one.scope.name())],
        purl: one.purl.as_deref(),
        supplier: Contact::named(NO_ASSERTION),
        kind: "library",
        version: one.version.as_deref().unwrap_or(NO_ASSERTION),
    }
}

/// What has no field of its own.
pub(super) fn properties<'a>(component: &'a bill::Component) -> Vec<Property<'a>> {
    let mut all = Vec::new();
    let mut put = |name: Text<'static>, value: Text<'a>| all.push(Property { name, value });
    put("verify:kind".into(), component.kind.name().into());
    if let Some(path) = &component.store_path {
        put("nix:store_path".into(), path.into());
        let file = path.rsplit('/').next().unwrap_or(path);
        put("bsi:component:filename".into(), file.into());
    }
    if let Some(output) = &component.output {
        put("nix:output".into(), output.into());
    }
    if let Some(drv_path) = &component.drv_path {
        put("nix:drv_path".into(), drv_path.to_string().into());
    }
    if let Some(system) = &component.system {
        put("nix:system".into(), system.into());
    }
    if let Some((hash, size)) = &component.nar {
        put("nix:narinfo:nar_hash".into(), hash.to_string().into());
        if let Some(size) = size {
            put("nix:narinfo:nar_size".into(), size.to_string().into());
        }
    }
    for key in &component.signed_by {
        put("nix:narinfo:signed_by".into(), key.into());
    }
    for source in &component.sources {
        if component.kind == Kind::Fixed {
            if let Some(SourceHash::File(hash) | SourceHash::Made(hash) | SourceHash::Nar(hash)) =
                &source.hash
            {
                put("nix:fod:hash".into(), hash.sri().into());
            }
            for url in &source.urls {
                put("nix:fod:url".into(), url.into());
            }
            if let Some(revision) = &source.revision {
                put("nix:fod:rev".into(), revision.into());
            }
        }
    }
    if let Some(purl) = &component.purl {
        put("verify:purl:origin".into(), purl.origin.name().into());
    }
    for vulnerability in &component.known_vulnerabilities {
        put("nix:known_vulnerability".into(), vulnerability.into());
    }
    for proof in &component.proofs {
        self::proof(proof, &mut put);
    }
    for unread in component.vendored.iter().flat_map(|inventory| &inventory.unread) {
        let unread = format!("{}: {}: {}", unread.place, unread.format, unread.reason);
        put("verify:vendored:unread".into(), unread.into());
    }
    for unknown in &component.unknown {
        put("verify:unknown".into(), unknown.into());
    }
    all
}

fn proof<'a>(proof: &'a Proof, put: &mut impl FnMut(Text<'static>, Text<'a>)) {
    let command = &proof.command;
    let name = |name: &str| Text::Owned(format!("verify:{command}:{name}"));
    put(name("status"), proof.status.as_str().into());
    put(name("holds"), if proof.holds { "true" } else { "false" }.into());
    put(name("report"), format!("sha256:{}", proof.report).into());
    for (fact, values) in &proof.facts {
        for value in values {
            put(name(fact), value.into());
        }
    }
}

/// The URL of a store object where it lies.
fn file_url(path: &str) -> String {
    uri(&format!("file://{path}")).into_owned()
}

/// Whether a character may not stand in an IRI reference.
const fn is_unsafe(character: char) -> bool {
    matches!(character, ' ' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')
}

/// Text as an IRI reference: white space and what may not stand in one is
/// percent-encoded.
fn uri(text: &str) -> Text<'_> {
    if !text.contains(is_unsafe) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unsafe(character) {
            safe.push_str(&format!("%{:02X}", u32::from(character)));
        } else {
            safe.push(character);
        }
    }
    safe.into()
}
