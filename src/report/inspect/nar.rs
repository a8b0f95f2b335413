//! A NAR's facts.

use serde_json::{Value, json};

use super::Facts;
use crate::check::inspect::nar::NarFacts;
use crate::nix::store_path::StoreDir;
use crate::report::text::escape_bytes;
use crate::report::{Cell, Column, Section, Table, Tone};

impl Facts for NarFacts {
    fn json(&self, store_dir: &StoreDir) -> Value {
        let top: Vec<Value> = self
            .top
            .iter()
            .map(|(name, kind)| json!({ "name": escape_bytes(name), "type": kind }))
            .collect();
        let largest: Vec<Value> = self
            .largest
            .iter()
            .map(|(size, path)| json!({ "path": escape_bytes(path), "size": size }))
            .collect();
        json!({
            "nar_hash": self.nar_hash.to_string(),
            "nar_hash_sri": self.nar_hash.hash().sri(),
            "nar_size": self.nar_size,
            "type": self.root,
            "directories": self.directories,
            "files": self.files,
            "executables": self.executables,
            "symlinks": self.symlinks,
            "contents_size": self.contents,
            "depth": self.depth,
            "entries": top,
            "entry_count": self.top_count,
            "largest_files": largest,
            "store_path_by_content": self.by_content.as_ref().map(|path| store_dir.full(path)),
        })
    }

    fn sections(&self, store_dir: &StoreDir) -> Vec<Section> {
        let mut entries: Vec<(String, Cell)> = vec![
            ("NarHash".into(), self.nar_hash.to_string().into()),
            ("".into(), self.nar_hash.hash().sri().into()),
            ("NarSize".into(), self.nar_size.to_string().into()),
            ("type".into(), self.root.into()),
            (
                "holds".into(),
                format!(
                    "{} directories, {} files ({} executable), {} symlinks, {} bytes of contents",
                    self.directories, self.files, self.executables, self.symlinks, self.contents
                )
                .into(),
            ),
        ];
        if let Some(path) = &self.by_content {
            entries.push(("by content".into(), store_dir.full(path).into()));
        }
        let mut rows: Vec<Vec<Cell>> = self
            .top
            .iter()
            .map(|(name, kind)| vec![escape_bytes(name).into(), Cell::toned(Tone::Dim, *kind)])
            .collect();
        let listed = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        if self.top_count > listed {
            let more = format!("and {} more", self.top_count - listed);
            rows.push(vec![Cell::toned(Tone::Dim, more)]);
        }
        let largest = self
            .largest
            .iter()
            .filter(|(_, path)| !path.is_empty())
            .map(|(size, path)| vec![size.to_string().into(), escape_bytes(path).into()])
            .collect();
        vec![
            Section::Facts { title: String::new(), entries },
            Section::Table(Table {
                title: "In the root directory".into(),
                columns: vec![Column::text("name"), Column::text("type")],
                rows,
            }),
            Section::Table(Table {
                title: "Largest files".into(),
                columns: vec![Column::number("bytes"), Column::text("path")],
                rows: largest,
            }),
        ]
    }
}
