//! A narinfo's facts.

use serde_json::{Map, Value, json};

use super::Facts;
use crate::check::inspect::narinfo::{NarInfoFacts, SignatureState};
use crate::nix::store_path::StoreDir;
use crate::report::{Cell, Column, Section, Table, Tone};

/// References that are shown to people; the JSON has all.
const SHOWN_REFERENCES: usize = 20;

impl Facts for NarInfoFacts {
    fn json(&self, store_dir: &StoreDir) -> Value {
        let info = &self.info;
        let signatures: Vec<Value> = self
            .signatures
            .iter()
            .map(|(key, state)| json!({ "key": key, "state": state.name() }))
            .collect();
        let unknown: Map<String, Value> =
            info.unknown_fields.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        json!({
            "store_path": store_dir.full(&info.store_path),
            "url": info.url.as_written(),
            "compression": info.compression.to_string(),
            "file_hash": info.file_hash.map(|hash| hash.to_string()),
            "file_size": info.file_size,
            "nar_hash": info.nar_hash.to_string(),
            "nar_size": info.nar_size,
            "references":
                info.references.iter().map(|path| store_dir.full(path)).collect::<Vec<_>>(),
            "references_sorted": info.has_sorted_references(),
            "deriver": info.deriver.as_ref().map(|path| store_dir.full(path)),
            "system": info.system,
            "content_address": info.ca.as_ref().map(ToString::to_string),
            "content_address_gives_store_path": self.content_addressed,
            "signatures": signatures,
            "fingerprint": self.fingerprint,
            "unknown_fields": unknown,
        })
    }

    fn sections(&self, store_dir: &StoreDir) -> Vec<Section> {
        let info = &self.info;
        let signed = vec![
            ("StorePath".to_owned(), Cell::from(store_dir.full(&info.store_path))),
            ("NarHash".to_owned(), info.nar_hash.to_string().into()),
            ("NarSize".to_owned(), info.nar_size.to_string().into()),
            ("References".to_owned(), info.references.len().to_string().into()),
        ];
        let mut unsigned: Vec<(String, Cell)> = vec![
            ("URL".to_owned(), info.url.as_written().into()),
            ("Compression".to_owned(), info.compression.to_string().into()),
        ];
        let mut add = |label: &str, value: Option<String>| {
            unsigned.extend(value.map(|value| (label.to_owned(), value.into())));
        };
        add("FileHash", info.file_hash.map(|hash| hash.to_string()));
        add("FileSize", info.file_size.map(|size| size.to_string()));
        add("Deriver", info.deriver.as_ref().map(|path| store_dir.full(path)));
        add("System", info.system.clone());
        if let (Some(ca), Some(right)) = (&info.ca, self.content_addressed) {
            let (tone, word) =
                if right { (Tone::Good, "gives") } else { (Tone::Bad, "does not give") };
            unsigned.push((
                "CA".to_owned(),
                Cell::judged(tone, format!("{ca} ({word} the store path)")),
            ));
        }
        for (name, value) in &info.unknown_fields {
            unsigned.push((name.clone(), value.as_str().into()));
        }
        let rows = self
            .signatures
            .iter()
            .map(|(key, state)| {
                let tone = match state {
                    SignatureState::Bad => Tone::Bad,
                    SignatureState::GoodAsWritten | SignatureState::UnknownKey => Tone::Doubtful,
                    SignatureState::Good => Tone::Good,
                };
                vec![Cell::judged(tone, state.name()), key.as_str().into()]
            })
            .collect();
        let mut references: Vec<String> = info
            .references
            .iter()
            .take(SHOWN_REFERENCES)
            .map(|path| store_dir.full(path))
            .collect();
        if info.references.len() > SHOWN_REFERENCES {
            let more = info.references.len().saturating_sub(SHOWN_REFERENCES);
            references.push(format!("and {more} more"));
        }
        vec![
            Section::Facts { title: "What is signed".into(), entries: signed },
            Section::Facts { title: "What is not".into(), entries: unsigned },
            Section::Lines { title: "References".into(), lines: references },
            Section::Table(Table {
                title: "Signatures".into(),
                columns: vec![Column::text("state"), Column::text("key")],
                rows,
            }),
        ]
    }
}
