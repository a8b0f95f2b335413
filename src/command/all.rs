//! `verify all`: lock, caches, bills of materials, policy and, if asked for, a
//! rebuild of one project, each with its own report, and one verdict.
//!
//! Each part is the command of its name, run as it would run by itself. One
//! that fails does not keep the others from their work.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Parser as _};

use super::cli::{Cli, Command, EXIT_CODES};
use super::deliver::{self, show};
use super::options::{KeyOptions, OutputOptions, SourceOptions, WorkOptions};
use super::policy::{AgainstOptions, PolicyOptions, advisories, materials, policies, setting};
use super::sbom::make::ScopeName;
use super::time::Timestamp;
use super::{Environment, ToolError, cache, lock, rebuild, sbom};
use crate::check::{Coverage, Examination, Inconclusive, NotRun, Reason};
use crate::gather::named::input;
use crate::nix::json::MAX_LEN;
use crate::policy::file::Scope;
use crate::policy::{Judgement, Material, judge};
use crate::report::all::{Part, all};
use crate::report::{Exit, Progress, Report, Trouble, View};
use crate::state::atomic;

/// Where reports go if nobody says otherwise.
const REPORT_DIR: &str = "verify-reports";

/// The bill of materials that is made, beside the reports.
const BILL: &str = "bill.cdx.json";

/// Parts whose reports prove something about what is in a bill.
const PROVING: [&str; 3] = ["lock", "cache", "rebuild"];

/// The bill of what is needed at run time.
const RUNTIME_BILL: &str = "runtime-bill.cdx.json";

/// The file that says what is pinned.
const LOCK: &str = "flake.lock";

/// The file that says what there is.
const FLAKE: &str = "flake.nix";

const EXAMPLES: &str = "\
Examples:
  Everything about this project, with the policy it keeps:
    verify all . --policy policies/baseline.toml
  As a merge request sees it, rebuilt too:
    verify all . --base origin/main --rebuild --report-dir out --format markdown
  What two attributes of it need, from a cache of one's own:
    verify all . --installable .#app --installable .#doc --cache https://cache.example.org \\
      --trusted-key ci-1:BASE64
";

/// What `verify all` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = format!("{EXAMPLES}\n{EXIT_CODES}"))]
pub struct AllArgs {
    /// The project: a directory with a flake.nix or a flake.lock
    #[arg(value_name = "FLAKE-OR-DIR", default_value = ".")]
    pub project: PathBuf,
    /// What of it is asked about; may be repeated [default: the project's own
    /// default package]
    #[arg(long = "installable", value_name = "INSTALLABLE", help_heading = "What is judged")]
    pub installables: Vec<OsString>,
    /// A policy that everything has to meet (docs/policies.md); may be repeated
    #[arg(long = "policy", value_name = "FILE", help_heading = "What is judged")]
    pub policies: Vec<PathBuf>,
    /// What the policies hold everything against.
    #[command(flatten)]
    pub against: AgainstOptions,
    /// The lock before the change: a git revision of the repository the lock
    /// lies in, or a file
    #[arg(long, value_name = "REV|FILE", help_heading = "What is judged")]
    pub base: Option<String>,
    /// A clone of an input's repository, or a directory of clones, to hold the
    /// lock against (narHash recomputed, revision on its branch, date);
    /// SOURCE=DIR says whose clone it is; may be repeated
    #[arg(long = "mirror", value_name = "[SOURCE=]DIR", help_heading = "What is judged")]
    pub mirrors: Vec<String>,
    /// A bill of materials of it, to be checked and held against the policies;
    /// may be repeated
    #[arg(long = "sbom", value_name = "FILE", help_heading = "What is judged")]
    pub sboms: Vec<PathBuf>,
    /// Also build it again, with all it builds on
    #[arg(long, help_heading = "What is judged")]
    pub rebuild: bool,
    /// Read the NARs, and the objects of the local store: hash, size, format and references
    #[arg(long, help_heading = "What is judged")]
    pub contents: bool,
    /// Where the report of each part goes
    #[arg(long, value_name = "DIR", default_value = REPORT_DIR, help_heading = "Report")]
    pub report_dir: PathBuf,
    /// Where claims and inputs come from.
    #[command(flatten)]
    pub sources: SourceOptions,
    /// Whose signatures count.
    #[command(flatten)]
    pub keys: KeyOptions,
    /// Where work is kept.
    #[command(flatten)]
    pub work: WorkOptions,
    /// How the report over all is written.
    #[command(flatten)]
    pub output: OutputOptions,
}

/// Runs every part.
///
/// # Errors
/// A project that is none, policies that make no sense, and reports that
/// cannot be written.
pub fn run(
    args: &AllArgs,
    environment: &Environment,
    progress: &Progress,
) -> Result<Report, ToolError> {
    let directory = environment.absolute(&args.project);
    let flake = has(&directory, FLAKE)?;
    let locked = has(&directory, LOCK)?;
    if flake.is_none() && locked.is_none() {
        return Err(ToolError::Usage(format!(
            "'{}' is no project: it has neither {FLAKE} nor {LOCK}",
            show(&args.project)
        )));
    }
    if args.rebuild && flake.is_none() && args.installables.is_empty() {
        return Err(ToolError::Usage(format!(
            "--rebuild: there is no {FLAKE}: name what is to be built with --installable"
        )));
    }
    args.against.need(&args.policies)?;
    let policies = policies(&args.policies, environment)?;
    let baselines = materials(&args.against.baselines, environment)?;
    let advisories = advisories(&args.against, environment)?;
    let reports = environment.absolute(&args.report_dir);
    atomic::make_directory(&reports).map_err(|error| {
        ToolError::failed(format!("make the directory '{}'", show(&args.report_dir)), error)
    })?;
    let mut run =
        Run { args, environment, parts: Vec::new(), materials: Vec::new(), left_out: Vec::new() };
    // A flake that speaks of no inputs has nothing to lock.
    let speaks_of_inputs =
        flake.as_deref().is_some_and(|text| String::from_utf8_lossy(text).contains("inputs"));
    if locked.is_some() {
        run.part("lock", || lock::run(&lock_args(args)?, environment, progress))?;
    } else if speaks_of_inputs {
        run.parts.push(Part { name: "lock", outcome: Ok(unlocked(args)), file: None });
    } else {
        run.leave_out("lock", "the flake has no inputs and no flake.lock");
    }
    if flake.is_some() || !args.installables.is_empty() {
        run.part("cache", || cache::run(&cache_args(args)?, environment, progress))?;
        if args.rebuild {
            run.part("rebuild", || rebuild(args, environment, progress))?;
        } else {
            run.leave_out("rebuild", "--rebuild");
        }
        run.export("sbom export", BILL, ScopeName::Build, progress)?;
        // Most rules about components are about those that run.
        let mut rules = policies.iter().flat_map(|policy| &policy.rules);
        if rules.any(|rule| rule.scope == Scope::Runtime) {
            run.export("sbom export runtime", RUNTIME_BILL, ScopeName::Runtime, progress)?;
        }
    } else {
        run.leave_out(
            "cache",
            "there is no flake.nix: name what is asked about with --installable",
        );
        run.leave_out(
            "rebuild",
            "there is no flake.nix: name what is asked about with --installable",
        );
        run.leave_out(
            "sbom export",
            "there is no flake.nix: name what is asked about with --installable",
        );
    }
    if args.sboms.is_empty() {
        run.leave_out("sbom check", "--sbom FILE");
    } else {
        let mut bills = Vec::new();
        run.part("sbom check", || {
            let (read, report) = sbom::check::run(&sbom_args(args), environment)?;
            bills = read;
            Ok(report)
        })?;
        run.materials.extend(bills.iter().map(|(name, bytes)| Material::read(name, bytes)));
    }
    if policies.is_empty() {
        run.leave_out("policy", "--policy FILE");
    } else {
        let now = args.output.now.unwrap_or_else(|| Timestamp::from(environment.now)).seconds();
        let setting = setting(now, &baselines, advisories.as_ref());
        let materials = std::mem::take(&mut run.materials);
        let judgement = judge(&policies, &materials, &setting);
        run.parts.push(Part { name: "policy", outcome: Ok(judged(judgement)), file: None });
    }
    Ok(all(run.parts, run.left_out, &policies, args.output.fail_on.into()))
}

/// A file of the project, if it is there.
fn has(directory: &Path, name: &str) -> Result<Option<Vec<u8>>, ToolError> {
    match input::read(&directory.join(name), MAX_LEN) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ToolError::failed("look at the project", error)),
    }
}

/// What policies say, as a part among others.
fn judged(judgement: Judgement) -> Report {
    Report::from(Examination {
        command: "policy",
        subjects: judgement.subjects(),
        facts: serde_json::Value::Null,
        findings: judgement.findings,
        coverage: judgement.coverage,
    })
    .with_view(View { noun: Some(("rule", "rules")), ..View::default() })
}

/// What is said of a flake that may have inputs and has no lock.
fn unlocked(args: &AllArgs) -> Report {
    let open = Inconclusive {
        subject: show(&args.project.join(LOCK)),
        check: "lock".to_owned(),
        reason: Reason::InputMissing,
        detail: format!("{FLAKE} speaks of inputs, and there is no {LOCK} that pins them"),
    };
    let coverage = Coverage { asked: 1, inconclusive: vec![open], ..Coverage::default() };
    Report::from(Examination {
        command: "lock",
        subjects: Vec::new(),
        facts: serde_json::Value::Null,
        findings: Vec::new(),
        coverage,
    })
}

/// The parts as they are run.
struct Run<'a> {
    args: &'a AllArgs,
    environment: &'a Environment,
    parts: Vec<Part>,
    /// Their reports, for policies.
    materials: Vec<Material>,
    left_out: Vec<NotRun>,
}

impl Run<'_> {
    /// Makes a bill of materials, with what the parts before have found; it is
    /// judged by policies as others are.
    fn export(
        &mut self,
        part: &'static str,
        file: &str,
        scope: ScopeName,
        progress: &Progress,
    ) -> Result<(), ToolError> {
        let (args, environment) = (self.args, self.environment);
        let found = self.parts.iter().filter(|part| PROVING.contains(&part.name));
        let found = found.filter(|part| part.file.is_some());
        let evidence: Vec<PathBuf> =
            found.map(|part| args.report_dir.join(file_name(part.name))).collect();
        let mut bill = None;
        self.part(part, || {
            let mut export = export_args(args, evidence)?;
            export.bill.scope = Some(scope);
            let (made, report) = sbom::export::run(&export, environment, progress)?;
            bill = Some(made);
            Ok(report)
        })?;
        // What could not be made has said so; an older one is no answer for it.
        let Some(mut bill) = bill else { return Ok(()) };
        let bytes = bill.bytes()?;
        let file = args.report_dir.join(file);
        atomic::write_output(&environment.absolute(&file), bytes).map_err(|error| {
            ToolError::failed(format!("write the bill of materials to '{}'", show(&file)), error)
        })?;
        self.materials.push(Material::read(&show(&file), bytes));
        Ok(())
    }

    fn leave_out(&mut self, part: &str, because: &str) {
        self.left_out.push(NotRun { check: part.to_owned(), because: because.to_owned() });
    }

    /// Runs a part and writes its report.
    fn part(
        &mut self,
        name: &'static str,
        command: impl FnOnce() -> Result<Report, ToolError>,
    ) -> Result<(), ToolError> {
        let mut report = match command() {
            Ok(report) => report,
            Err(error) => {
                let mut trouble = Trouble::from_error(&error);
                trouble.message = format!("{name}: {}", trouble.message);
                self.parts.push(Part { name, outcome: Err(trouble), file: None });
                return Ok(());
            }
        };
        let file = self.args.report_dir.join(file_name(name));
        let failed =
            |error| ToolError::failed(format!("write the report to '{}'", show(&file)), error);
        let output = &self.args.output;
        let frame = (!output.reproducible).then(|| deliver::frame(output, self.environment));
        let bytes =
            deliver::json_text(&mut report, output.fail_on.into(), frame).map_err(failed)?;
        atomic::write_output(&self.environment.absolute(&file), &bytes).map_err(failed)?;
        // What policies can speak about.
        if PROVING.contains(&name) {
            self.materials.push(Material::read(&show(&file), &bytes));
        }
        self.parts.push(Part { name, outcome: Ok(report), file: Some(show(&file)) });
        Ok(())
    }
}

/// The file that keeps the report of a part.
fn file_name(part: &str) -> String {
    format!("{}.json", part.replace(' ', "-"))
}

/// The arguments of a command as it takes them by default.
fn defaults(words: &[&str]) -> Result<Command, ToolError> {
    let words = [&["verify"], words].concat();
    match Cli::try_parse_from(words) {
        Ok(cli) => Ok(cli.command),
        Err(error) => Err(ToolError::failed("take the default options of a part", error)),
    }
}

fn no_such_command() -> ToolError {
    ToolError::Usage("a part is no command of this program".to_owned())
}

fn lock_args(args: &AllArgs) -> Result<super::cli::LockArgs, ToolError> {
    let Command::Lock(mut lock) = defaults(&["lock"])? else { return Err(no_such_command()) };
    lock.path = Some(args.project.join(LOCK));
    lock.base.clone_from(&args.base);
    lock.mirrors.clone_from(&args.mirrors);
    lock.output = args.output.clone();
    Ok(*lock)
}

fn cache_args(args: &AllArgs) -> Result<super::cli::CacheArgs, ToolError> {
    let Command::Cache(mut cache) = defaults(&["cache"])? else { return Err(no_such_command()) };
    cache.targets = targets(args);
    cache.closure = true;
    cache.contents = args.contents;
    cache.jobs = args.work.jobs;
    cache.sources = args.sources.clone();
    cache.keys = args.keys.clone();
    cache.output = args.output.clone();
    Ok(*cache)
}

fn export_args(
    args: &AllArgs,
    evidence: Vec<PathBuf>,
) -> Result<sbom::export::ExportArgs, ToolError> {
    let Command::Sbom(sbom) = defaults(&["sbom", "export", "TARGET"])? else {
        return Err(no_such_command());
    };
    let sbom::SbomCommand::Export(mut export) = sbom.command else {
        return Err(no_such_command());
    };
    export.bill.targets = targets(args);
    export.bill.evidence = evidence;
    export.bill.contents = args.contents;
    export.bill.jobs = args.work.jobs;
    export.bill.sources = args.sources.clone();
    export.bill.keys = args.keys.clone();
    Ok(*export)
}

fn sbom_args(args: &AllArgs) -> sbom::CheckArgs {
    let (files, output) = (args.sboms.clone(), args.output.clone());
    sbom::CheckArgs { files, profiles: Vec::new(), policy: PolicyOptions::default(), output }
}

fn rebuild(
    args: &AllArgs,
    environment: &Environment,
    progress: &Progress,
) -> Result<Report, ToolError> {
    let Command::Rebuild(mut rebuild) = defaults(&["rebuild", "TARGET"])? else {
        return Err(no_such_command());
    };
    rebuild.targets = targets(args);
    rebuild.closure = true;
    rebuild.sources = args.sources.clone();
    rebuild.keys = args.keys.clone();
    rebuild.work = args.work.clone();
    rebuild.output = args.output.clone();
    let mut record = None;
    let report = rebuild::run(&rebuild, environment, progress, &mut record)?;
    rebuild::end(record, Exit::of(&report, args.output.fail_on.into()))?;
    Ok(report)
}

/// What is asked about: what is named, or the project itself.
fn targets(args: &AllArgs) -> Vec<OsString> {
    if !args.installables.is_empty() {
        return args.installables.clone();
    }
    // A path with a slash, so that it is not taken for the name of a registry.
    let path = args.project.as_os_str();
    match path.to_str() {
        Some(text) if !text.contains('/') && !text.starts_with('.') => {
            vec![Path::new(".").join(text).into_os_string()]
        }
        _ => vec![path.to_owned()],
    }
}
