//! Case by case: what Nix registered beside what our report says.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::Oracle;
use super::material::Case;
use super::nix::Info;
use super::ours::{Outcome, Rebuild};

/// Cases in which our world may differ from Nix's, each with its reason. None
/// may change what ordinary builds produce; at most [`MOST_EXCEPTIONS`].
const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "fetchurl-file",
        "a file: URL in a derivation is never followed: it could name any file of the host",
    ),
    (
        "fixed-references",
        "Nix 2.8 registers it under another path than its derivation says; later versions refuse it, and so do we",
    ),
    ("fixed-self", "as fixed-references"),
    (
        PROCESS_LIMIT,
        "where no control group can be made, the limit on processes is RLIMIT_NPROC, which a builder can ask for",
    ),
];

/// The exception that depends on the machine.
const PROCESS_LIMIT: &str = "world-limits";

/// How many exceptions are acceptable.
const MOST_EXCEPTIONS: usize = 5;

/// Lines of a difference that are printed per output.
const SHOWN_LINES: usize = 60;

/// Compares all cases and panics with a readable account of what differs.
pub fn check(oracle: &Oracle, rebuild: &Rebuild<'_>, outcomes: &BTreeMap<String, Outcome>) {
    assert!(EXCEPTIONS.len() <= MOST_EXCEPTIONS, "too many exceptions");
    let registered = oracle.nix.everything();
    let mut wrong = Vec::new();
    let mut idle = Vec::new();
    for (case, built) in oracle.cases.iter().zip(&oracle.built) {
        let excused = EXCEPTIONS.iter().any(|(name, _)| *name == case.name);
        let complaints = match (outcomes.get(&case.drv_path), built) {
            (None, _) => vec!["our report does not mention it".to_owned()],
            (Some(ours), Ok(paths)) => outputs(oracle, rebuild, ours, paths, &registered),
            (Some(ours), Err(_)) => failure(case, ours),
        };
        match (complaints.is_empty(), excused) {
            (true, true) if case.name != PROCESS_LIMIT => idle.push(&case.name),
            (false, false) => {
                wrong.push(format!("{} ({}):\n{}", case.name, case.row, complaints.join("\n")))
            }
            _ => {}
        }
    }
    eprintln!(
        "{} of {} cases are as under Nix",
        oracle.cases.len() - wrong.len(),
        oracle.cases.len()
    );
    assert!(wrong.is_empty(), "{} cases differ from Nix:\n\n{}", wrong.len(), wrong.join("\n\n"));
    assert!(idle.is_empty(), "no exception any more: {idle:?}");
}

/// What is wrong with outputs that Nix built.
fn outputs(
    oracle: &Oracle,
    rebuild: &Rebuild<'_>,
    ours: &Outcome,
    paths: &BTreeMap<String, String>,
    registered: &BTreeMap<String, Info>,
) -> Vec<String> {
    if ours.production == "missing" {
        return vec![format!("  Nix builds it, we do not: {:?}", ours.failure)];
    }
    let mut complaints = Vec::new();
    if ours.outputs.keys().ne(paths.keys()) {
        complaints.push(format!("  outputs {:?}, Nix has {:?}", ours.outputs.keys(), paths.keys()));
    }
    for (name, path) in paths {
        let Some(output) = ours.outputs.get(name) else { continue };
        let (theirs, our_info) = (&registered[path], output.info.as_ref());
        if output.path == *path && our_info == Some(theirs) {
            if !output.confirmed && !ours.fixed {
                complaints.push(format!("  {name}: the cache's claim was not found equal"));
            }
            continue;
        }
        complaints.push(format!(
            "  {name}: Nix {path} {theirs:?}\n  {name}: we  {} {our_info:?}",
            output.path
        ));
        let tree = rebuild.tree(&output.path);
        complaints.push(tree.map_or_else(
            || "  (our tree was not kept)".to_owned(),
            |tree| difference(&oracle.nix.host_path(path), &tree),
        ));
    }
    complaints
}

/// What is wrong with a case that Nix does not build: we must not either, and
/// must say so of the build, not of something around it.
fn failure(case: &Case, ours: &Outcome) -> Vec<String> {
    let Some((reason, detail)) = &ours.failure else {
        return vec![format!("  Nix does not build it, we do: {:?}", ours.outputs)];
    };
    let wanted = case.fails.as_deref().unwrap_or_default();
    if !["build-failed", "unsupported", "fetch-impossible"].contains(&reason.as_str())
        || !detail.contains(wanted)
    {
        return vec![format!("  fails for another reason ({wanted}): {reason}: {detail}")];
    }
    Vec::new()
}

/// The difference of two trees, as lines.
fn difference(theirs: &Path, ours: &Path) -> String {
    let list = |tree: &Path| {
        let command =
            Command::new("find").arg(tree).args(["-printf", "%P %y %m %s %l\n"]).output().unwrap();
        let mut lines: Vec<String> =
            String::from_utf8_lossy(&command.stdout).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let (in_theirs, in_ours) = (list(theirs), list(ours));
    let mut lines: Vec<String> = Vec::new();
    lines.extend(
        in_theirs.iter().filter(|line| !in_ours.contains(line)).map(|line| format!("- {line}")),
    );
    lines.extend(
        in_ours.iter().filter(|line| !in_theirs.contains(line)).map(|line| format!("+ {line}")),
    );
    let diff = Command::new("diff")
        .args(["-r", "-u", "-a", "--no-dereference"])
        .args([theirs, ours])
        .output()
        .unwrap();
    lines.extend(String::from_utf8_lossy(&diff.stdout).lines().map(str::to_owned));
    lines.truncate(SHOWN_LINES);
    lines.iter().map(|line| format!("    {line}\n")).collect()
}
