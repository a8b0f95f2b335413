//! How two NARs differ.

use serde_json::Value;

use super::Facts;
use crate::check::difference::Explanation;
use crate::nix::store_path::StoreDir;
use crate::report::{Section, difference};

impl Facts for Explanation {
    fn json(&self, _: &StoreDir) -> Value {
        difference::json(self).unwrap_or_default()
    }

    fn sections(&self, _: &StoreDir) -> Vec<Section> {
        let title = "Where they differ first, the file (-) and what it is held against (+)";
        let lines = difference::excerpts(self);
        let mut sections = vec![Section::Lines { title: title.to_owned(), lines }];
        if !self.notes.is_empty() {
            let title = "Not looked into".to_owned();
            sections.push(Section::Lines { title, lines: self.notes.clone() });
        }
        sections
    }
}
