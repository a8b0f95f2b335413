//! A derivation's facts.

use serde_json::{Map, Value, json};

use super::Facts;
use crate::check::inspect::derivation::DerivationFacts;
use crate::nix::derivation::options::Options;
use crate::nix::derivation::{Derivation, Output, OutputPathCheck, json as derivation_json};
use crate::nix::store_path::StoreDir;
use crate::report::text::escape_bytes;
use crate::report::{Cell, Column, Section, Table, Tone};

/// Characters of an argument or variable that are shown to people.
const SHOWN_VALUE: usize = 300;

/// Inputs that are shown to people; the JSON has all.
const SHOWN_INPUTS: usize = 40;

/// A recomputed path in a word, with its judgement.
const fn word(check: &OutputPathCheck) -> (Tone, &'static str) {
    match check {
        OutputPathCheck::Matches { .. } => (Tone::Good, "right"),
        OutputPathCheck::Differs { .. } => (Tone::Bad, "wrong path"),
        OutputPathCheck::VariableDiffers { .. } => (Tone::Bad, "wrong variable"),
        OutputPathCheck::ShouldBeDeferred { .. } => (Tone::Bad, "should be deferred"),
        OutputPathCheck::NeedlesslyDeferred { .. } => (Tone::Plain, "needlessly deferred"),
        OutputPathCheck::NoPathYet => (Tone::Plain, "no path yet"),
    }
}

/// The path that an output turned out to have, when it states none.
const fn expected(check: &OutputPathCheck) -> Option<&crate::nix::store_path::StorePath> {
    match check {
        OutputPathCheck::Differs { expected, .. }
        | OutputPathCheck::NeedlesslyDeferred { expected } => Some(expected),
        OutputPathCheck::Matches { path } | OutputPathCheck::VariableDiffers { path, .. } => {
            Some(path)
        }
        OutputPathCheck::ShouldBeDeferred { .. } | OutputPathCheck::NoPathYet => None,
    }
}

/// What else is known of an output: its fixed or expected hash.
fn hash_of(output: &Output) -> String {
    match output {
        Output::Fixed { method, hash, .. } => format!("{}{hash}", method.file_prefix()),
        Output::FloatingCa { method, algorithm } | Output::Impure { method, algorithm } => {
            format!("{}{algorithm}", method.file_prefix())
        }
        Output::InputAddressed { .. } | Output::Deferred => String::new(),
    }
}

impl Facts for DerivationFacts {
    fn json(&self, store_dir: &StoreDir) -> Value {
        let checks: Map<String, Value> = self
            .paths
            .iter()
            .flat_map(|report| &report.outputs)
            .map(|(name, check)| {
                let path = expected(check).map(|path| store_dir.full(path));
                (name.clone(), json!({ "state": word(check).1, "recomputed": path }))
            })
            .collect();
        json!({
            "drv_path": self.drv_path.as_ref().map(|path| store_dir.full(path)),
            "output_kind": self.derivation.kind().to_string(),
            "output_paths": self.paths.as_ref().map(|_| checks),
            "hash_modulo":
                self.paths.as_ref().and_then(|report| report.modulo).map(|hash| hash.base16()),
            "merge_rule":
                self.paths.as_ref().and_then(|report| report.only_rule).map(|rule| rule.to_string()),
            "missing_inputs":
                self.missing.iter().map(|path| store_dir.full(path)).collect::<Vec<_>>(),
            "options": self.options.as_ref().map(|options| options_json(options, store_dir)),
            "derivation": derivation_json::facts(&self.derivation, store_dir),
        })
    }

    fn sections(&self, store_dir: &StoreDir) -> Vec<Section> {
        let drv = &self.derivation;
        let mut entries: Vec<(String, Cell)> = Vec::new();
        if let Some(path) = &self.drv_path {
            entries.push(("derivation".into(), store_dir.full(path).into()));
        }
        entries.extend([
            ("kind".into(), drv.kind().to_string().into()),
            ("system".into(), shown(&drv.platform)),
            ("builder".into(), shown(&drv.builder)),
        ]);
        entries.extend(drv.args.iter().map(|arg| ("argument".to_owned(), shown(arg))));
        if let Some(rule) = self.paths.as_ref().and_then(|report| report.only_rule) {
            entries.push(("merge rule".into(), rule.to_string().into()));
        }
        let mut sections = vec![Section::Facts { title: String::new(), entries }];
        sections.push(Section::Table(self.outputs(store_dir)));
        sections.push(Section::Table(inputs(drv, store_dir)));
        if let Some(options) = &self.options {
            sections.push(Section::Facts { title: "Options".into(), entries: set(options) });
        }
        let variables = drv.env.iter().map(|(name, value)| (escape_bytes(name), shown(value)));
        sections.push(Section::Facts { title: "Environment".into(), entries: variables.collect() });
        sections
    }
}

impl DerivationFacts {
    fn outputs(&self, store_dir: &StoreDir) -> Table {
        let check = |name: &str| self.paths.as_ref().and_then(|report| report.outputs.get(name));
        let rows = self.derivation.outputs.iter().map(|(name, output)| {
            let judged = check(name).map_or_else(
                || Cell::toned(Tone::Dim, "not recomputed"),
                |check| {
                    let (tone, word) = word(check);
                    Cell::judged(tone, word)
                },
            );
            let path = output.path().or_else(|| check(name).and_then(expected));
            let path = path.map_or_else(String::new, |path| store_dir.full(path));
            vec![name.as_str().into(), judged, path.into(), hash_of(output).into()]
        });
        let mut columns =
            vec![Column::text("output"), Column::text("path is"), Column::text("path")];
        if self.derivation.outputs.values().any(|output| !hash_of(output).is_empty()) {
            columns.push(Column::text("hash"));
        }
        Table { title: "Outputs".into(), columns, rows: rows.collect() }
    }
}

fn inputs(drv: &Derivation, store_dir: &StoreDir) -> Table {
    let mut rows: Vec<Vec<Cell>> = drv
        .input_drvs
        .iter()
        .map(|(path, outputs)| {
            let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
            vec![store_dir.full(path).into(), outputs.join(", ").into()]
        })
        .chain(
            drv.input_srcs
                .iter()
                .map(|path| vec![store_dir.full(path).into(), Cell::toned(Tone::Dim, "source")]),
        )
        .collect();
    if rows.len() > SHOWN_INPUTS {
        let more = rows.len().saturating_sub(SHOWN_INPUTS);
        rows.truncate(SHOWN_INPUTS);
        rows.push(vec![Cell::toned(Tone::Dim, format!("and {more} more"))]);
    }
    let columns = vec![Column::text("path"), Column::text("used")];
    Table { title: "Inputs".into(), columns, rows }
}

/// Bytes as people see them, cut where they get long.
fn shown(bytes: &[u8]) -> Cell {
    let text = escape_bytes(bytes);
    match text.char_indices().nth(SHOWN_VALUE) {
        None => text.into(),
        Some((at, _)) => {
            format!("{}... ({} bytes)", text.get(..at).unwrap_or_default(), bytes.len()).into()
        }
    }
}

/// The options that are set.
fn set(options: &Options) -> Vec<(String, Cell)> {
    let mut entries: Vec<(String, Cell)> = Vec::new();
    let mut flag = |name: &str, on: bool| {
        if on {
            entries.push((name.to_owned(), "yes".into()));
        }
    };
    flag("structured attributes", options.structured_attrs.is_some());
    flag("__noChroot", options.no_chroot);
    flag("preferLocalBuild", options.prefer_local_build);
    flag("allowSubstitutes = false", !options.allow_substitutes);
    let mut list = |name: &str, items: Vec<String>| {
        if !items.is_empty() {
            entries.push((name.to_owned(), items.join(" ").into()));
        }
    };
    list("passAsFile", options.pass_as_file.iter().map(|name| escape_bytes(name)).collect());
    list("impureEnvVars", options.impure_env_vars.iter().cloned().collect());
    list("__impureHostDeps", options.impure_host_deps.iter().cloned().collect());
    list("requiredSystemFeatures", options.required_system_features.iter().cloned().collect());
    list("exportReferencesGraph", options.export_references_graph.keys().cloned().collect());
    entries
}

fn options_json(options: &Options, store_dir: &StoreDir) -> Value {
    let graphs: Map<String, Value> = options
        .export_references_graph
        .iter()
        .map(|(name, paths)| {
            (name.clone(), paths.iter().map(|path| Value::from(store_dir.full(path))).collect())
        })
        .collect();
    json!({
        "structured_attrs": options.structured_attrs.is_some(),
        "no_chroot": options.no_chroot,
        "prefer_local_build": options.prefer_local_build,
        "allow_substitutes": options.allow_substitutes,
        "pass_as_file":
            options.pass_as_file.iter().map(|name| escape_bytes(name)).collect::<Vec<_>>(),
        "impure_env_vars": options.impure_env_vars,
        "impure_host_deps": options.impure_host_deps,
        "required_system_features": options.required_system_features,
        "export_references_graph": graphs,
    })
}
