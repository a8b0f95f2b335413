//! What a derivation is built from: its sources and patches, as its variables
//! name them.
//!
//! The variables are those of nixpkgs' `stdenv.mkDerivation`: `src`, `srcs`
//! and `patches`. Whatever else is fetched and read by the derivation is a
//! source too, with the variable that names it, if one does.

use std::collections::{BTreeMap, BTreeSet};

use super::bill::{Patch, Source, SourceHash};
use super::name::{bounded, printable};
use crate::nix::content_address::Method;
use crate::nix::derivation::modulo::DerivationSource;
use crate::nix::derivation::{Derivation, JSON_VARIABLE, Output};
use crate::nix::store_path::{HASH_PART_LEN, StoreDir, StorePath};
use crate::nix::structured_attrs::{Json, StructuredAttrs};

/// The variables that name sources.
const SOURCES: [&str; 2] = ["src", "srcs"];

/// The variable that names patches, in the order they are applied.
const PATCHES: &str = "patches";

/// The variables that name what is linked against: inputs of the platform
/// that the result runs on (nixpkgs' manual, "Specifying dependencies").
const LINKED: [&str; 12] = [
    "buildInputs",
    "propagatedBuildInputs",
    "depsHostHost",
    "depsHostHostPropagated",
    "depsTargetTarget",
    "depsTargetTargetPropagated",
    "cargoDeps",
    "goModules",
    "npmDeps",
    "pnpmDeps",
    "yarnOfflineCache",
    "mitmCache",
];

/// Longest word of a variable: URLs may be long, and browsers and servers stop
/// at about as much.
const MAX_WORD: usize = 8 << 10;

/// Most URLs of one source that are kept; mirrors name a dozen.
const MAX_URLS: usize = 100;

/// The variables of a derivation, those of structured attributes included, as
/// lists of words.
struct Variables<'a> {
    derivation: &'a Derivation,
    structured: Option<StructuredAttrs>,
}

impl<'a> Variables<'a> {
    fn of(derivation: &'a Derivation) -> Self {
        let structured = derivation.env.get(JSON_VARIABLE);
        let structured = structured.and_then(|text| StructuredAttrs::parse(text).ok());
        Self { derivation, structured }
    }

    /// The words of a variable.
    fn words(&self, name: &str) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(value) = self.structured.as_ref().and_then(|all| all.attrs().get(name)) {
            collect(value, &mut words);
        }
        if let Some(value) = self.derivation.variable(name) {
            let parts = value.split(|byte| byte.is_ascii_whitespace());
            words.extend(parts.filter(|part| !part.is_empty()).map(word));
        }
        words
    }

    /// The first variable, by name, that mentions each store object, by hash
    /// part; one pass, for a derivation may have thousands of inputs.
    fn mentions(&self, store_dir: &StoreDir) -> BTreeMap<String, String> {
        let prefix = format!("{store_dir}/");
        let mut found = BTreeMap::new();
        let mut add = |name: &[u8], value: &[u8]| {
            for part in hash_parts(value, prefix.as_bytes()) {
                found.entry(part).or_insert_with(|| printable(name));
            }
        };
        for (name, value) in &self.derivation.env {
            if name != JSON_VARIABLE {
                add(name, value);
            }
        }
        for (name, value) in self.structured.iter().flat_map(|all| all.attrs()) {
            let mut words = Vec::new();
            collect(value, &mut words);
            words.iter().for_each(|word| add(name.as_bytes(), word.as_bytes()));
        }
        found
    }
}

fn word(bytes: &[u8]) -> String {
    bounded(bytes, MAX_WORD)
}

/// What stands behind each `prefix` and may be the hash part of a store path.
fn hash_parts<'v>(value: &'v [u8], prefix: &'v [u8]) -> impl Iterator<Item = String> + 'v {
    let starts = value.windows(prefix.len()).enumerate().filter(move |(_, part)| *part == prefix);
    starts.filter_map(move |(at, _)| {
        let from = at.saturating_add(prefix.len());
        let part = value.get(from..from.saturating_add(HASH_PART_LEN))?;
        Some(std::str::from_utf8(part).ok()?.to_owned())
    })
}

/// The strings in a value of structured attributes. Their depth is bounded by
/// their parser.
fn collect(value: &Json, words: &mut Vec<String>) {
    match value {
        Json::String(text) => {
            words.extend(text.split_ascii_whitespace().map(|part| word(part.as_bytes())));
        }
        Json::Array(items) => items.iter().for_each(|item| collect(item, words)),
        Json::Object(members) => members.values().for_each(|item| collect(item, words)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// The store object that a word names, or lies in.
fn object(word: &str, store_dir: &StoreDir) -> Option<StorePath> {
    let rest = word.strip_prefix(store_dir.as_str())?.strip_prefix('/')?;
    rest.split('/').next()?.parse().ok()
}

/// What is known of the inputs of one derivation by their output paths.
struct Inputs<'a>(BTreeMap<&'a StorePath, &'a Derivation>);

impl<'a> Inputs<'a> {
    fn of(derivation: &Derivation, all: &'a dyn DerivationSource) -> Self {
        let mut paths = BTreeMap::new();
        for (drv_path, outputs) in &derivation.input_drvs {
            let Some(input) = all.derivation(drv_path) else { continue };
            let named = outputs.iter().filter_map(|name| input.outputs.get(name));
            paths.extend(named.filter_map(Output::path).map(|path| (path, input)));
        }
        Self(paths)
    }

    fn source(&self, path: &StorePath, variable: Option<String>, store_dir: &StoreDir) -> Source {
        let mut source = Source {
            variable,
            store_path: store_dir.full(path),
            urls: Vec::new(),
            hash: None,
            revision: None,
        };
        if let Some(input) = self.0.get(path) {
            fetched(input, &mut source);
        }
        source
    }
}

/// What a fixed-output derivation says of where it comes from.
fn fetched(derivation: &Derivation, source: &mut Source) {
    let Some(Output::Fixed { method, hash, .. }) = derivation.outputs.values().next() else {
        return;
    };
    let variables = Variables::of(derivation);
    let mut seen = BTreeSet::new();
    for name in ["url", "urls"] {
        for url in variables.words(name).into_iter().filter(|word| word.contains(':')) {
            if seen.len() < MAX_URLS && seen.insert(url.clone()) {
                source.urls.push(url);
            }
        }
    }
    let changed = ["postFetch", "downloadToTemp"]
        .iter()
        .any(|name| derivation.variable(name).is_some_and(|value| !value.is_empty()));
    source.hash = Some(match method {
        Method::Recursive => SourceHash::Nar(*hash),
        Method::Flat | Method::Text if changed => SourceHash::Made(*hash),
        Method::Flat | Method::Text => SourceHash::File(*hash),
    });
    source.revision = variables.words("rev").into_iter().next();
}

/// What a fixed-output derivation itself is: the source, where it comes from.
#[must_use]
pub fn itself(derivation: &Derivation, path: &StorePath, store_dir: &StoreDir) -> Source {
    let mut source = Source {
        variable: None,
        store_path: store_dir.full(path),
        urls: Vec::new(),
        hash: None,
        revision: None,
    };
    fetched(derivation, &mut source);
    source
}

/// Sources and patches of a derivation.
#[must_use]
pub fn sources(
    derivation: &Derivation,
    all: &dyn DerivationSource,
    store_dir: &StoreDir,
) -> (Vec<Source>, Vec<Patch>) {
    let variables = Variables::of(derivation);
    let inputs = Inputs::of(derivation, all);
    let objects = |name: &str| {
        let words = variables.words(name);
        let paths: Vec<StorePath> =
            words.iter().filter_map(|word| object(word, store_dir)).collect();
        paths
    };
    let mut met = BTreeSet::new();
    let mut patches = Vec::new();
    for path in objects(PATCHES) {
        let source = inputs.source(&path, Some(PATCHES.to_owned()), store_dir);
        let name = path.name().to_owned();
        patches.push(Patch { mends: vulnerabilities(&name, &source.urls), name, source });
        met.insert(path);
    }
    let mut sources = Vec::new();
    for variable in SOURCES {
        for path in objects(variable) {
            if met.insert(path.clone()) {
                sources.push(inputs.source(&path, Some(variable.to_owned()), store_dir));
            }
        }
    }
    // Whatever else was fetched.
    let others = inputs.0.iter().filter(|(path, input)| input.is_fixed() && !met.contains(path));
    let others: Vec<&StorePath> = others.map(|(path, _)| *path).collect();
    if !others.is_empty() {
        let mentions = variables.mentions(store_dir);
        for path in others {
            let variable = mentions.get(&path.hash_part()).cloned();
            sources.push(inputs.source(path, variable, store_dir));
        }
    }
    (sources, patches)
}

/// The store objects that a derivation links against, as far as its variables
/// say.
#[must_use]
pub fn linked(derivation: &Derivation, store_dir: &StoreDir) -> BTreeSet<StorePath> {
    let variables = Variables::of(derivation);
    let words = LINKED.iter().flat_map(|name| variables.words(name));
    words.filter_map(|word| object(&word, store_dir)).collect()
}

/// Identifiers of vulnerabilities in a patch's name or URLs, sorted:
/// `CVE-YEAR-NUMBER` in any letter case, `GHSA-xxxx-xxxx-xxxx`.
fn vulnerabilities(name: &str, urls: &[String]) -> Vec<String> {
    let mut found = BTreeSet::new();
    for text in urls.iter().map(String::as_str).chain([name]) {
        let upper = text.to_ascii_uppercase();
        for (at, _) in upper.match_indices("CVE-") {
            let rest = upper.get(at..).unwrap_or_default();
            let mut parts = rest.splitn(3, '-');
            let (_, year, number) = (parts.next(), parts.next(), parts.next());
            let digits = |part: Option<&str>| {
                let part = part.unwrap_or_default();
                part.chars().take_while(char::is_ascii_digit).collect::<String>()
            };
            let (year, number) = (digits(year), digits(number));
            if year.len() == 4 && (4..=7).contains(&number.len()) {
                found.insert(format!("CVE-{year}-{number}"));
            }
        }
        for (at, _) in upper.match_indices("GHSA-") {
            let id: String = upper.get(at..).unwrap_or_default().chars().take(19).collect();
            let right = id.len() == 19
                && id
                    .split('-')
                    .skip(1)
                    .all(|part| part.len() == 4 && part.chars().all(|c| c.is_ascii_alphanumeric()));
            if right {
                // GitHub writes all but the first part in small letters.
                found.insert(format!("GHSA-{}", id[5..].to_ascii_lowercase()));
            }
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vulnerabilities_are_read_from_names() {
        for (name, wanted) in [
            ("CVE-2023-12345.patch", &["CVE-2023-12345"][..]),
            ("fix-cve-2020-1234-and-CVE-2021-9999.diff", &["CVE-2020-1234", "CVE-2021-9999"]),
            ("ghsa-AbCd-1234-wxyz.patch", &["GHSA-abcd-1234-wxyz"]),
            ("cve-20-1.patch", &[]),
            ("CVE-2023-é.patch", &[]),
            ("ghsa-é", &[]),
        ] {
            assert_eq!(vulnerabilities(name, &[]), wanted, "{name}");
        }
    }
}
