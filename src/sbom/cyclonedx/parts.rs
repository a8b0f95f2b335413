//! The pieces of a document that need nothing but one component.

use serde_json::{Map, Value, json};

use super::NO_ASSERTION;
use crate::nix::hash::{Hash, HashAlgorithm};
use crate::sbom::bill::{Component, Kind, Licence, Patch, Proof, Source, SourceHash};
use crate::sbom::vendored::Vendored;

pub(super) fn contact(name: &str, mail: Option<&str>) -> Value {
    match mail {
        Some(mail) => json!({ "name": name, "email": mail }),
        None => json!({ "name": name }),
    }
}

pub(super) fn property(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value })
}

/// The hashes of a component's NAR.
pub(super) fn hashes(component: &Component) -> Vec<Value> {
    let mut hashes = Vec::new();
    if let Some((hash, _)) = &component.nar {
        hashes.push(json!({ "alg": "SHA-256", "content": hash.hash().base16() }));
    }
    if let Some(content) = &component.nar_sha512 {
        hashes.push(json!({ "alg": "SHA-512", "content": content }));
    }
    hashes
}

pub(super) fn algorithm(hash: &Hash) -> &'static str {
    match hash.algorithm() {
        HashAlgorithm::Md5 => "MD5",
        HashAlgorithm::Sha1 => "SHA-1",
        HashAlgorithm::Sha256 => "SHA-256",
        HashAlgorithm::Sha512 => "SHA-512",
    }
}

pub(super) fn licences(licence: &Licence) -> Value {
    match licence {
        Licence::Unknown => json!([{ "license": { "name": NO_ASSERTION } }]),
        // An identifier is an expression too, and as such may be newer than the
        // list in the schema, or end in a plus.
        Licence::Expression { text, names } => match names.get(text) {
            Some(name) => json!([{ "license": { "name": name, "acknowledgement": "declared" } }]),
            None => json!([{ "expression": text, "acknowledgement": "declared" }]),
        },
    }
}

/// The URLs of a source, each with the hash of the file that it serves, if
/// that is what the hash is of.
pub(super) fn distribution(source: &Source) -> Vec<Value> {
    let hashes = match &source.hash {
        Some(SourceHash::File(hash)) => {
            Some(json!([{ "alg": algorithm(hash), "content": hash.base16() }]))
        }
        _ => None,
    };
    let mut comment = match &source.variable {
        Some(variable) => format!("{variable}: {}", source.store_path),
        None => source.store_path.clone(),
    };
    match &source.hash {
        Some(SourceHash::Nar(hash)) => {
            comment += &format!("; NAR of what is made of it: {}", hash.sri())
        }
        Some(SourceHash::Made(hash)) => {
            comment += &format!("; file that is made of it: {}", hash.sri())
        }
        Some(SourceHash::File(_)) | None => {}
    }
    if let Some(revision) = &source.revision {
        comment += &format!("; revision {revision}");
    }
    let urls = source.urls.iter().map(|url| {
        let mut reference =
            json!({ "type": "source-distribution", "url": uri(url), "comment": comment });
        if let (Some(hashes), Some(map)) = (&hashes, reference.as_object_mut()) {
            map.insert("hashes".to_owned(), hashes.clone());
        }
        reference
    });
    let urls: Vec<Value> = urls.collect();
    if urls.is_empty() {
        let url = uri(&format!("file://{}", source.store_path));
        return vec![json!({ "type": "source-distribution", "url": url, "comment": comment })];
    }
    urls
}

pub(super) fn patch(patch: &Patch) -> Value {
    let url = patch.source.urls.first().cloned();
    let url = url.unwrap_or_else(|| format!("file://{}", patch.source.store_path));
    let mut resolves = vec![];
    for id in &patch.mends {
        resolves.push(json!({
            "type": "security", "id": id,
            "description": "named by the patch; whether it is mended was not checked",
        }));
    }
    let mut value = json!({ "type": "unofficial", "diff": { "url": uri(&url) } });
    if let (false, Some(map)) = (resolves.is_empty(), value.as_object_mut()) {
        map.insert("resolves".to_owned(), resolves.into());
    }
    value
}

pub(super) fn vendored_reference(parent: &str, one: &Vendored) -> String {
    let version = one.version.as_deref().unwrap_or_default();
    // Names that package URLs write alike may be of two packages.
    let purl = one.purl.as_deref().unwrap_or_default();
    format!("{parent}#{}:{}@{version}:{purl}", one.ecosystem.purl_type(), one.name)
}

pub(super) fn vendored_component(parent: &str, one: &Vendored) -> Value {
    let hashes = one.digests.iter().filter_map(|digest| {
        let algorithm = digest.kind.cyclonedx()?;
        Some(json!({ "alg": algorithm, "content": digest.value }))
    });
    let hashes: Vec<Value> = hashes.collect();
    let occurrences: Vec<Value> =
        one.evidence.iter().map(|evidence| json!({ "location": evidence.place })).collect();
    let methods: Vec<Value> = one
        .evidence
        .iter()
        .map(|evidence| {
            json!({
                "technique": evidence.technique.cyclonedx(),
                "confidence": f64::from(evidence.confidence.percent()) / 100.0,
                "value": format!("{} ({})", evidence.format, evidence.technique.name()),
            })
        })
        .collect();
    let mut map = Map::new();
    map.insert("type".into(), json!("library"));
    map.insert("bom-ref".into(), json!(vendored_reference(parent, one)));
    map.insert("name".into(), json!(one.name));
    map.insert("version".into(), json!(one.version.as_deref().unwrap_or(NO_ASSERTION)));
    map.insert("supplier".into(), json!({ "name": NO_ASSERTION }));
    map.insert("licenses".into(), licences(&Licence::Unknown));
    if !hashes.is_empty() {
        map.insert("hashes".into(), hashes.into());
    }
    if let Some(purl) = &one.purl {
        map.insert("purl".into(), json!(purl));
    }
    let references: Vec<Value> = one
        .sources
        .iter()
        .map(|url| json!({ "type": "source-distribution", "url": uri(url) }))
        .collect();
    if !references.is_empty() {
        map.insert("externalReferences".into(), references.into());
    }
    map.insert(
        "evidence".into(),
        json!({
            "identity": [{
                "field": "purl",
                "confidence": f64::from(one.confidence().percent()) / 100.0,
                "methods": methods,
            }],
            "occurrences": occurrences,
        }),
    );
    map.insert("properties".into(), json!([property("verify:vendored:scope", one.scope.name())]));
    map.into()
}

/// What has no field of its own.
pub(super) fn properties(component: &Component) -> Vec<Value> {
    let mut all = Vec::new();
    let mut put = |name: &str, value: &str| all.push(property(name, value));
    put("verify:kind", component.kind.name());
    if let Some(path) = &component.store_path {
        put("nix:store_path", path);
        let file = path.rsplit('/').next().unwrap_or(path);
        put("bsi:component:filename", file);
    }
    if let Some(output) = &component.output {
        put("nix:output", output);
    }
    if let Some(drv_path) = &component.drv_path {
        put("nix:drv_path", &drv_path.to_string());
    }
    if let Some(system) = &component.system {
        put("nix:system", system);
    }
    if let Some((hash, size)) = &component.nar {
        put("nix:narinfo:nar_hash", &hash.to_string());
        if let Some(size) = size {
            put("nix:narinfo:nar_size", &size.to_string());
        }
    }
    for key in &component.signed_by {
        put("nix:narinfo:signed_by", key);
    }
    for source in &component.sources {
        if component.kind == Kind::Fixed {
            if let Some(SourceHash::File(hash) | SourceHash::Made(hash) | SourceHash::Nar(hash)) =
                &source.hash
            {
                put("nix:fod:hash", &hash.sri());
            }
            for url in &source.urls {
                put("nix:fod:url", url);
            }
            if let Some(revision) = &source.revision {
                put("nix:fod:rev", revision);
            }
        }
    }
    if let Some(purl) = &component.purl {
        put("verify:purl:origin", purl.origin.name());
    }
    for vulnerability in &component.known_vulnerabilities {
        put("nix:known_vulnerability", vulnerability);
    }
    for proof in &component.proofs {
        self::proof(proof, &mut put);
    }
    for unread in component.vendored.iter().flat_map(|inventory| &inventory.unread) {
        put(
            "verify:vendored:unread",
            &format!("{}: {}: {}", unread.place, unread.format, unread.reason),
        );
    }
    for unknown in &component.unknown {
        put("verify:unknown", unknown);
    }
    all
}

pub(super) fn proof(proof: &Proof, put: &mut impl FnMut(&str, &str)) {
    let command = &proof.command;
    put(&format!("verify:{command}:status"), &proof.status);
    put(&format!("verify:{command}:holds"), if proof.holds { "true" } else { "false" });
    put(&format!("verify:{command}:report"), &format!("sha256:{}", proof.report));
    for (name, values) in &proof.facts {
        for value in values {
            put(&format!("verify:{command}:{name}"), value);
        }
    }
}

/// Text as an IRI reference: white space and what may not stand in one is
/// percent-encoded.
pub(super) fn uri(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            ' ' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' => {
                safe.push_str(&format!("%{:02X}", u32::from(character)));
            }
            character => safe.push(character),
        }
    }
    safe
}
