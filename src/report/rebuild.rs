//! A rebuild's facts, as public JSON and as people read them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::view::{Cell, Column, Section, Table, Tone, View};
use crate::check::rebuild::facts::{
    DerivationFacts, InputFacts, Origin, OutputFacts, Production, Rebuild, Role, WorldFact,
};
use crate::check::rebuild::{Basis, Claim, Contents, Names, Source, Standing};
use crate::check::{Examination, Reason, Verdict};
use crate::nix::store_path::{StoreDir, StorePath};

/// Lines of a failed build's log that are shown to people.
const SHOWN_LOG_LINES: usize = 10;

/// The public form of [`Rebuild`]: the `facts` of a rebuild report
/// (`docs/schema/report-v1.json`).
#[derive(Serialize)]
struct Facts<'a> {
    world: &'a str,
    store_dir: &'a str,
    sandbox: Sandbox<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    other_worlds: Vec<WorldFactPart<'a>>,
    derivations: Vec<Derivation<'a>>,
    inputs: Vec<Input<'a>>,
    remarks: &'a [String],
}

#[derive(Serialize)]
struct WorldFactPart<'a> {
    fact: &'a str,
    here: bool,
    otherwise_in: &'a [String],
}

#[derive(Serialize)]
struct Sandbox<'a> {
    ownership: &'a str,
    shell: Option<Shell<'a>>,
    differences: &'a [String],
}

#[derive(Serialize)]
struct Shell<'a> {
    origin: &'a str,
    sha256: &'a str,
}

#[derive(Serialize)]
struct Derivation<'a> {
    drv_path: String,
    system: &'a str,
    role: &'static str,
    fixed_output: bool,
    production: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<OriginPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure<'a>>,
    outputs: BTreeMap<&'a str, Output<'a>>,
}

#[derive(Serialize)]
struct Failure<'a> {
    reason: &'static str,
    detail: &'a str,
}

#[derive(Serialize)]
struct Output<'a> {
    path: Option<String>,
    #[serde(flatten)]
    contents: Option<ContentsPart>,
    ca: Option<&'a str>,
    claims: Vec<ClaimPart<'a>>,
}

#[derive(Serialize)]
struct ContentsPart {
    nar_hash: String,
    nar_size: u64,
    references: Vec<String>,
}

#[derive(Serialize)]
struct ClaimPart<'a> {
    source: &'static str,
    location: &'a str,
    standing: &'static str,
    keys: &'a [String],
    path: String,
    #[serde(flatten)]
    contents: Option<ContentsPart>,
    equal: Option<bool>,
}

#[derive(Serialize)]
struct Input<'a> {
    path: String,
    #[serde(flatten)]
    contents: ContentsPart,
    origin: OriginPart<'a>,
}

#[derive(Serialize)]
struct OriginPart<'a> {
    kind: &'static str,
    from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<&'a [String]>,
}

/// The facts of a rebuild in their public shape.
///
/// # Errors
/// None in practice: every key is text.
pub fn facts(rebuild: &Rebuild, store_dir: &StoreDir) -> Result<Value, serde_json::Error> {
    serde_json::to_value(Facts {
        world: &rebuild.world,
        store_dir: store_dir.as_str(),
        other_worlds: rebuild
            .other_worlds
            .iter()
            .map(|WorldFact { fact, here, otherwise_in }| WorldFactPart {
                fact,
                here: *here,
                otherwise_in,
            })
            .collect(),
        sandbox: Sandbox {
            ownership: &rebuild.sandbox.ownership,
            shell: rebuild
                .sandbox
                .shell
                .as_ref()
                .map(|shell| Shell { origin: &shell.origin, sha256: &shell.sha256 }),
            differences: &rebuild.sandbox.differences,
        },
        derivations: rebuild
            .derivations
            .iter()
            .map(|derivation| derivation_part(derivation, store_dir))
            .collect(),
        inputs: rebuild.inputs.iter().map(|input| input_part(input, store_dir)).collect(),
        remarks: &rebuild.remarks,
    })
}

fn derivation_part<'a>(derivation: &'a DerivationFacts, store_dir: &StoreDir) -> Derivation<'a> {
    let (production, origin, failure) = match &derivation.production {
        Production::Built => ("built", None, None),
        Production::Obtained { origin } => ("obtained", Some(origin_part(origin)), None),
        Production::Missing { reason, detail, .. } => {
            ("missing", None, Some(Failure { reason: reason.name(), detail }))
        }
    };
    Derivation {
        drv_path: store_dir.full(&derivation.drv_path),
        system: &derivation.system,
        role: derivation.role.name(),
        fixed_output: derivation.basis == Basis::Fixed,
        production,
        origin,
        failure,
        outputs: derivation
            .outputs
            .iter()
            .map(|output| (output.name.as_str(), output_part(output, store_dir)))
            .collect(),
    }
}

fn output_part<'a>(output: &'a OutputFacts, store_dir: &StoreDir) -> Output<'a> {
    Output {
        path: output.path.as_ref().map(|path| store_dir.full(path)),
        contents: output.ours.as_ref().map(|ours| contents_part(ours, store_dir)),
        ca: output.ca.as_deref(),
        claims: output
            .claims
            .iter()
            .map(|claim| ClaimPart {
                source: match claim.source {
                    Source::Cache(_) => "cache",
                    Source::LocalStore(_) => "local-store",
                },
                location: location(&claim.source),
                standing: claim.standing.name(),
                keys: claim.standing.keys(),
                path: store_dir.full(&claim.path),
                contents: claim.contents.as_ref().map(|claimed| contents_part(claimed, store_dir)),
                equal: equal(output, claim),
            })
            .collect(),
    }
}

/// Whether a claim equals what we built; `None` if we built nothing.
fn equal(output: &OutputFacts, claim: &Claim) -> Option<bool> {
    Some(claim.equals(output.path.as_ref()?, output.ours.as_ref()?))
}

fn location(source: &Source) -> &str {
    match source {
        Source::Cache(url) => url,
        Source::LocalStore(root) => root,
    }
}

fn contents_part(contents: &Contents, store_dir: &StoreDir) -> ContentsPart {
    ContentsPart {
        nar_hash: contents.nar_hash.to_string(),
        nar_size: contents.nar_size,
        references: contents.references.iter().map(|path| store_dir.full(path)).collect(),
    }
}

fn input_part<'a>(input: &'a InputFacts, store_dir: &StoreDir) -> Input<'a> {
    Input {
        path: store_dir.full(&input.path),
        contents: contents_part(&input.contents, store_dir),
        origin: origin_part(&input.origin),
    }
}

fn origin_part(origin: &Origin) -> OriginPart<'_> {
    let keys = match origin {
        Origin::Signed { keys, .. } => Some(keys.as_slice()),
        _ => None,
    };
    OriginPart { kind: origin.name(), from: origin.from(), keys }
}

/// What people see: how it was built, every output worst first, the ends of
/// failed builds' logs.
#[must_use]
pub fn view(rebuild: &Rebuild, examination: &Examination, store_dir: &StoreDir) -> View {
    let mut sections = vec![setting(rebuild), outputs(rebuild, examination, store_dir)];
    for derivation in &rebuild.derivations {
        if let Production::Missing { tail, .. } = &derivation.production
            && !tail.is_empty()
        {
            let skip = tail.len().saturating_sub(SHOWN_LOG_LINES);
            sections.push(Section::Lines {
                title: format!("End of the log of {}", derivation.drv_path),
                lines: tail.iter().skip(skip).cloned().collect(),
            });
        }
    }
    if !rebuild.other_worlds.is_empty() {
        let lines = rebuild.other_worlds.iter().map(|WorldFact { fact, here, otherwise_in }| {
            let others = otherwise_in.join(", ");
            if *here {
                format!("{fact} (not in {others})")
            } else {
                format!("not so: {fact} (but in {others})")
            }
        });
        sections.push(Section::Lines {
            title: format!("If another Nix made the claim, what {} does could explain a difference (try --world)", rebuild.world),
            lines: lines.collect(),
        });
    }
    View { sections, noun: Some(("output", "outputs")), lists_subjects: true }
}

/// World, sandbox and inputs, in a few lines.
fn setting(rebuild: &Rebuild) -> Section {
    let sandbox = &rebuild.sandbox;
    let mut entries: Vec<(String, Cell)> = vec![("world".to_owned(), rebuild.world.clone().into())];
    let mut add = |label: &str, cell: Cell| entries.push((label.to_owned(), cell));
    if !sandbox.ownership.is_empty() {
        add("sandbox", sandbox.ownership.clone().into());
    }
    for difference in &sandbox.differences {
        add("unlike Nix", Cell::toned(Tone::Doubtful, difference.clone()));
    }
    if let Some(shell) = &sandbox.shell {
        add("/bin/sh", format!("{} (sha256 {})", shell.origin, shell.sha256).into());
    }
    add("inputs", inputs_sentence(&rebuild.inputs).into());
    for remark in &rebuild.remarks {
        add("remark", Cell::toned(Tone::Doubtful, remark.clone()));
    }
    Section::Facts { title: String::new(), entries }
}

/// How many inputs there were and why they were trusted.
fn inputs_sentence(inputs: &[InputFacts]) -> String {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for input in inputs {
        *kinds.entry(input.origin.name()).or_default() += 1;
    }
    let parts: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// Every output with its result and who claims what.
fn outputs(rebuild: &Rebuild, examination: &Examination, store_dir: &StoreDir) -> Section {
    let names = Names::of(rebuild, store_dir);
    let mut rows = Vec::new();
    for derivation in &rebuild.derivations {
        for output in &derivation.outputs {
            let name = output_name(derivation, output);
            let id = names.name(derivation, output);
            let Some(subject) = examination.subjects.iter().find(|subject| subject.id == id) else {
                continue;
            };
            let tone = match subject.verdict {
                Verdict::Pass => Tone::Good,
                Verdict::Inconclusive => Tone::Doubtful,
                Verdict::Fail => Tone::Bad,
            };
            let status = match derivation.role {
                Role::Target => subject.status.clone(),
                Role::Input => format!("{} (input)", subject.status),
            };
            rows.push((
                subject.verdict,
                vec![Cell::judged(tone, status), name.into(), claims_cell(derivation, output)],
            ));
        }
    }
    rows.sort_by_key(|(verdict, _)| std::cmp::Reverse(*verdict));
    Section::Table(Table {
        title: "Outputs".to_owned(),
        columns: vec![Column::text("result"), Column::text("output"), Column::text("because")],
        rows: rows.into_iter().map(|(_, row)| row).collect(),
    })
}

/// Characters of a hash part that tell outputs of one name apart.
const SHOWN_HASH: usize = 8;

/// An output in few columns; findings name it in full.
fn output_name(derivation: &DerivationFacts, output: &OutputFacts) -> String {
    let short = |path: &StorePath| {
        let hash: String = path.hash_part().chars().take(SHOWN_HASH).collect();
        format!("{hash}..-{}", path.name())
    };
    output
        .path
        .as_ref()
        .map_or_else(|| format!("{}!{}", short(&derivation.drv_path), output.name), short)
}

/// One line on why an output has its result.
fn claims_cell(derivation: &DerivationFacts, output: &OutputFacts) -> Cell {
    if let Production::Missing { reason, .. } = &derivation.production {
        return Cell::toned(Tone::Doubtful, missing_words(*reason));
    }
    if output.claims.is_empty() {
        let text = if derivation.basis == Basis::Fixed {
            "has the hash its derivation fixes"
        } else {
            "nobody claims anything about it"
        };
        return Cell::toned(Tone::Dim, text);
    }
    let claims: Vec<String> =
        output.claims.iter().map(|claim| claim_words(derivation.basis, output, claim)).collect();
    claims.join("; ").into()
}

/// Why there is no output, in few words; the particulars are said below.
const fn missing_words(reason: Reason) -> &'static str {
    match reason {
        Reason::BuildFailed => "our build failed",
        Reason::LimitReached => "our build was stopped at a limit",
        Reason::InputMissing => "an input could not be had",
        Reason::BlockedBy => "an input could not be built",
        Reason::DerivationMissing => "a derivation is missing",
        Reason::FetchImpossible => "plain fetching cannot make it",
        Reason::Offline => "it would have to be fetched",
        Reason::Environment => "this machine could not build it",
        Reason::Unsupported => "it needs what is not supported",
        _ => "it could not be built",
    }
}

fn claim_words(basis: Basis, output: &OutputFacts, claim: &Claim) -> String {
    let keys = claim.standing.keys().join(", ");
    match (&claim.standing, equal(output, claim)) {
        (Standing::Trusted { .. }, Some(true)) if !basis.supports(claim) => {
            format!("{keys} signed that path, but not as this output")
        }
        (Standing::Trusted { .. }, Some(true)) => format!("equals what {keys} signed"),
        (Standing::Trusted { .. }, Some(false)) => format!("{keys} signed other content"),
        (Standing::Trusted { .. }, None) => format!("{keys} signed a claim"),
        (Standing::Forged { .. }, _) => format!("bad signature by {keys}"),
        (Standing::UnsortedReferences { .. }, _) => format!("{keys} signed unsorted references"),
        (Standing::Untrusted { .. }, Some(true)) => {
            format!("equals an untrusted claim of {}", location(&claim.source))
        }
        (Standing::Untrusted { .. }, Some(false)) => {
            format!("differs from an untrusted claim of {}", location(&claim.source))
        }
        (Standing::Untrusted { .. }, None) => "an untrusted claim".to_owned(),
    }
}
