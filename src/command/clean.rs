//! `verify clean`: remove what earlier runs have left.

use serde_json::json;

use super::cli::CleanArgs;
use super::options::WorkOptions;
use super::{Environment, ToolError};
use crate::check::{Coverage, Examination, Subject, Verdict};
use crate::report::{Report, Section, View};
use crate::state::{CleanRequest, DEFAULT_MAX_SIZE, StateDir};
use crate::sys::namespace::enter_private_root;

/// Cleans the state directory.
///
/// # Errors
/// A state directory that is in use, not ours, or cannot be cleaned.
pub fn run(args: &CleanArgs, environment: &Environment) -> Result<Report, ToolError> {
    let work = WorkOptions { state_dir: args.state_dir.clone(), jobs: None };
    let root = work.state_path(environment)?;
    let request = CleanRequest {
        all: args.all,
        max_size: args.max_size.unwrap_or(DEFAULT_MAX_SIZE),
        dry_run: args.dry_run,
    };
    if root.symlink_metadata().is_ok() {
        // Builds of an ordinary user may belong to subordinate ids, which only
        // a namespace that maps them may remove. Where that is forbidden there
        // are none, and what is our own can still be cleaned.
        let _ = enter_private_root();
    }
    let done = StateDir::clean(&root, request)
        .map_err(|error| ToolError::failed("clean the state directory", error))?;
    let status = if args.dry_run { "would be cleaned" } else { "cleaned" };
    let examination = Examination {
        command: "clean",
        subjects: vec![Subject {
            id: super::deliver::show(&root),
            verdict: Verdict::Pass,
            status: status.to_owned(),
        }],
        facts: json!({
            "dry_run": args.dry_run,
            "removed": done.removed,
            "freed_bytes": done.freed,
            "kept_bytes": done.kept,
            "kept_items": done.kept_items,
        }),
        findings: Vec::new(),
        coverage: Coverage { asked: 1, answered: 1, ..Coverage::default() },
    };
    let entries = vec![
        (
            if args.dry_run { "would remove" } else { "removed" }.to_owned(),
            format!("{} entries, {} bytes", done.removed.len(), done.freed).into(),
        ),
        ("kept".to_owned(), format!("{} entries, {} bytes", done.kept_items, done.kept).into()),
    ];
    let view = View {
        sections: vec![Section::Facts { title: String::new(), entries }],
        noun: Some(("state directory", "state directories")),
        lists_subjects: false,
    };
    Ok(Report::from(examination).with_view(view))
}
