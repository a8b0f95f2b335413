//! A lock file's facts.

use serde_json::{Map, Value, json};

use super::Facts;
use crate::nix::flake_lock::by_name::ByName;
use crate::nix::flake_lock::{Attribute, Attributes, FlakeLock, LockInput, LockNode};
use crate::nix::flake_secrets::without_secrets;
use crate::nix::store_path::StoreDir;
use crate::report::{Column, Section, Table};

impl Facts for FlakeLock<'_> {
    fn json(&self, _: &StoreDir) -> Value {
        let nodes: Map<String, Value> = self
            .nodes
            .iter()
            .map(|(name, node)| {
                let inputs: Map<String, Value> = node
                    .inputs
                    .iter()
                    .map(|(name, input)| {
                        let value = match &input.target {
                            LockInput::Node(target) => json!({ "node": target }),
                            LockInput::Follows(path) => json!({ "follows": path }),
                        };
                        (name.to_owned(), value)
                    })
                    .collect();
                let value = json!({
                    "byte_offset": node.key.start,
                    "flake": node.flake,
                    "inputs": inputs,
                    "locked": attributes(&node.locked),
                    "original": attributes(&node.original),
                });
                (name.to_owned(), value)
            })
            .collect();
        let duplicates: Vec<Value> = self
            .duplicates
            .named
            .iter()
            .map(|one| {
                json!({
                    "path": one.path, "key": one.key, "byte_offset": one.first,
                    "again_at_byte_offset": one.again,
                })
            })
            .collect();
        json!({
            "version": self.version,
            "root": self.root,
            "node_count": self.nodes.len(),
            "nodes": nodes,
            "duplicate_key_count": self.duplicates.count,
            "duplicate_keys": duplicates,
        })
    }

    fn sections(&self, _: &StoreDir) -> Vec<Section> {
        let entries = vec![
            ("version".into(), self.version.to_string().into()),
            ("nodes".into(), self.nodes.len().to_string().into()),
            ("root".into(), self.root.as_ref().into()),
        ];
        let inputs = self.nodes.get(&self.root).map(|root| &root.inputs);
        let rows = inputs
            .into_iter()
            .flat_map(ByName::iter)
            .map(|(name, input)| {
                let target = match &input.target {
                    LockInput::Node(target) => target.to_string(),
                    LockInput::Follows(path) => format!("follows {}", path.join("/")),
                };
                vec![name.into(), target.into()]
            })
            .collect();
        let nodes = self
            .nodes
            .iter()
            .filter(|(name, _)| *name != self.root)
            .map(|(name, node)| {
                let rev = text(node, "rev").unwrap_or_default();
                vec![
                    name.into(),
                    source(node).into(),
                    rev.into(),
                    text(node, "narHash").unwrap_or_default().into(),
                ]
            })
            .collect();
        vec![
            Section::Facts { title: String::new(), entries },
            Section::Table(Table {
                title: "Inputs of the flake".into(),
                columns: vec![Column::text("input"), Column::text("node")],
                rows,
            }),
            Section::Table(Table {
                title: "Locked nodes".into(),
                columns: ["node", "source", "rev", "narHash"].map(Column::text).into(),
                rows: nodes,
            }),
        ]
    }
}

fn text(node: &LockNode<'_>, name: &str) -> Option<String> {
    node.locked_text(name).map(without_secrets)
}

/// Where a node comes from, in a word.
fn source(node: &LockNode<'_>) -> String {
    let kind = text(node, "type").unwrap_or_default();
    let place = text(node, "url")
        .or_else(|| text(node, "path"))
        .or_else(|| Some(format!("{}/{}", text(node, "owner")?, text(node, "repo")?)))
        .or_else(|| text(node, "id"))
        .unwrap_or_default();
    if kind.is_empty() { place } else { format!("{kind}:{place}") }
}

fn attributes(from: &Attributes<'_>) -> Map<String, Value> {
    from.iter()
        .map(|(name, attr)| {
            let value = match &attr.value {
                Attribute::Text(text) => without_secrets(text).into(),
                Attribute::Bool(value) => (*value).into(),
                // A number no type of ours can hold is shown as it is written.
                Attribute::Number(number) => {
                    serde_json::from_str(number).unwrap_or_else(|_| (*number).into())
                }
            };
            (name.to_owned(), value)
        })
        .collect()
}
