//! `verify gate`: may this be activated? Evidence and policy, before it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::attest::{TrustOptions, lines};
use super::cli::EXIT_CODES;
use super::deliver::show;
use super::options::OutputOptions;
use super::policy::{AgainstOptions, advisories, materials, policies, setting};
use super::time::Timestamp;
use super::{Environment, ToolError};
use crate::attest::bill::Bill;
use crate::attest::canonical;
use crate::attest::gate::{Member, Passage, material, passages};
use crate::attest::judge::{Judgement as Envelopes, SIGNED, envelopes};
use crate::attest::material::Material as Report;
use crate::attest::pool::{Pool, Trust};
use crate::attest::rebuild::{ObjectPath, Rebuild};
use crate::attest::statement::Digest;
use crate::check::attest::FOREIGN_EVIDENCE;
use crate::check::cache::rules::{MALFORMED_REGISTRATION, MISSING_PATH, MODIFIED_PATH};
use crate::check::{Coverage, Finding, Inconclusive, NotRun, Reason};
use crate::gather::named::files::{Named, look_at, plain_files};
use crate::gather::named::input;
use crate::gather::nar::tree::TreeError;
use crate::gather::store::closure::{LocalClosure, content};
use crate::gather::store::local::LocalStore;
use crate::nix::json::MAX_LEN;
use crate::nix::store_path::{StoreDir, StorePath};
use crate::policy::file::Scope;
use crate::policy::subject::Field;
use crate::policy::{Material, Policy, judge};
use crate::report::gate::{EVIDENCE, EvidenceFile, Gate};
use crate::report::progress::Unit;
use crate::report::{self, Progress};

/// Most files of evidence: a directory with one for each package.
const MAX_FILES: usize = 100_000;

/// The one witness that all unsigned reports together are.
const UNSIGNED: &str = "unsigned reports";

/// The check that objects are what the store's database says.
const CONTENTS: &str = "contents of the store";

const EXAMPLES: &str = "\
Examples:
  Is every path of this system attested by a builder I trust?
    verify gate /run/current-system --evidence ./attestations --trusted-key ci-1:BASE64
  What a policy asks for, before a profile is activated:
    verify gate ./result --policy deployed.toml --evidence ./attestations \\
      --operators operators.toml --min-agree 2 --format json --output gate.json
  With the bytes on this disk, and a report of this machine's own:
    verify gate ./result --contents --evidence rebuild.json --trust-reports
";

/// What `verify gate` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = format!("{EXAMPLES}\n{EXIT_CODES}\nOnly 0 lets anything pass. Without a policy, every path of the closure needs evidence."))]
pub struct GateArgs {
    /// What is to be activated: a store path, a profile, a link into the store
    #[arg(value_name = "TARGET")]
    pub target: PathBuf,
    /// A policy that everything has to meet (docs/policies.md); may be repeated
    #[arg(long = "policy", value_name = "FILE", help_heading = "Evidence and policy")]
    pub policies: Vec<PathBuf>,
    /// Attestations, reports, bills of materials, or a directory of such; may be
    /// repeated
    #[arg(long = "evidence", value_name = "FILE|DIR", help_heading = "Evidence and policy")]
    pub evidence: Vec<PathBuf>,
    /// Also rely on reports and bills of materials that nobody has signed; all
    /// of them together are one witness
    #[arg(long, help_heading = "Evidence and policy")]
    pub trust_reports: bool,
    /// Read the NARs, and the objects of the local store: hash, size, format and references
    #[arg(long, help_heading = "Evidence and policy")]
    pub contents: bool,
    /// What the policies hold the closure against.
    #[command(flatten)]
    pub against: AgainstOptions,
    /// Also read the local Nix store, read-only; ROOT for a chroot store
    #[arg(
        long, value_name = "ROOT", num_args = 0..=1, require_equals = true,
        help_heading = "Sources and trust"
    )]
    pub local_store: Option<Option<PathBuf>>,
    /// Whose attestations count, and how many of them.
    #[command(flatten)]
    pub trust: TrustOptions,
    /// How the report is written.
    #[command(flatten)]
    pub output: OutputOptions,
}

/// Judges a target.
///
/// # Errors
/// A target that is none, files that cannot be read, policies that make no
/// sense.
pub fn run(
    args: &GateArgs,
    environment: &Environment,
    progress: &Progress,
) -> Result<report::Report, ToolError> {
    let store_dir = StoreDir::default();
    let target = target(&args.target, environment, &store_dir)?;
    let (operators, keys) = args.trust.open(environment)?;
    let trust = Trust { keys: &keys, operators: &operators };
    let witnesses = trust.witnesses().saturating_add(usize::from(args.trust_reports));
    let min_agree = args.trust.min_agree(witnesses)?;
    args.against.need(&args.policies)?;
    let policies = policies(&args.policies, environment)?;
    let baselines = materials(&args.against.baselines, environment)?;
    let advisories = advisories(&args.against, environment)?;
    let evidence = Evidence::read(args, environment)?;
    let root = args.local_store.iter().flatten().next().map(|root| environment.absolute(root));
    let store = LocalStore::open(root.as_deref(), &store_dir)
        .map(Arc::new)
        .map_err(|error| ToolError::failed("open the local store", error))?;
    let closure = LocalClosure::of(&store, &target)
        .map_err(|error| ToolError::failed("read the closure", error))?;

    let mut findings = Vec::new();
    let mut coverage = Coverage::default();
    let pool = evidence.pool(trust, args.trust_reports, &mut findings, &mut coverage)?;
    registered(&closure, &store_dir, &mut findings, &mut coverage);
    if args.contents {
        let phase = progress.phase("reading contents", Unit::Items, None);
        contents(&closure, &store, &store_dir, &mut findings, &mut coverage);
        drop(phase);
    } else {
        coverage
            .not_run
            .push(NotRun { check: CONTENTS.to_owned(), because: "--contents".to_owned() });
    }
    let members: Vec<Member> = closure
        .known
        .values()
        .map(|known| {
            Member::new(&store_dir, &known.info, known.ca.as_ref(), known.info.path == target)
        })
        .collect();
    let target = ObjectPath { dir: store_dir, path: target };
    let target_hash = members.iter().find(|one| one.is_target).map(|one| one.nar_hash);
    let passages = passages(&pool, &members, min_agree);
    let judgement = if policies.is_empty() {
        None
    } else {
        let mut materials = vec![material(&target, &passages)];
        materials.extend(evidence.materials(&pool, args.trust_reports));
        findings
            .extend(materials.iter().skip(1).filter_map(|one| foreign(one, &target, &passages)));
        if !speaks_of_target(&policies) {
            coverage.asked += 1;
            coverage.inconclusive.push(Inconclusive {
                subject: target.to_string(),
                check: "policy".to_owned(),
                reason: Reason::NothingExamined,
                detail: "no rule of the policies speaks of what is to be activated (scope rebuild, runtime or build)".to_owned(),
            });
        }
        let now = args.output.now.unwrap_or_else(|| Timestamp::from(environment.now)).seconds();
        let setting = setting(now, &baselines, advisories.as_ref());
        Some(judge(&policies, &materials, &setting))
    };
    Ok(report::gate::gate(Gate {
        target: &target,
        target_hash,
        store: store.root().display().to_string(),
        min_agree,
        passages,
        pool: &pool,
        materials: evidence.files(),
        policies: &policies,
        judgement,
        findings,
        coverage,
        fail_on: args.output.fail_on.into(),
    }))
}

/// The store object that a name leads to.
fn target(
    named: &Path,
    environment: &Environment,
    store_dir: &StoreDir,
) -> Result<StorePath, ToolError> {
    if let Some(path) = named.to_str().and_then(|text| store_dir.parse(text).ok()) {
        return Ok(path);
    }
    match look_at(&environment.absolute(named), store_dir) {
        Named::InStore(path) => Ok(path),
        _ => Err(ToolError::Usage(format!(
            "'{}' is nothing to activate (expected a store path, a profile or a link into the store)",
            show(named)
        ))),
    }
}

/// Whether any rule is about what lies in the closure.
fn speaks_of_target(policies: &[Policy]) -> bool {
    policies
        .iter()
        .flat_map(|policy| &policy.rules)
        .any(|rule| matches!(rule.scope, Scope::Rebuild | Scope::Runtime | Scope::Build))
}

/// What is wrong with the closure as the store knows it.
fn registered(
    closure: &LocalClosure,
    store_dir: &StoreDir,
    findings: &mut Vec<Finding>,
    coverage: &mut Coverage,
) {
    for path in &closure.missing {
        coverage.asked += 1;
        coverage.answered += 1;
        let message = "it is needed, and the store's database does not know it";
        findings.push(Finding::new(&MISSING_PATH, store_dir.full(path), message));
    }
    for (path, why) in &closure.bad {
        coverage.asked += 1;
        coverage.answered += 1;
        findings.push(Finding::new(&MALFORMED_REGISTRATION, store_dir.full(path), why.as_str()));
    }
    if closure.cut {
        coverage.asked += 1;
        coverage.inconclusive.push(Inconclusive {
            subject: "closure".to_owned(),
            check: EVIDENCE.to_owned(),
            reason: Reason::TooLarge,
            detail: format!(
                "it has more than {} paths",
                crate::gather::store::closure::MAX_CLOSURE
            ),
        });
    }
}

/// Hashes what really lies there.
fn contents(
    closure: &LocalClosure,
    store: &LocalStore,
    store_dir: &StoreDir,
    findings: &mut Vec<Finding>,
    coverage: &mut Coverage,
) {
    use rayon::prelude::*;
    let known: Vec<_> = closure.known.iter().collect();
    let read: Vec<(&StorePath, Result<_, TreeError>)> =
        known.par_iter().map(|(path, _)| (*path, content(store, path))).collect();
    for ((_, info), (path, found)) in known.iter().zip(read) {
        coverage.asked += 1;
        let subject = store_dir.full(path);
        match found {
            Ok(found) if found == (info.info.nar_hash, info.info.nar_size) => {
                coverage.answered += 1
            }
            Ok((hash, size)) => {
                coverage.answered += 1;
                findings.push(
                    Finding::new(
                        &MODIFIED_PATH,
                        subject,
                        "it is not what the store's database says",
                    )
                    .with(
                        "registered",
                        format!("{} ({} bytes)", info.info.nar_hash, info.info.nar_size),
                    )
                    .with("found", format!("{hash} ({size} bytes)")),
                );
            }
            Err(error) => coverage.inconclusive.push(Inconclusive {
                subject,
                check: CONTENTS.to_owned(),
                reason: Reason::Unreachable,
                detail: error.to_string(),
            }),
        }
    }
}

/// Whether a report or bill is about something else.
fn foreign(material: &Material, target: &ObjectPath, passages: &[Passage]) -> Option<Finding> {
    let wrong = |message: String| Some(Finding::new(&FOREIGN_EVIDENCE, &material.name, message));
    let bill = material.scopes.iter().any(|scope| matches!(scope, Scope::Runtime | Scope::Build));
    if bill {
        let of_target = passages.iter().find(|one| one.member.is_target)?;
        let expected = of_target.member.nar_hash.hash().sri();
        let stated = material.whole.as_ref().and_then(|whole| whole.as_text(Field::NarHash).ok());
        return match stated {
            Some(found) if found == expected => None,
            Some(found) => wrong(format!("it describes {found}, and {target} is {expected}")),
            None => wrong(format!("it does not say that it describes {target} ({expected})")),
        };
    }
    if material.scopes.contains(&Scope::Cache) {
        let spoken: BTreeMap<&str, &str> = material
            .things
            .iter()
            .filter_map(|one| Some((one.id.as_str(), one.as_text(Field::NarHash).ok()?)))
            .collect();
        let mut others = passages.iter().filter(|one| {
            let hash = one.member.nar_hash.hash().sri();
            spoken.get(one.member.path.to_string().as_str()) != Some(&hash.as_str())
        });
        if let Some(first) = others.next() {
            let more = others.count();
            return wrong(format!(
                "it does not speak of {} with the content that lies here, nor of {more} other paths",
                first.member.path
            ));
        }
    }
    None
}

/// The evidence as it lies there.
struct Evidence {
    files: Vec<(String, Vec<u8>, What)>,
}

/// What a file of evidence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// Envelopes, one a line.
    Envelopes,
    /// A report of `verify rebuild`.
    Rebuild,
    /// Another report, or a bill of materials.
    Other,
}

impl Evidence {
    /// Reads files, and what lies in directories.
    fn read(args: &GateArgs, environment: &Environment) -> Result<Self, ToolError> {
        let mut files = Vec::new();
        for named in &args.evidence {
            let failed =
                |error| ToolError::failed(format!("look for evidence in '{}'", show(named)), error);
            let found = plain_files(&environment.absolute(named), MAX_FILES).map_err(failed)?;
            for path in found {
                let name = show(path.strip_prefix(&environment.directory).unwrap_or(&path));
                let bytes = input::read(&path, MAX_LEN)
                    .map_err(|error| ToolError::failed("read evidence", error))?;
                if bytes.len() > MAX_LEN {
                    let most = MAX_LEN >> 20;
                    return Err(ToolError::Usage(format!("'{name}' is longer than {most} MiB")));
                }
                let what = tell(&bytes);
                files.push((name, bytes, what));
            }
        }
        Ok(Self { files })
    }

    /// What attestations say, and reports if they count.
    fn pool(
        &self,
        trust: Trust<'_>,
        trust_reports: bool,
        findings: &mut Vec<Finding>,
        coverage: &mut Coverage,
    ) -> Result<Pool, ToolError> {
        let envelopes_only = self.files.iter().filter(|(_, _, what)| *what == What::Envelopes);
        let files = envelopes_only.map(|(name, bytes, _)| (name.as_str(), bytes.as_slice()));
        let mut pool = Pool::collect(lines(files)?, trust);
        // What nobody trusted has signed says nothing, for or against.
        let mut judged = Envelopes::default();
        envelopes(&pool, false, &mut judged);
        findings.extend(judged.findings);
        coverage.asked += judged.coverage.asked;
        coverage.answered += judged.coverage.answered;
        for (name, bytes, what) in &self.files {
            if *what == What::Envelopes {
                continue;
            }
            if !trust_reports {
                coverage.asked += 1;
                coverage.inconclusive.push(Inconclusive {
                    subject: name.clone(),
                    check: SIGNED.to_owned(),
                    reason: Reason::NoReference,
                    detail: "nobody has signed it (attest it, or say --trust-reports)".to_owned(),
                });
            } else if *what == What::Rebuild {
                let rebuild = Report::parse(bytes).and_then(|report| Rebuild::of(&report));
                let rebuild = rebuild
                    .map_err(|error| ToolError::failed(format!("rely on '{name}'"), error))?;
                pool.add_report(name, &rebuild, UNSIGNED);
            }
        }
        Ok(pool)
    }

    /// What policies judge beside the closure.
    fn materials(&self, pool: &Pool, trust_reports: bool) -> Vec<Material> {
        let unsigned =
            self.files.iter().filter(|(_, _, what)| trust_reports && *what == What::Other);
        let unsigned = unsigned.map(|(name, bytes, _)| Material::read(name, bytes));
        let signed = pool.bills.iter().map(|(place, text)| Material::read(place, text.as_bytes()));
        unsigned.chain(signed).collect()
    }

    /// What there is, for the report.
    fn files(&self) -> Vec<EvidenceFile> {
        let files = self.files.iter().map(|(name, bytes, what)| EvidenceFile {
            file: name.clone(),
            sha256: Digest::of(bytes).to_string(),
            kind: match what {
                What::Envelopes => "attestations",
                What::Rebuild => "rebuild report",
                What::Other => "report or bill of materials",
            }
            .to_owned(),
        });
        files.collect()
    }
}

/// What a file of evidence is. What is not one JSON text is taken for
/// envelopes, and judged as such.
fn tell(bytes: &[u8]) -> What {
    match canonical::read_once(bytes) {
        Ok(value) if value.get("payload").is_some() => What::Envelopes,
        Ok(value)
            if Report::is_report(&value)
                && value.get("command").is_some_and(|one| one == "rebuild") =>
        {
            What::Rebuild
        }
        Ok(value) if Report::is_report(&value) || Bill::is_bill(&value) => What::Other,
        Ok(value) if value.get("spdxVersion").is_some() => What::Other,
        _ => What::Envelopes,
    }
}
