//! A machine as people see it: part by part, with what to do.

use super::{Cell, Column, Section, Table, Tone, View};
use crate::check::doctor::{Health, Part};

/// What is shown of a machine.
#[must_use]
pub fn view(parts: &[Part]) -> View {
    let rows = parts.iter().map(|part| {
        let tone = match part.health {
            Health::Works => Tone::Good,
            Health::Limited | Health::Unknown(_) => Tone::Doubtful,
            Health::Lacking => Tone::Bad,
            Health::NotAsked => Tone::Dim,
        };
        vec![
            Cell::judged(tone, part.health.name()),
            part.name.clone().into(),
            part.found.clone().into(),
        ]
    });
    let table = Table {
        title: "This machine".to_owned(),
        columns: vec![Column::text("state"), Column::text("part"), Column::text("found")],
        rows: rows.collect(),
    };
    View {
        sections: vec![Section::Table(table)],
        noun: Some(("part", "parts")),
        lists_subjects: true,
    }
}
