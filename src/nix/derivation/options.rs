//! What a derivation asks of the builder's world and of its own outputs.
//!
//! Follows `src/libstore/derivation-options.cc` (the newest Nix; the same
//! attributes stood in `parsed-derivations.cc` and `local-derivation-goal.cc`
//! before). With structured attributes the values are typed JSON; else they
//! are variables, where a boolean is true if it is exactly `1`, and a list is
//! split at white space.
//!
//! Read the options of the *resolved* derivation: a placeholder is no store
//! path.

use std::collections::{BTreeMap, BTreeSet};

use super::error::printable;
use super::{Derivation, JSON_VARIABLE, Kind};
use crate::nix::store_path::{StoreDir, StorePath, StorePathError};
use crate::nix::structured_attrs::{Json, Number, StructuredAttrs, StructuredAttrsError};

/// The feature that a derivation without known output paths needs implicitly.
pub const CA_DERIVATIONS: &str = "ca-derivations";

/// An attribute that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// The structured attributes themselves are damaged.
    #[error(transparent)]
    StructuredAttrs(#[from] StructuredAttrsError),
    /// A value of the wrong type.
    #[error("the attribute '{attribute}' is {found} (expected {expected})")]
    Type {
        /// The attribute, with dots where it is nested.
        attribute: String,
        /// What was found.
        found: &'static str,
        /// What may stand there.
        expected: &'static str,
    },
    /// A name that is not UTF-8.
    #[error("the attribute '{0}' is not UTF-8")]
    NotUtf8(String),
    /// A list of pairs with half a pair.
    #[error("the attribute 'exportReferencesGraph' has an odd number of words ({0})")]
    OddGraph(usize),
    /// A file name that is refused.
    #[error(
        "the attribute 'exportReferencesGraph' names the file '{0}' \
         (expected a letter or '_', then letters, digits and '_.-')"
    )]
    GraphName(String),
    /// Something that is not in the store.
    #[error("the attribute '{attribute}' holds no store path: {source}")]
    NotInStore {
        /// The attribute.
        attribute: String,
        /// What is wrong with the path.
        source: StorePathError,
    },
}

/// One item of a list of allowed or disallowed references.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReferenceSpec {
    /// A store path.
    Path(StorePath),
    /// Anything else: the name of one of the derivation's own outputs, or an
    /// illegal specifier that makes the build fail.
    Output(String),
}

/// What an output must satisfy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputChecks {
    /// Whether a reference to itself is left out of the requisite checks:
    /// so without structured attributes.
    pub ignore_self_refs: bool,
    /// The largest NAR size.
    pub max_size: Option<u64>,
    /// The largest sum of NAR sizes over the closure.
    pub max_closure_size: Option<u64>,
    /// The only references allowed. Empty is not the same as absent.
    pub allowed_references: Option<BTreeSet<ReferenceSpec>>,
    /// The only paths allowed in the closure.
    pub allowed_requisites: Option<BTreeSet<ReferenceSpec>>,
    /// References that are refused.
    pub disallowed_references: BTreeSet<ReferenceSpec>,
    /// Paths that are refused anywhere in the closure.
    pub disallowed_requisites: BTreeSet<ReferenceSpec>,
}

/// The checks of all outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllOutputChecks {
    /// The same for every output: without structured attributes.
    ForAll(OutputChecks),
    /// For each output its own: `outputChecks` of structured attributes.
    PerOutput(BTreeMap<String, OutputChecks>),
}

impl AllOutputChecks {
    /// The checks of one output, if it has any.
    #[must_use]
    pub fn of(&self, output: &str) -> Option<&OutputChecks> {
        match self {
            Self::ForAll(checks) => Some(checks),
            Self::PerOutput(checks) => checks.get(output),
        }
    }
}

/// The attributes with a meaning to Nix (builder.md sections 6 and 8).
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The structured attributes, if it has any.
    pub structured_attrs: Option<StructuredAttrs>,
    /// `outputChecks`, or the four lists of references.
    pub output_checks: AllOutputChecks,
    /// `unsafeDiscardReferences`: outputs that are not scanned (2.14 and later).
    pub unsafe_discard_references: BTreeMap<String, bool>,
    /// `passAsFile`: variables passed as files. Empty with structured attributes.
    pub pass_as_file: BTreeSet<Vec<u8>>,
    /// `exportReferencesGraph`: files (or, with structured attributes, keys)
    /// and the paths whose closures they list.
    pub export_references_graph: BTreeMap<String, BTreeSet<StorePath>>,
    /// `__sandboxProfile` (macOS).
    pub sandbox_profile: String,
    /// `__noChroot`.
    pub no_chroot: bool,
    /// `__impureHostDeps`.
    pub impure_host_deps: BTreeSet<String>,
    /// `impureEnvVars`: variables of the caller that fixed outputs may see.
    pub impure_env_vars: BTreeSet<String>,
    /// `__darwinAllowLocalNetworking` (macOS).
    pub allow_local_networking: bool,
    /// `requiredSystemFeatures`, and [`CA_DERIVATIONS`] where the output
    /// paths are not known.
    pub required_system_features: BTreeSet<String>,
    /// `preferLocalBuild`.
    pub prefer_local_build: bool,
    /// `allowSubstitutes`.
    pub allow_substitutes: bool,
}

impl Options {
    /// Reads the options of a resolved derivation.
    ///
    /// # Errors
    /// An attribute has the wrong type or holds no store path where one must be.
    pub fn of(drv: &Derivation, store_dir: &StoreDir) -> Result<Self, OptionsError> {
        let structured = match drv.env.get(JSON_VARIABLE) {
            Some(text) => Some(StructuredAttrs::parse(text)?),
            None => None,
        };
        let attrs = Attrs { drv, structured: structured.as_ref(), store_dir };
        let mut required_system_features =
            attrs.strings("requiredSystemFeatures")?.unwrap_or_default();
        if matches!(drv.kind(), Kind::Deferred | Kind::FloatingCa | Kind::Impure) {
            required_system_features.insert(CA_DERIVATIONS.to_owned());
        }
        let pass_as_file = match (&structured, drv.variable("passAsFile")) {
            (None, Some(names)) => words(names).map(<[u8]>::to_vec).collect(),
            _ => BTreeSet::new(),
        };
        Ok(Self {
            output_checks: attrs.output_checks()?,
            unsafe_discard_references: attrs.unsafe_discard_references()?,
            pass_as_file,
            export_references_graph: attrs.export_references_graph()?,
            sandbox_profile: attrs.string("__sandboxProfile")?.unwrap_or_default(),
            no_chroot: attrs.boolean("__noChroot", false)?,
            impure_host_deps: attrs.strings("__impureHostDeps")?.unwrap_or_default(),
            impure_env_vars: attrs.strings("impureEnvVars")?.unwrap_or_default(),
            allow_local_networking: attrs.boolean("__darwinAllowLocalNetworking", false)?,
            required_system_features,
            prefer_local_build: attrs.boolean("preferLocalBuild", false)?,
            allow_substitutes: attrs.boolean("allowSubstitutes", true)?,
            structured_attrs: structured,
        })
    }
}

/// Where attributes are looked up.
struct Attrs<'a> {
    drv: &'a Derivation,
    structured: Option<&'a StructuredAttrs>,
    store_dir: &'a StoreDir,
}

impl<'a> Attrs<'a> {
    /// The attribute as typed JSON, as a variable, or not there.
    fn find(&self, name: &str) -> Found<'a> {
        match self.structured {
            Some(attrs) => attrs.attrs().get(name).map_or(Found::Nothing, Found::Json),
            None => self.drv.variable(name).map_or(Found::Nothing, Found::Variable),
        }
    }

    fn string(&self, name: &str) -> Result<Option<String>, OptionsError> {
        match self.find(name) {
            Found::Nothing => Ok(None),
            Found::Variable(text) => utf8(text, name).map(|text| Some(text.to_owned())),
            Found::Json(Json::String(text)) => Ok(Some(text.clone())),
            Found::Json(other) => Err(ill_typed(name, other, "a string")),
        }
    }

    fn boolean(&self, name: &str, default: bool) -> Result<bool, OptionsError> {
        match self.find(name) {
            Found::Nothing => Ok(default),
            Found::Variable(text) => Ok(text == b"1"),
            Found::Json(value) => boolean(value, name),
        }
    }

    fn strings(&self, name: &str) -> Result<Option<BTreeSet<String>>, OptionsError> {
        match self.find(name) {
            Found::Nothing => Ok(None),
            Found::Variable(text) => words(text)
                .map(|word| utf8(word, name).map(str::to_owned))
                .collect::<Result<_, _>>()
                .map(Some),
            Found::Json(value) => strings(value, name).map(Some),
        }
    }

    fn specs(&self, strings: BTreeSet<String>) -> BTreeSet<ReferenceSpec> {
        strings
            .into_iter()
            .map(|text| match self.store_dir.parse(&text) {
                Ok(path) => ReferenceSpec::Path(path),
                Err(_) => ReferenceSpec::Output(text),
            })
            .collect()
    }

    fn output_checks(&self) -> Result<AllOutputChecks, OptionsError> {
        let Some(attrs) = self.structured else {
            let list = |name| self.strings(name).map(|list| list.map(|list| self.specs(list)));
            return Ok(AllOutputChecks::ForAll(OutputChecks {
                ignore_self_refs: true,
                max_size: None,
                max_closure_size: None,
                allowed_references: list("allowedReferences")?,
                allowed_requisites: list("allowedRequisites")?,
                disallowed_references: list("disallowedReferences")?.unwrap_or_default(),
                disallowed_requisites: list("disallowedRequisites")?.unwrap_or_default(),
            }));
        };
        let mut all = BTreeMap::new();
        let name = "outputChecks";
        let Some(value) = attrs.attrs().get(name) else {
            return Ok(AllOutputChecks::PerOutput(all));
        };
        for (output, checks) in object(value, name)? {
            let prefix = format!("{name}.{output}");
            let checks = object(checks, &prefix)?;
            let list = |name: &str| match checks.get(name) {
                None => Ok(None),
                Some(value) => {
                    strings(value, &format!("{prefix}.{name}")).map(|list| Some(self.specs(list)))
                }
            };
            let size = |name: &str| match checks.get(name) {
                None => Ok(None),
                Some(Json::Number(Number::Unsigned(size))) => Ok(Some(*size)),
                Some(other) => {
                    Err(ill_typed(&format!("{prefix}.{name}"), other, "a whole number from 0 up"))
                }
            };
            let checks = OutputChecks {
                ignore_self_refs: false,
                max_size: size("maxSize")?,
                max_closure_size: size("maxClosureSize")?,
                allowed_references: list("allowedReferences")?,
                allowed_requisites: list("allowedRequisites")?,
                disallowed_references: list("disallowedReferences")?.unwrap_or_default(),
                disallowed_requisites: list("disallowedRequisites")?.unwrap_or_default(),
            };
            all.insert(output.clone(), checks);
        }
        Ok(AllOutputChecks::PerOutput(all))
    }

    fn unsafe_discard_references(&self) -> Result<BTreeMap<String, bool>, OptionsError> {
        let name = "unsafeDiscardReferences";
        let Some(value) = self.structured.and_then(|attrs| attrs.attrs().get(name)) else {
            return Ok(BTreeMap::new());
        };
        object(value, name)?
            .iter()
            .map(|(output, value)| {
                Ok((output.clone(), boolean(value, &format!("{name}.{output}"))?))
            })
            .collect()
    }

    fn export_references_graph(
        &self,
    ) -> Result<BTreeMap<String, BTreeSet<StorePath>>, OptionsError> {
        let name = "exportReferencesGraph";
        let mut graphs = BTreeMap::new();
        match self.find(name) {
            // Nix ignores what is no object here.
            Found::Nothing => {}
            Found::Json(Json::Object(members)) => {
                for (key, value) in members {
                    let attribute = format!("{name}.{key}");
                    let paths = flat_strings(value, &attribute)?
                        .into_iter()
                        .map(|text| self.graph_path(text, &attribute))
                        .collect::<Result<_, _>>()?;
                    graphs.insert(key.clone(), paths);
                }
            }
            Found::Json(_) => {}
            Found::Variable(text) => {
                let words = words(text).collect::<Vec<_>>();
                let (pairs, rest) = words.as_chunks::<2>();
                if !rest.is_empty() {
                    return Err(OptionsError::OddGraph(words.len()));
                }
                for [file, path] in pairs {
                    let file = utf8(file, name)?;
                    if !is_graph_name(file) {
                        return Err(OptionsError::GraphName(printable(file.as_bytes())));
                    }
                    let path = self.graph_path(utf8(path, name)?, name)?;
                    graphs.insert(file.to_owned(), BTreeSet::from([path]));
                }
            }
        }
        Ok(graphs)
    }

    /// A store path, or the one that holds the path (`toStorePath`).
    fn graph_path(&self, text: &str, attribute: &str) -> Result<StorePath, OptionsError> {
        let store = self.store_dir.as_str();
        let end = text
            .strip_prefix(store)
            .and_then(|rest| rest.strip_prefix('/'))
            .and_then(|rest| rest.find('/'))
            .and_then(|length| text.get(..store.len() + 1 + length));
        self.store_dir
            .parse(end.unwrap_or(text))
            .map_err(|source| OptionsError::NotInStore { attribute: attribute.to_owned(), source })
    }
}

/// An attribute in either form.
enum Found<'a> {
    Nothing,
    Variable(&'a [u8]),
    Json(&'a Json),
}

fn ill_typed(attribute: &str, found: &Json, expected: &'static str) -> OptionsError {
    OptionsError::Type { attribute: printable(attribute.as_bytes()), found: found.kind(), expected }
}

/// `tokenizeString` with its default separators.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).filter(|word| !word.is_empty())
}

fn utf8<'t>(text: &'t [u8], attribute: &str) -> Result<&'t str, OptionsError> {
    std::str::from_utf8(text).map_err(|_| OptionsError::NotUtf8(attribute.to_owned()))
}

fn boolean(value: &Json, attribute: &str) -> Result<bool, OptionsError> {
    match value {
        Json::Bool(value) => Ok(*value),
        other => Err(ill_typed(attribute, other, "a boolean")),
    }
}

fn object<'j>(
    value: &'j Json,
    attribute: &str,
) -> Result<&'j BTreeMap<String, Json>, OptionsError> {
    match value {
        Json::Object(members) => Ok(members),
        other => Err(ill_typed(attribute, other, "an object")),
    }
}

fn strings(value: &Json, attribute: &str) -> Result<BTreeSet<String>, OptionsError> {
    let Json::Array(items) = value else {
        return Err(ill_typed(attribute, value, "a list of strings"));
    };
    items
        .iter()
        .map(|item| match item {
            Json::String(text) => Ok(text.clone()),
            other => Err(ill_typed(attribute, other, "a list of strings")),
        })
        .collect()
}

/// A string, or the strings in lists within lists (from Nix 2.33).
fn flat_strings<'j>(value: &'j Json, attribute: &str) -> Result<Vec<&'j str>, OptionsError> {
    let mut strings = Vec::new();
    let mut left = vec![value];
    while let Some(value) = left.pop() {
        match value {
            Json::String(text) => strings.push(text.as_str()),
            Json::Array(items) => left.extend(items),
            other => return Err(ill_typed(attribute, other, "a string or a list of strings")),
        }
    }
    Ok(strings)
}

/// `[A-Za-z_][A-Za-z0-9_.-]*`.
fn is_graph_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

#[cfg(test)]
mod tests;
