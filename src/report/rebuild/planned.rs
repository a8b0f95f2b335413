//! A plan, as public JSON and as people read it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::view::short;
use crate::check::rebuild::facts::Role;
use crate::check::rebuild::planned::{Planned, PlannedInput};
use crate::nix::store_path::StoreDir;
use crate::report::view::{Cell, Column, Section, Table, Tone, View};

/// Objects that lack and are shown to people; the report as JSON has all.
const SHOWN_LACKING: usize = 25;

/// The facts of a rebuild report that was only planned: those that every such
/// report has, and the plan.
#[derive(Serialize)]
struct Facts<'a> {
    world: &'a str,
    store_dir: &'a str,
    sandbox: Sandbox,
    derivations: [(); 0],
    inputs: [(); 0],
    remarks: &'a [String],
    fetchers: u64,
    plan: PlanPart<'a>,
}

#[derive(Serialize)]
struct Sandbox {
    ownership: &'static str,
    shell: Option<()>,
    differences: [(); 0],
}

#[derive(Serialize)]
struct PlanPart<'a> {
    builds: Vec<BuildPart<'a>>,
    inputs: Vec<InputPart<'a>>,
    lacking: Vec<LackingPart<'a>>,
}

#[derive(Serialize)]
struct BuildPart<'a> {
    drv_path: String,
    role: &'static str,
    how: &'static str,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    obstacle: Option<ReasonPart<'a>>,
}

#[derive(Serialize)]
struct ReasonPart<'a> {
    reason: &'static str,
    detail: &'a str,
}

#[derive(Serialize)]
struct InputPart<'a> {
    path: String,
    proof: &'static str,
    from: Option<&'a str>,
    nar_size: Option<u64>,
    file_size: Option<u64>,
}

#[derive(Serialize)]
struct LackingPart<'a> {
    path: String,
    reason: &'static str,
    detail: &'a str,
    wanted_by: u64,
}

/// The facts of a plan in their public shape.
///
/// # Errors
/// None in practice: every key is text.
pub fn plan_facts(
    planned: &Planned,
    world: &str,
    store_dir: &StoreDir,
) -> Result<Value, serde_json::Error> {
    let builds = planned.builds.iter().map(|build| BuildPart {
        drv_path: store_dir.full(&build.drv_path),
        role: build.role.name(),
        how: if build.is_built { "build" } else { "obtain" },
        ready: build.obstacle.is_none(),
        obstacle: build
            .obstacle
            .as_ref()
            .map(|(reason, detail)| ReasonPart { reason: reason.name(), detail }),
    });
    let inputs = planned.inputs.iter().map(|input| InputPart {
        path: store_dir.full(&input.path),
        proof: input.proof,
        from: input.from.as_deref(),
        nar_size: input.nar_size,
        file_size: input.file_size,
    });
    let lacking = planned.lacking.iter().map(|lacking| LackingPart {
        path: store_dir.full(&lacking.path),
        reason: lacking.reason.name(),
        detail: &lacking.detail,
        wanted_by: lacking.wanted_by,
    });
    serde_json::to_value(Facts {
        world,
        store_dir: store_dir.as_str(),
        sandbox: Sandbox { ownership: "", shell: None, differences: [] },
        derivations: [],
        inputs: [],
        remarks: &planned.remarks,
        fetchers: planned.fetchers,
        plan: PlanPart {
            builds: builds.collect(),
            inputs: inputs.collect(),
            lacking: lacking.collect(),
        },
    })
}

/// What people see: how much there is to build and to get, and what lacks.
#[must_use]
pub fn plan_view(planned: &Planned) -> View {
    let mut entries: Vec<(String, Cell)> = Vec::new();
    let built = || planned.builds.iter().filter(|build| build.is_built);
    let count = |role| built().filter(|build| build.role == role).count();
    let ready = planned.builds.iter().filter(|build| build.obstacle.is_none()).count();
    let parts: Vec<String> = [
        (count(Role::Target), "targets"),
        (count(Role::Member), "of their closure"),
        (count(Role::Input), "that nobody offers"),
    ]
    .iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    let builds = built().count();
    if builds > 0 {
        entries.push(("to build".to_owned(), format!("{builds}: {}", parts.join(", ")).into()));
    }
    let total = planned.builds.len();
    if total > builds {
        let text = format!("{} fixed outputs, by their hash", total - builds);
        entries.push(("to obtain".to_owned(), text.into()));
    }
    let tone = if ready == total { Tone::Good } else { Tone::Doubtful };
    entries.push(("ready".to_owned(), Cell::judged(tone, format!("{ready} of {total}"))));
    let mut sources: BTreeMap<(&str, Option<&str>), Vec<&PlannedInput>> = BTreeMap::new();
    for input in &planned.inputs {
        sources.entry((input.proof, input.from.as_deref())).or_default().push(input);
    }
    for ((proof, from), inputs) in sources {
        let from = from.map_or_else(
            || "fetched as their derivations say".to_owned(),
            |from| format!("from {from}"),
        );
        let bytes: u64 = inputs
            .iter()
            .filter_map(|input| input.file_size.or(input.nar_size))
            .fold(0, u64::saturating_add);
        let size =
            if bytes > 0 { format!(", {} MiB", bytes.div_ceil(1 << 20)) } else { String::new() };
        entries.push((proof.to_owned(), format!("{} {from}{size}", inputs.len()).into()));
    }
    if !planned.lacking.is_empty() {
        let text = format!("{} objects cannot be had", planned.lacking.len());
        entries.push(("lacking".to_owned(), Cell::toned(Tone::Doubtful, text)));
    }
    for remark in &planned.remarks {
        entries.push(("remark".to_owned(), Cell::toned(Tone::Doubtful, remark.clone())));
    }
    let mut sections = vec![Section::Facts { title: "Plan".to_owned(), entries }];
    if !planned.lacking.is_empty() {
        let rows = planned.lacking.iter().take(SHOWN_LACKING).map(|lacking| {
            vec![
                Cell::toned(Tone::Doubtful, lacking.reason.name()),
                short(&lacking.path).into(),
                lacking.wanted_by.to_string().into(),
            ]
        });
        let more = planned.lacking.len().saturating_sub(SHOWN_LACKING);
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        sections.push(Section::Table(Table {
            title: format!("Lacking, what most want first{more}"),
            columns: vec![Column::text("why"), Column::text("object"), Column::number("read by")],
            rows: rows.collect(),
        }));
    }
    View { sections, noun: Some(("derivation", "derivations")), lists_subjects: true }
}
