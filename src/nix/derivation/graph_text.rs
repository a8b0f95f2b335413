//! The references graphs that `exportReferencesGraph` puts before a builder.
//!
//! Follows `makeValidityRegistration` in `src/libstore/store-api.cc` for the
//! plain form, and `pathInfoToJSON` as `prepareStructuredAttrs` calls it for
//! structured attributes.

use std::collections::{BTreeMap, BTreeSet};

use super::modulo::DerivationSource;
use crate::nix::hash::NarHash;
use crate::nix::store_path::{StoreDir, StorePath};
use crate::nix::structured_attrs::{Json, Number};

/// What a graph says about one store path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphNode {
    /// The hash of its NAR.
    pub nar_hash: NarHash,
    /// The size of its NAR.
    pub nar_size: u64,
    /// What it refers to, itself included where it does.
    pub references: BTreeSet<StorePath>,
    /// Its content address as written (`fixed:r:sha256:...`), if it has one.
    pub content_address: Option<String>,
}

/// Why a graph cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// A path is reached of which nothing is known.
    #[error(
        "cannot export the references of '{0}': it is not in the input closure of the derivation"
    )]
    Missing(StorePath),
    /// A derivation is in the closure and its file is not at hand.
    #[error("cannot export the outputs of the derivation '{0}': its file is missing")]
    MissingDerivation(StorePath),
    /// A derivation is in the closure whose output paths are not known.
    #[error("cannot export the outputs of the derivation '{0}': their paths are not known")]
    UnknownOutputs(StorePath),
}

/// The closure of `roots` among `nodes`.
///
/// # Errors
/// A path is reached that is not among the nodes.
pub fn closure(
    roots: &BTreeSet<StorePath>,
    nodes: &BTreeMap<StorePath, GraphNode>,
) -> Result<BTreeSet<StorePath>, GraphError> {
    let mut closure = BTreeSet::new();
    let mut left: Vec<&StorePath> = roots.iter().collect();
    while let Some(path) = left.pop() {
        if closure.insert(path.clone()) {
            left.extend(&node(nodes, path)?.references);
        }
    }
    Ok(closure)
}

/// The paths a graph over `roots` lists: their closure and, for every
/// derivation in it, the closures of its outputs (`exportReferences`).
///
/// # Errors
/// See [`GraphError`].
pub fn exported(
    roots: &BTreeSet<StorePath>,
    nodes: &BTreeMap<StorePath, GraphNode>,
    derivations: &dyn DerivationSource,
) -> Result<BTreeSet<StorePath>, GraphError> {
    let mut paths = closure(roots, nodes)?;
    let mut outputs = BTreeSet::new();
    for path in paths.iter().filter(|path| path.is_derivation()) {
        let missing = || GraphError::MissingDerivation(path.clone());
        let drv = derivations.derivation(path).ok_or_else(missing)?;
        for output in drv.outputs.values() {
            let unknown = || GraphError::UnknownOutputs(path.clone());
            outputs.insert(output.path().ok_or_else(unknown)?.clone());
        }
    }
    paths.extend(closure(&outputs, nodes)?);
    Ok(paths)
}

fn node<'n>(
    nodes: &'n BTreeMap<StorePath, GraphNode>,
    path: &StorePath,
) -> Result<&'n GraphNode, GraphError> {
    nodes.get(path).ok_or_else(|| GraphError::Missing(path.clone()))
}

/// The bytes of a plain graph file over `paths` (see [`exported`]):
/// for each path, in order, the path, an empty line for the deriver, the
/// number of references and the references.
///
/// # Errors
/// A path is not among the nodes.
pub fn graph_text(
    paths: &BTreeSet<StorePath>,
    nodes: &BTreeMap<StorePath, GraphNode>,
    store_dir: &StoreDir,
) -> Result<String, GraphError> {
    let mut text = String::new();
    for path in paths {
        let node = node(nodes, path)?;
        text.push_str(&format!("{}\n\n{}\n", store_dir.full(path), node.references.len()));
        for reference in &node.references {
            text.push_str(&store_dir.full(reference));
            text.push('\n');
        }
    }
    Ok(text)
}

/// The value a structured graph gets over `paths` (see [`exported`]). From Nix 2.15 every
/// element also says `"valid": true`.
///
/// # Errors
/// A path is not among the nodes.
pub fn graph_json(
    paths: &BTreeSet<StorePath>,
    nodes: &BTreeMap<StorePath, GraphNode>,
    store_dir: &StoreDir,
    with_valid: bool,
) -> Result<Json, GraphError> {
    let number = |value| Json::Number(Number::Unsigned(value));
    let mut items = Vec::new();
    for path in paths {
        let node = node(nodes, path)?;
        let mut closure_size = 0_u64;
        for member in closure(&BTreeSet::from([path.clone()]), nodes)? {
            let size = nodes.get(&member).map_or(0, |node| node.nar_size);
            closure_size = closure_size.wrapping_add(size);
        }
        let references =
            node.references.iter().map(|path| Json::String(store_dir.full(path))).collect();
        let mut members = BTreeMap::from([
            ("closureSize".to_owned(), number(closure_size)),
            ("narHash".to_owned(), Json::String(node.nar_hash.to_string())),
            ("narSize".to_owned(), number(node.nar_size)),
            ("path".to_owned(), Json::String(store_dir.full(path))),
            ("references".to_owned(), Json::Array(references)),
        ]);
        if let Some(content_address) = &node.content_address {
            members.insert("ca".to_owned(), Json::String(content_address.clone()));
        }
        if with_valid {
            members.insert("valid".to_owned(), Json::Bool(true));
        }
        items.push(Json::Object(members));
    }
    Ok(Json::Array(items))
}
