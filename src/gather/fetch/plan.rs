//! What plain fetching can do for a fixed output, and what it cannot.
//!
//! Two builders are understood: `builtin:fetchurl`
//! (`src/libstore/builtins/fetchurl.cc`) and nixpkgs' `fetchurl`
//! (`pkgs/build-support/fetchurl`). What another fetcher makes of a URL (a
//! checkout, an unpacked archive, a patch made over) is not guessed at.

use std::collections::BTreeMap;

use serde_json::Value;
use url::Url;

use crate::nix::compression::Compression;
use crate::nix::content_address::Method;
use crate::nix::derivation::{Derivation, JSON_VARIABLE, OUT, Output};
use crate::nix::hash::Hash;
use crate::nix::store_path::StorePath;

/// Most URLs tried for one output; nixpkgs' longest mirror lists have some 20.
const MAX_URLS: usize = 200;

/// The name of the derivation that nixpkgs' `fetchurl` gets its mirrors from.
const MIRRORS_LIST: &str = "mirrors-list.drv";

/// The variable of that derivation with servers that are asked by hash.
const HASHED_MIRRORS: &str = "hashedMirrors";

/// Why plain fetching cannot make a fixed output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchImpossible {
    /// Not one fixed output called `out`.
    #[error("it is no fixed-output derivation")]
    NotFixed,
    /// No `url` or `urls`.
    #[error("it names no URL (neither url nor urls)")]
    NoUrl,
    /// All URLs are of kinds that are not fetched.
    #[error("none of its URLs can be fetched: {}", .0.join("; "))]
    Urls(Vec<String>),
    /// The builder changes what it fetches.
    #[error("its builder changes what it fetches ({0})")]
    Transformed(&'static str),
    /// The builder makes a tree out of what it fetches.
    #[error(
        "its hash is over a tree that its builder makes of what it fetches (a checkout or an unpacked archive)"
    )]
    MakesTree,
    /// Attributes that cannot be read.
    #[error("its attributes cannot be read: {0}")]
    Attributes(String),
}

/// What becomes of the bytes that are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// They are hashed as they are, and become a file.
    Flat,
    /// They become a file whose NAR is hashed.
    File {
        /// Whether the file is executable.
        executable: bool,
    },
    /// They are a NAR, packed or not, and are unpacked.
    Nar(Compression),
}

/// How to get a fixed output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchPlan {
    /// From where, in order.
    pub urls: Vec<Url>,
    /// URLs that will not be tried, and why.
    pub left_out: Vec<String>,
    /// What becomes of the bytes.
    pub shape: Shape,
    /// The hash demanded.
    pub hash: Hash,
}

/// The mirrors behind `mirror://NAME/`, as the derivation `mirrors-list` of
/// nixpkgs has them in its environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors(BTreeMap<String, Vec<String>>);

impl Mirrors {
    /// The input of `drv` that lists mirrors, if there is one.
    #[must_use]
    pub fn input_of(drv: &Derivation) -> Option<&StorePath> {
        drv.input_drvs.keys().find(|path| path.name() == MIRRORS_LIST)
    }

    /// Reads the list out of the derivation that makes it: nothing needs to
    /// be built, since its content is its environment.
    #[must_use]
    pub fn of(list: &Derivation) -> Self {
        let is_url = |word: &&str| word.contains("://");
        let sites = list.env.iter().filter_map(|(name, value)| {
            let (name, value) = (std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?);
            let urls: Vec<String> =
                value.split_ascii_whitespace().filter(is_url).map(str::to_owned).collect();
            (!urls.is_empty()).then(|| (name.to_owned(), urls))
        });
        Self(sites.collect())
    }

    fn sites(&self, name: &str) -> &[String] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }
}

impl FetchPlan {
    /// Decides how to get the fixed output of `drv`.
    ///
    /// # Errors
    /// Why plain fetching cannot make it.
    pub fn of(drv: &Derivation, mirrors: Option<&Mirrors>) -> Result<Self, FetchImpossible> {
        let Some((Output::Fixed { method, hash, .. }, 1)) =
            drv.outputs.get(OUT).map(|output| (output, drv.outputs.len()))
        else {
            return Err(FetchImpossible::NotFixed);
        };
        let attributes = Attributes::of(drv)?;
        let shape = shape(drv, &attributes, *method)?;
        let mut texts = attributes.list("urls");
        texts.extend(attributes.list("url"));
        if texts.is_empty() {
            return Err(FetchImpossible::NoUrl);
        }
        let none = Mirrors::default();
        let mirrors = mirrors.unwrap_or(&none);
        let (mut urls, mut left_out) = (Vec::new(), Vec::new());
        for text in &texts {
            match expand(text, mirrors) {
                Ok(found) => urls.extend(found),
                Err(reason) => left_out.push(reason),
            }
        }
        if shape == Shape::Flat {
            let hashed = mirrors.sites(HASHED_MIRRORS).iter().filter_map(|site| {
                let site = site.trim_end_matches('/');
                Url::parse(&format!("{site}/{}/{}", hash.algorithm(), hash.base16())).ok()
            });
            urls.extend(hashed);
        }
        let mut seen = std::collections::BTreeSet::new();
        urls.retain(|url| seen.insert(url.clone()));
        urls.truncate(MAX_URLS);
        if urls.is_empty() {
            return Err(FetchImpossible::Urls(left_out));
        }
        Ok(Self { urls, left_out, shape, hash: *hash })
    }
}

fn shape(
    drv: &Derivation,
    attributes: &Attributes<'_>,
    method: Method,
) -> Result<Shape, FetchImpossible> {
    let executable = attributes.flag("executable");
    if drv.builder == b"builtin:fetchurl" {
        return match method {
            Method::Recursive if attributes.flag("unpack") => {
                // Decided by the name, as the builder does.
                let packed = attributes.list("url").first().is_some_and(|url| {
                    url.split(['?', '#']).next().unwrap_or(url).ends_with(".xz")
                });
                Ok(Shape::Nar(if packed { Compression::Xz } else { Compression::None }))
            }
            Method::Recursive => Ok(Shape::File { executable }),
            Method::Flat | Method::Text => Ok(Shape::Flat),
        };
    }
    for (name, is_set) in [
        ("postFetch", !attributes.list("postFetch").is_empty()),
        ("downloadToTemp", attributes.flag("downloadToTemp")),
    ] {
        if is_set {
            return Err(FetchImpossible::Transformed(name));
        }
    }
    let is_fetchurl = ["mirrorsFile", "curlOpts", "curlOptsList", "showURLs"]
        .iter()
        .any(|name| attributes.has(name));
    match method {
        Method::Flat => Ok(Shape::Flat),
        Method::Recursive if is_fetchurl => Ok(Shape::File { executable }),
        Method::Recursive | Method::Text => Err(FetchImpossible::MakesTree),
    }
}

/// The URLs that `text` stands for.
fn expand(text: &str, mirrors: &Mirrors) -> Result<Vec<Url>, String> {
    let shown = text.escape_default();
    if let Some(rest) = text.strip_prefix("mirror://") {
        let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
        let sites = mirrors.sites(name);
        if sites.is_empty() {
            return Err(format!(
                "{shown}: the mirrors of '{}' are not known",
                name.escape_default()
            ));
        }
        return Ok(sites
            .iter()
            .filter_map(|site| Url::parse(&format!("{site}{path}")).ok())
            .filter(is_http)
            .collect());
    }
    match Url::parse(text) {
        Ok(url) if is_http(&url) => Ok(vec![url]),
        Ok(url) => Err(format!("{shown}: the scheme '{}' is not fetched", url.scheme())),
        Err(error) => Err(format!("{shown}: not a URL ({error})")),
    }
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

/// Attributes of a derivation, structured or not.
enum Attributes<'a> {
    Environment(&'a Derivation),
    Structured(Value),
}

impl<'a> Attributes<'a> {
    fn of(drv: &'a Derivation) -> Result<Self, FetchImpossible> {
        match drv.env.get(JSON_VARIABLE) {
            None => Ok(Self::Environment(drv)),
            Some(json) => serde_json::from_slice(json)
                .map(Self::Structured)
                .map_err(|error| FetchImpossible::Attributes(error.to_string())),
        }
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::Environment(drv) => drv.variable(name).is_some(),
            Self::Structured(attributes) => attributes.get(name).is_some(),
        }
    }

    /// The words of a string, or the strings of a list.
    fn list(&self, name: &str) -> Vec<String> {
        let words = |text: &str| text.split_ascii_whitespace().map(str::to_owned).collect();
        match self {
            Self::Environment(drv) => {
                drv.variable(name).map(|value| words(&String::from_utf8_lossy(value)))
            }
            Self::Structured(attributes) => match attributes.get(name) {
                Some(Value::String(text)) => Some(words(text)),
                Some(Value::Array(items)) => {
                    Some(items.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                }
                _ => None,
            },
        }
        .unwrap_or_default()
    }

    fn flag(&self, name: &str) -> bool {
        match self {
            Self::Environment(drv) => drv.variable(name) == Some(b"1"),
            Self::Structured(attributes) => match attributes.get(name) {
                Some(Value::Bool(value)) => *value,
                Some(Value::String(text)) => text == "1",
                _ => false,
            },
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
