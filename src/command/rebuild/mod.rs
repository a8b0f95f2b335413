//! `verify rebuild`: build derivations in our own sandbox and compare every
//! output with what caches claim.
//!
//! The work goes: read and recompute the derivations, plan where inputs come
//! from, obtain and prove them, build along the graph, collect claims, judge.

mod builds;
mod gathered;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use rayon::prelude::*;
use serde_json::{Map, Value, json};

use self::builds::{BuildSettings, Builds, Done};
use self::gathered::{Gathered, Gathering};
use super::cli::RebuildArgs;
use super::sources::Sources;
use super::{Environment, ToolError};
use crate::build::{BuiltOutput, Executor, Limits, RootKind, SandboxExecutor, World};
use crate::check::rebuild::facts::{
    DerivationFacts, InputFacts, Origin, OutputFacts, Production, Rebuild, Role, SandboxFacts,
    WorldFact,
};
use crate::check::rebuild::{Basis, Contents, examine, rules};
use crate::check::{Finding, Reason};
use crate::gather::answers::Answers;
use crate::gather::claims;
use crate::gather::differing;
use crate::gather::drv_files::{DrvFileError, DrvFiles};
use crate::gather::graph::{self, DerivationGraph};
use crate::gather::inputs::Object;
use crate::gather::shell::{self, Shell};
use crate::nix::derivation::{Derivation, Kind};
use crate::nix::realisation::DrvOutput;
use crate::nix::store_path::{StoreDir, StorePath};
use crate::report::{Progress, Report, Trouble, rebuild as render};
use crate::state::StateDir;
use crate::sys::namespace::enter_private_root;

/// Questions that are put to caches at once: a thousand narinfos a second at
/// 50 ms each, and few enough for a small server.
const QUESTIONS_AT_ONCE: usize = 48;

/// This program, which is also the supervisor of each build.
const SELF: &str = "/proc/self/exe";

/// What stands for no shell in `--shell`.
const NO_SHELL: &str = "none";

/// Rebuilds the targets and judges their outputs.
///
/// # Errors
/// An option that makes no sense, a target that cannot be read, or a failure
/// of ours before anything was built.
pub fn run(
    args: &RebuildArgs,
    environment: &Environment,
    progress: &Progress,
) -> Result<Report, ToolError> {
    // Before any thread is started.
    enter_private_root().map_err(|error| ToolError::failed("prepare the sandbox", error))?;
    let store_dir = StoreDir::default();
    let state = StateDir::open(&args.work.state_path(environment)?)
        .map_err(|error| ToolError::failed("use the state directory", error))?;
    let sources = Sources::open(&args.sources, &args.keys, environment, &store_dir)?;
    let questions = rayon::ThreadPoolBuilder::new()
        .num_threads(QUESTIONS_AT_ONCE)
        .build()
        .map_err(|error| ToolError::failed("start threads", error))?;

    let targets = read_targets(args, environment, &sources, &store_dir)?;
    let graph::Loaded { graph, findings } = questions
        .install(|| graph::load(targets.derivations, &store_dir, &targets.files))
        .map_err(|error| ToolError::failed("read the derivations", error))?;

    let answers = Answers::new(&sources.client, &sources.caches, &store_dir, &sources.keys);
    let wanted: BTreeSet<StorePath> = targets.paths.clone();
    let gathering = Gathering {
        graph: &graph,
        answers: &answers,
        sources: &sources,
        store_dir: &store_dir,
        state: &state,
        network_builders: args.allow_network_builders,
        offline: args.sources.offline,
        progress,
    };
    let gathered = questions.install(|| gathering.run(&wanted))?;

    let shell = find_shell(args, environment, &sources, &gathered)?;
    let settings = settings(args, environment, shell.as_ref())?;
    let executor = SandboxExecutor::new(&state, SELF.into())
        .map_err(|error| ToolError::failed("prepare the sandbox", error))?;
    let looked_at = |output: &BuiltOutput| {
        differing::is_claimed_otherwise(&output.path, output.nar_hash, &answers)
    };
    let builds = Builds {
        looked_at: &looked_at,
        executor: &executor,
        graph: &graph,
        plan: &gathered.plan,
        settings: &settings,
        store_dir: &store_dir,
        progress,
    };
    let (done, objects) = builds.run(gathered.objects.clone());

    let outcome = Outcome {
        graph: &graph,
        gathered: &gathered,
        done: &done,
        objects: &objects,
        state: &state,
    };
    let mut rebuild = questions.install(|| outcome.facts(&wanted, &answers, &sources));
    rebuild.world = settings.world.name.to_owned();
    rebuild.sandbox.shell = shell.map(|shell| shell.facts);
    rebuild.findings.extend(targets.findings);
    rebuild.findings.extend(findings);
    let mut examination = examine(&rebuild, &store_dir, sources.local.is_some());
    if examination.findings.iter().any(|finding| finding.rule == &rules::OUTPUT_DIFFERS) {
        rebuild.other_worlds = other_worlds(settings.world);
    }
    examination.facts = render::facts(&rebuild, &store_dir)
        .map_err(|error| ToolError::failed("put the facts into the report", error))?;
    let view = render::view(&rebuild, &examination, &store_dir);
    let mut report = Report::from(examination).with_view(view);
    for done in done.values() {
        report.troubles.extend(done.trouble.as_ref().map(|error| Trouble::from_error(error)));
    }
    report.run = run_facts(&done, executor.name());
    Ok(report)
}

/// The targets, read.
struct Targets {
    /// The store paths of those that have one.
    paths: BTreeSet<StorePath>,
    derivations: BTreeMap<StorePath, Derivation>,
    files: DrvFiles,
    /// Targets that are malformed.
    findings: Vec<Finding>,
}

fn read_targets(
    args: &RebuildArgs,
    environment: &Environment,
    sources: &Sources,
    store_dir: &StoreDir,
) -> Result<Targets, ToolError> {
    let mut files = DrvFiles::new(store_dir.clone());
    for directory in &args.drv_dirs {
        files.add_directory(&environment.absolute(directory));
    }
    if let Some(local) = &sources.local {
        files.add_local_store(std::sync::Arc::clone(local));
    }
    let mut derivations = BTreeMap::new();
    let mut findings = Vec::new();
    let mut directories = Vec::new();
    for target in &args.targets {
        let file = environment.absolute(target);
        directories.extend(file.parent().map(Path::to_owned));
        match files.load_file(&file) {
            Ok((path, derivation)) => {
                derivations.insert(path, derivation);
            }
            Err(
                error @ (DrvFileError::Io { .. }
                | DrvFileError::NotRegular(_)
                | DrvFileError::Name(_)),
            ) => {
                return Err(ToolError::failed("read a target", error));
            }
            Err(error) => {
                let subject = file.file_name().unwrap_or_default().to_string_lossy();
                findings.push(graph::malformed(&subject, &error, store_dir));
            }
        }
    }
    for directory in directories {
        files.add_directory(&directory);
    }
    Ok(Targets { paths: derivations.keys().cloned().collect(), derivations, files, findings })
}

/// The shell for `/bin/sh`, by the options or found.
fn find_shell(
    args: &RebuildArgs,
    environment: &Environment,
    sources: &Sources,
    gathered: &Gathered,
) -> Result<Option<Shell>, ToolError> {
    match &args.shell {
        Some(path) if path.as_os_str() == NO_SHELL => Ok(None),
        Some(path) => shell::named(&environment.absolute(path)).map(Some).map_err(|error| {
            ToolError::failed(format!("use the shell '{}'", path.display()), error)
        }),
        None => {
            let store = sources.local.as_ref().map(|local| local.root().join("nix/store"));
            let trees = gathered
                .objects
                .iter()
                .map(|(path, object)| (path.to_string(), object.input.host_path.as_path()));
            Ok(shell::find(store.as_deref(), trees))
        }
    }
}

fn settings(
    args: &RebuildArgs,
    environment: &Environment,
    shell: Option<&Shell>,
) -> Result<BuildSettings, ToolError> {
    let name = args.world.name();
    let world = World::by_name(name)
        .ok_or_else(|| ToolError::Usage(format!("there is no world '{name}'")))?;
    let parallelism = NonZeroUsize::new(environment.parallelism).unwrap_or(NonZeroUsize::MIN);
    Ok(BuildSettings {
        world,
        cores: args.cores.unwrap_or_else(|| u32::try_from(parallelism.get()).unwrap_or(1)),
        limits: Limits {
            timeout: args.timeout.map(Duration::from_secs),
            max_silent: args.max_silent_time.map(Duration::from_secs),
            max_log_bytes: args.max_log_size,
        },
        shell: shell.map(|shell| shell.path.clone()),
        network: args.allow_network_builders && !args.sources.offline,
        keep_failed: args.keep_failed,
        jobs: args.work.jobs.unwrap_or(parallelism),
    })
}

/// Everything that is known when the last build has ended.
struct Outcome<'a> {
    graph: &'a DerivationGraph,
    gathered: &'a Gathered,
    done: &'a BTreeMap<StorePath, Done>,
    objects: &'a BTreeMap<StorePath, Object>,
    state: &'a StateDir,
}

impl Outcome<'_> {
    /// Puts it all together, asking for claims about every output.
    fn facts(
        &self,
        targets: &BTreeSet<StorePath>,
        answers: &Answers<'_>,
        sources: &Sources,
    ) -> Rebuild {
        let mut rebuild =
            Rebuild { findings: self.gathered.findings.clone(), ..Rebuild::default() };
        let subjects: BTreeSet<&StorePath> = targets.iter().chain(self.done.keys()).collect();
        let collected: Vec<(DerivationFacts, Vec<claims::Claims>)> = subjects
            .into_par_iter()
            .map(|drv_path| self.derivation(drv_path, targets.contains(drv_path), answers, sources))
            .collect();
        for (facts, claims) in collected {
            rebuild.derivations.push(facts);
            for claims in claims {
                rebuild.findings.extend(claims.findings);
                rebuild.unanswered.extend(claims.unanswered);
            }
        }
        rebuild.derivations.sort_by(|a, b| (a.role, &a.drv_path).cmp(&(b.role, &b.drv_path)));
        rebuild.inputs = self.inputs();
        rebuild.findings.extend(self.done.values().filter_map(|done| done.finding.clone()));
        rebuild.findings.extend(answers.findings());
        let (unanswered, remarks) = answers.silences();
        rebuild.unanswered.extend(unanswered);
        rebuild.remarks.extend(remarks);
        rebuild.remarks.sort();
        rebuild.remarks.dedup();
        rebuild.sandbox = self.sandbox();
        rebuild
    }

    fn derivation(
        &self,
        drv_path: &StorePath,
        target: bool,
        answers: &Answers<'_>,
        sources: &Sources,
    ) -> (DerivationFacts, Vec<claims::Claims>) {
        let derivation = self.graph.get(drv_path);
        let checked = self.graph.usable(drv_path).map(|(_, checked)| checked);
        let done = self.done.get(drv_path);
        let floating = derivation.is_some_and(|derivation| derivation.kind() == Kind::FloatingCa);
        let mut production = done.map(|done| done.production.clone());
        let mut outputs = Vec::new();
        let mut collected = Vec::new();
        for name in derivation.into_iter().flat_map(|derivation| derivation.outputs.keys()) {
            let planned = checked.and_then(|checked| checked.outputs.get(name).cloned().flatten());
            let built = done.and_then(|done| done.outputs.get(name));
            let path = built.map(|built| built.path.clone()).or(planned);
            let mut ours = built.map(|built| Contents {
                nar_hash: built.nar_hash,
                nar_size: built.nar_size,
                references: built.references.clone(),
            });
            let mut ca = built.and_then(|built| built.ca.as_ref().map(ToString::to_string));
            if production.is_none() || matches!(production, Some(Production::Obtained { .. })) {
                // A fixed output, got by its hash.
                let (got, contents, address) = self.obtained(path.as_ref());
                production = Some(got);
                ours = contents;
                ca = address;
            }
            let id = checked
                .filter(|_| floating)
                .and_then(|checked| DrvOutput::new(checked.modulo?, name).ok());
            let mut claims = claims::collect(
                path.as_ref(),
                id.as_ref(),
                answers,
                &sources.keys,
                sources.local.as_deref(),
            );
            let mut about = std::mem::take(&mut claims.claims);
            if let (Some(built), Some(ours)) = (built, &ours) {
                differing::name_files(&mut about, ours, &built.host_path, answers, self.state);
            }
            outputs.push(OutputFacts { name: name.clone(), path, ours, ca, claims: about });
            collected.push(claims);
        }
        let facts = DerivationFacts {
            drv_path: drv_path.clone(),
            system: derivation
                .map(|derivation| String::from_utf8_lossy(&derivation.platform).into_owned())
                .unwrap_or_default(),
            role: if target { Role::Target } else { Role::Input },
            basis: derivation.map(basis).unwrap_or_default(),
            built_on: done.map(|done| self.rebuilt(&done.inputs)).unwrap_or_default(),
            production: production.unwrap_or_else(|| Production::Missing {
                reason: Reason::DerivationMissing,
                detail: "its derivation could not be used".to_owned(),
                tail: Vec::new(),
            }),
            outputs,
        };
        (facts, collected)
    }

    /// Those of `inputs` that were built in this run.
    fn rebuilt(&self, inputs: &BTreeSet<StorePath>) -> BTreeSet<StorePath> {
        let rebuilt = |path: &&StorePath| {
            let object = self.objects.get(*path);
            object.is_some_and(|object| matches!(object.origin, Origin::Rebuilt { .. }))
        };
        inputs.iter().filter(rebuilt).cloned().collect()
    }

    /// A fixed output that was got instead of built.
    fn obtained(&self, path: Option<&StorePath>) -> (Production, Option<Contents>, Option<String>) {
        let object = path.and_then(|path| self.objects.get(path));
        match object {
            Some(object) => {
                let ca = object.input.ca.as_ref().map(ToString::to_string);
                (
                    Production::Obtained { origin: object.origin.clone() },
                    Some(object.contents()),
                    ca,
                )
            }
            None => {
                let lack = path.and_then(|path| self.gathered.plan.lacking.get(path));
                let (reason, detail) = lack.map_or_else(
                    || (Reason::InputMissing, "it could not be had".to_owned()),
                    |lack| (lack.reason, lack.detail.clone()),
                );
                (Production::Missing { reason, detail, tail: Vec::new() }, None, None)
            }
        }
    }

    /// The objects that builds could read.
    fn inputs(&self) -> Vec<InputFacts> {
        let used: BTreeSet<&StorePath> = self.done.values().flat_map(|done| &done.inputs).collect();
        used.into_iter()
            .filter_map(|path| {
                let object = self.objects.get(path)?;
                Some(InputFacts {
                    path: path.clone(),
                    contents: object.contents(),
                    origin: object.origin.clone(),
                })
            })
            .collect()
    }

    /// The sandbox, as the builds found it.
    fn sandbox(&self) -> SandboxFacts {
        let surroundings = self.done.values().filter_map(|done| done.surroundings.as_ref());
        let ownership =
            surroundings.clone().next().map(|found| ownership(found.root_kind)).unwrap_or_default();
        let differences: BTreeSet<String> =
            surroundings.flat_map(|found| found.differences.iter().cloned()).collect();
        SandboxFacts { ownership, shell: None, differences: differences.into_iter().collect() }
    }
}

/// How files are kept apart from the builder, in words.
fn ownership(kind: RootKind) -> String {
    match kind {
        RootKind::HostRoot => "started by root: inputs belong to another user than the builder, as under the Nix daemon",
        RootKind::SubIds => "started by an ordinary user with subordinate ids: inputs belong to another user than the builder, as under the Nix daemon",
        RootKind::SingleId => "started by an ordinary user without subordinate ids: everything belongs to the builder, inputs are mounted read-only",
    }
    .to_owned()
}

/// What is otherwise in other worlds than `world`.
fn other_worlds(world: World) -> Vec<WorldFact> {
    let others: Vec<World> = World::names().into_iter().filter_map(World::by_name).collect();
    let otherwise = |fact: &str, here: bool| {
        let differs = |other: &&World| other.facts().any(|found| found == (fact, !here));
        others.iter().filter(differs).map(|other| other.name.to_owned()).collect::<Vec<_>>()
    };
    world
        .facts()
        .map(|(fact, here)| WorldFact {
            fact: fact.to_owned(),
            here,
            otherwise_in: otherwise(fact, here),
        })
        .filter(|fact| !fact.otherwise_in.is_empty())
        .collect()
}

/// What the outputs of a derivation are judged by.
fn basis(derivation: &Derivation) -> Basis {
    match derivation.kind() {
        Kind::Fixed => Basis::Fixed,
        Kind::FloatingCa => Basis::Realisations,
        Kind::InputAddressed | Kind::Deferred | Kind::Impure => Basis::Claims,
    }
}

/// What only this run can say: logs, times, kept directories.
fn run_facts(done: &BTreeMap<StorePath, Done>, executor: &str) -> Map<String, Value> {
    let builds: Map<String, Value> = done
        .iter()
        .map(|(drv_path, done)| {
            let facts = json!({
                "log": done.run.log.as_ref().map(|path| path.to_string_lossy()),
                "milliseconds": done.run.duration.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
                "kept": done.run.kept.as_ref().map(|path| path.to_string_lossy()),
            });
            (drv_path.to_string(), facts)
        })
        .collect();
    let mut run = Map::new();
    run.insert("executor".to_owned(), executor.into());
    run.insert("builds".to_owned(), builds.into());
    run
}
