//! The command line: what may be typed, and its help.

use std::ffi::OsString;
use std::num::NonZero;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::all::AllArgs;
use super::attest::AttestArgs;
use super::gate::GateArgs;
use super::options::{
    DerivationOptions, ExpressionOptions, KeyOptions, OutputOptions, SourceOptions, WorkOptions,
};
use super::policy::{PolicyArgs, PolicyOptions};
use super::sbom::SbomArgs;
use crate::check::sample::Sample;

/// Exit codes, told in every help.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  everything asked for was checked and holds
  1  something fails, differs or is forged
  2  wrong usage, unreadable input, or verify itself failed
  3  nothing failed, but something asked for got no answer";

/// Supply-chain verification for Nix
#[derive(Debug, Parser)]
#[command(
    name = "verify",
    version,
    about = "Supply-chain verification for Nix

Rebuilds derivations in a sandbox of its own, without a Nix daemon and without root,
and compares every output with what binary caches claim.",
    after_help = EXIT_CODES,
    max_term_width = 100,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build derivations in a sandbox and compare every output with what caches claim
    Rebuild(Box<RebuildArgs>),
    /// Compare what caches and the local store claim, with signatures and with the bytes
    Cache(Box<CacheArgs>),
    /// Audit what a flake.lock pins, above all what a change does to it
    Lock(Box<LockArgs>),
    /// Say what is in software: write, check, compare and draw bills of materials
    Sbom(Box<SbomArgs>),
    /// Judge reports and bills of materials by policies; test policies
    Policy(Box<PolicyArgs>),
    /// Sign what was found out, and check what others have signed
    Attest(AttestArgs),
    /// Lock, caches, bills of materials, policy (and a rebuild) of one project in one go
    All(Box<AllArgs>),
    /// Decide whether something may be activated: evidence and policy
    Gate(Box<GateArgs>),
    /// Show what a NAR, narinfo, derivation or lock file says, strictly read
    Inspect(Box<InspectArgs>),
    /// Explain a rule: what it means, why it matters, what to do
    Explain(ExplainArgs),
    /// Remove what earlier runs have left in the state directory
    Clean(Box<CleanArgs>),
    /// Make one HTML page of reports and bills of materials
    Report(ReportArgs),
    /// Say what works on this machine, and how to mend what does not
    Doctor(Box<DoctorArgs>),
    /// Print a script that completes the command line in a shell
    Completions(CompletionsArgs),
    /// Print the manual page of a command
    Man(ManArgs),
}

const REBUILD_EXAMPLES: &str = "\
Examples:
  Rebuild one derivation and compare with the main public cache:
    verify rebuild ./hello.drv --drv-dir ./drvs
  Against a cache of your own, on disk:
    verify rebuild ./app.drv --cache file:///srv/cache --trusted-key ci-1:BASE64
  What an attribute of nixpkgs stands for, evaluated by the installed Nix:
    verify rebuild -f '<nixpkgs>' -A hello --local-store
  Whatever a store path was made by, and many at once:
    verify rebuild ./result --local-store
    nix-store -qd $(nix-build -A all) | verify rebuild - --local-store
  The whole closure: who diverges first, and what stands on it:
    verify rebuild ./app.drv --closure --graph closure.svg
  With inputs from the local Nix store, as JSON for a pipeline:
    verify rebuild /nix/store/HASH-app.drv --local-store --format json --output report.json
";

/// What `verify rebuild` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = format!("{REBUILD_EXAMPLES}\n{EXIT_CODES}"))]
pub struct RebuildArgs {
    /// What to build: .drv files, store paths, flake installables (nixpkgs#hello, .#x),
    /// or - for a listing on standard input
    #[arg(value_name = "TARGET", required_unless_present = "files")]
    pub targets: Vec<OsString>,
    /// What Nix is to evaluate.
    #[command(flatten)]
    pub expressions: ExpressionOptions,
    /// Where derivations are.
    #[command(flatten)]
    pub derivations: DerivationOptions,
    /// Also everything that the targets build on (rebuild) or refer to (cache)
    #[arg(long, help_heading = "What is judged")]
    pub closure: bool,
    /// A random sample of those only, a number or a percentage; says what that
    /// tells about all of them
    #[arg(long, value_name = "N|P%", help_heading = "What is judged")]
    pub sample: Option<Sample>,
    /// What the sample is drawn by: the same seed draws the same sample
    #[arg(
        long,
        value_name = "SEED",
        requires = "sample",
        default_value = "0",
        help_heading = "What is judged"
    )]
    pub seed: String,
    /// Only say what would be built, what it needs, where that comes from and
    /// what is lacking; nothing is fetched or built
    #[arg(long, conflicts_with_all = ["graph", "baseline", "bisect", "policies"], help_heading = "What is judged")]
    pub plan: bool,
    /// Draw who builds on whom and what came of each, to FILE.svg or FILE.dot
    #[arg(long, value_name = "FILE", help_heading = "What is judged")]
    pub graph: Option<PathBuf>,
    /// The world the builder sees: that of nix-2.8, nix-2.18, nix-2.24, nix-2.31 or nix-2.35
    #[arg(
        long, value_enum, value_name = "WORLD", default_value_t = WorldName::Nix2_35,
        help_heading = "Building", hide_possible_values = true
    )]
    pub world: WorldName,
    /// The program that is /bin/sh in the sandbox (static), or 'none'
    /// [default: a static shell found in the store, the inputs or on the host]
    #[arg(long, value_name = "PATH", help_heading = "Building")]
    pub shell: Option<PathBuf>,
    /// What builders are told to use at once (NIX_BUILD_CORES)
    #[arg(long, value_name = "N", help_heading = "Building")]
    pub cores: Option<u32>,
    /// Keep the build directories of failed builds, and say where
    #[arg(long, help_heading = "Building")]
    pub keep_failed: bool,
    /// Seconds a build may take
    #[arg(long, value_name = "SECONDS", help_heading = "Building")]
    pub timeout: Option<u64>,
    /// Seconds a build may stay silent
    #[arg(long, value_name = "SECONDS", help_heading = "Building")]
    pub max_silent_time: Option<u64>,
    /// Bytes a build may write to its log
    #[arg(long, value_name = "BYTES", help_heading = "Building")]
    pub max_log_size: Option<u64>,
    /// Hand outputs that differ to an installed diffoscope, and keep what it writes
    #[arg(long, help_heading = "Building")]
    pub diffoscope: bool,
    /// Who builds: 'sandbox' (our own) or 'nix' (an installed Nix, in a store of
    /// its own that holds the inputs and nothing else)
    #[arg(
        long, value_enum, value_name = "WHO", default_value_t = ExecutorName::Sandbox,
        help_heading = "Building", hide_possible_values = true
    )]
    pub executor: ExecutorName,
    /// Build each target that often, with other cores, users, times and orders
    /// of directory entries, and compare the results
    #[arg(
        long, value_name = "N", default_value_t = 1, help_heading = "Building",
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    pub rounds: u32,
    /// Processes and threads a build may have at once
    /// [default: 4096, more on large machines]
    #[arg(
        long, value_name = "N", help_heading = "Building",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub max_processes: Option<u64>,
    /// Memory a build may have at once (bytes, or with K, M, G, T)
    /// [default: four fifths of the machine's]
    #[arg(long, value_name = "SIZE", value_parser = super::size::parse, help_heading = "Building")]
    pub max_memory: Option<u64>,
    /// Disk a build may fill at once (bytes, or with K, M, G, T)
    /// [default: nine tenths of what is free]
    #[arg(long, value_name = "SIZE", value_parser = super::size::parse, help_heading = "Building")]
    pub max_disk: Option<u64>,
    /// Take more away from builders than Nix does: tracing, mounts, namespaces of
    /// their own, keyrings, io_uring, foreign system calls, unusual sockets
    #[arg(long, help_heading = "Building")]
    pub hardened: bool,
    /// Let fixed-output builders that cannot be replaced by a plain download
    /// run with network access
    #[arg(long, help_heading = "Building")]
    pub allow_network_builders: bool,
    /// Use nothing that a killed run of the same command has finished
    #[arg(long, help_heading = "Building")]
    pub fresh: bool,
    /// Report only what got worse since an earlier report (--format json)
    #[arg(long, value_name = "REPORT.json", help_heading = "Report")]
    pub baseline: Option<PathBuf>,
    /// Exit as 'git bisect run' wants it: 125 for inconclusive, 255 for errors
    #[arg(long, help_heading = "Report", conflicts_with = "exit_zero")]
    pub bisect: bool,
    /// Where claims and inputs come from.
    #[command(flatten)]
    pub sources: SourceOptions,
    /// Whose signatures count.
    #[command(flatten)]
    pub keys: KeyOptions,
    /// Where work is kept.
    #[command(flatten)]
    pub work: WorkOptions,
    /// What the outcome has to meet.
    #[command(flatten)]
    pub policy: PolicyOptions,
    /// How the report is written.
    #[command(flatten)]
    pub output: OutputOptions,
}

/// The worlds, by the oldest Nix version each one stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WorldName {
    /// Nix 2.8
    #[value(name = "nix-2.8", alias = "2.8")]
    Nix2_8,
    /// Nix 2.18
    #[value(name = "nix-2.18", alias = "2.18")]
    Nix2_18,
    /// Nix 2.24
    #[value(name = "nix-2.24", alias = "2.24")]
    Nix2_24,
    /// Nix 2.31
    #[value(name = "nix-2.31", alias = "2.31")]
    Nix2_31,
    /// Nix 2.35
    #[value(name = "nix-2.35", alias = "2.35")]
    Nix2_35,
}

impl WorldName {
    /// The name of the profile.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nix2_8 => "nix-2.8",
            Self::Nix2_18 => "nix-2.18",
            Self::Nix2_24 => "nix-2.24",
            Self::Nix2_31 => "nix-2.31",
            Self::Nix2_35 => "nix-2.35",
        }
    }
}

const CACHE_EXAMPLES: &str = "\
Examples:
  Does the main public cache have it, signed, and does a mirror serve the same?
    verify cache /nix/store/HASH-hello --cache https://cache.nixos.org --cache https://mirror.example.org
  Is everything that my system needs what it is signed as, down to the bytes on this disk?
    verify cache /run/current-system --closure --local-store --contents
  Audit a sample of all that a cache on disk holds (--local-store: of the local store):
    verify cache --all --cache file:///srv/cache --contents --sample 3000 --seed 2026-11
  Two independent builders have to agree on every path of a listing:
    verify cache --from paths.txt --operators operators.toml --min-agree 2
";

/// What `verify cache` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = format!("{CACHE_EXAMPLES}\n{EXIT_CODES}"))]
pub struct CacheArgs {
    /// What to ask about: store paths, .drv files (their outputs) or flake installables
    #[arg(value_name = "TARGET")]
    pub targets: Vec<OsString>,
    /// Also every store path that FILE lists (- for standard input), separated by lines or NULs;
    /// a .drv is itself there
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Also everything that the targets build on (rebuild) or refer to (cache)
    #[arg(long)]
    pub closure: bool,
    /// Everything there is
    #[arg(long)]
    pub all: bool,
    /// What Nix is to evaluate.
    #[command(flatten)]
    pub expressions: ExpressionOptions,
    /// Where derivations are.
    #[command(flatten)]
    pub derivations: DerivationOptions,
    /// Read the NARs, and the objects of the local store: hash, size, format and references
    #[arg(long, help_heading = "Depth")]
    pub contents: bool,
    /// A random sample of those only, a number or a percentage; says what that
    /// tells about all of them
    #[arg(long, value_name = "N|P%", requires = "contents", help_heading = "Depth")]
    pub sample: Option<Sample>,
    /// What the sample is drawn by: the same seed draws the same sample [default: 0]
    #[arg(long, value_name = "SEED", requires = "sample", help_heading = "Depth")]
    pub seed: Option<String>,
    /// How many have to attest the same content: operators (--operators), else keys
    #[arg(long, value_name = "K", requires = "operators", help_heading = "Sources and trust")]
    pub min_agree: Option<NonZero<usize>>,
    /// How much work runs at once [default: the number of processors]
    #[arg(long, value_name = "N", help_heading = "Work")]
    pub jobs: Option<NonZero<usize>>,
    /// Where claims come from.
    #[command(flatten)]
    pub sources: SourceOptions,
    /// Whose signatures count.
    #[command(flatten)]
    pub keys: KeyOptions,
    /// What the outcome has to meet.
    #[command(flatten)]
    pub policy: PolicyOptions,
    /// How the report is written.
    #[command(flatten)]
    pub output: OutputOptions,
}

const LOCK_EXAMPLES: &str = "\
Examples:
  Audit the lock of this directory:
    verify lock
  What does this branch do to it? For a merge request:
    verify lock --base origin/main
  Compare two files:
    verify lock ./new.lock --base ./old.lock
  Are the pinned revisions and hashes what these clones hold?
    verify lock --base HEAD~1 --mirror ~/src/nixpkgs --mirror ~/src/home-manager
";

/// What `verify lock` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = format!("{LOCK_EXAMPLES}\n{EXIT_CODES}"))]
pub struct LockArgs {
    /// The lock file, or the directory it is in [default: ./flake.lock]
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,
    /// The lock before the change: a git revision of the repository the lock
    /// lies in, or a file
    #[arg(long, value_name = "REV|FILE", value_parser = NonEmptyStringValueParser::new())]
    pub base: Option<String>,
    /// A clone of an input's repository, or a directory of clones, to hold the
    /// lock against (narHash recomputed, revision on its branch, date);
    /// SOURCE=DIR says whose clone it is; may be repeated
    #[arg(
        long = "mirror", value_name = "[SOURCE=]DIR", help_heading = "Evidence",
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub mirrors: Vec<String>,
    /// Ask over HTTPS: git servers what --mirror would be asked, archives and
    /// files for their hashes
    #[arg(long, help_heading = "Evidence", conflicts_with = "offline")]
    pub online: bool,
    /// SSH keys whose signatures over commits and tags are known, as ssh-keygen
    /// reads them; of the base revision if the file is in the repository
    #[arg(long, value_name = "FILE", help_heading = "Evidence")]
    pub allowed_signers: Option<PathBuf>,
    /// OpenPGP keys whose signatures are known, as gpg exports them; of the base
    /// revision if the file is in the repository
    #[arg(long, value_name = "FILE", help_heading = "Evidence")]
    pub keyring: Option<PathBuf>,
    /// A host that --online may ask though its address is not a public one;
    /// may be repeated
    #[arg(
        long = "private-host", value_name = "HOST[:PORT]", help_heading = "Network",
        requires = "online", value_parser = NonEmptyStringValueParser::new()
    )]
    pub private_hosts: Vec<String>,
    /// Credentials for hosts
    #[arg(long, value_name = "FILE", help_heading = "Network", requires = "online")]
    pub netrc_file: Option<PathBuf>,
    /// Certificates (PEM) to trust beside those of the system
    #[arg(long, value_name = "FILE", help_heading = "Network", requires = "online")]
    pub ca_file: Option<PathBuf>,
    /// Use no network at all
    #[arg(long, help_heading = "Network")]
    pub offline: bool,
    /// Where work is kept.
    #[command(flatten)]
    pub work: WorkOptions,
    /// What is allowed and put up with [default: .verify.toml beside the lock,
    /// of the base revision if there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What the outcome has to meet.
    #[command(flatten)]
    pub policy: PolicyOptions,
    /// How the report is written.
    #[command(flatten)]
    pub output: OutputOptions,
}

/// Who builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExecutorName {
    /// Our own sandbox
    Sandbox,
    /// An installed Nix
    Nix,
}

const INSPECT_EXAMPLES: &str = "\
Examples:
  What does this derivation build, and are its paths right?
    verify inspect ./HASH-hello.drv --drv-dir ./drvs
  Is this narinfo signed by a key I trust, and is it about this path?
    verify inspect ./HASH.narinfo --store-path /nix/store/HASH-hello --trusted-key NAME:BASE64
  Hash a NAR and list what is in it:
    xz -d < hello.nar.xz > hello.nar && verify inspect hello.nar
  Why are these two builds not the same?
    verify inspect first.nar --against second.nar
";

/// What `verify inspect` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = format!("{INSPECT_EXAMPLES}\n{EXIT_CODES}"))]
pub struct InspectArgs {
    /// The file to read
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Another NAR to hold this one against: in what they differ, and why
    #[arg(long, value_name = "OTHER.nar")]
    pub against: Option<PathBuf>,
    /// What the file is: nar, narinfo, drv or lock [default: told from its content]
    #[arg(long, value_enum, value_name = "KIND", hide_possible_values = true)]
    pub kind: Option<FileKind>,
    /// The store path the file should be about
    #[arg(long, value_name = "PATH", value_parser = NonEmptyStringValueParser::new())]
    pub store_path: Option<String>,
    /// Where derivations are.
    #[command(flatten)]
    pub derivations: DerivationOptions,
    /// Whose signatures count.
    #[command(flatten)]
    pub keys: KeyOptions,
    /// How the report is written.
    #[command(flatten)]
    pub output: OutputOptions,
}

/// The files that can be inspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileKind {
    /// A Nix archive, not compressed
    Nar,
    /// What a cache says about a store path
    Narinfo,
    /// A derivation
    Drv,
    /// A flake.lock
    Lock,
}

impl FileKind {
    /// The word used in reports and options.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nar => "nar",
            Self::Narinfo => "narinfo",
            Self::Drv => "drv",
            Self::Lock => "lock",
        }
    }
}

/// What `verify explain` takes.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  verify explain            list all rules\n  verify explain malformed-nar\n"
)]
pub struct ExplainArgs {
    /// The rule's id, as a report names it; without one all rules are listed
    #[arg(value_name = "RULE")]
    pub rule: Option<String>,
}

const CLEAN_EXAMPLES: &str = "\
Examples:
  Remove leftovers, and the oldest objects beyond the size cap:
    verify clean
  See what would go:
    verify clean --max-size 1G --dry-run
  Remove everything, logs and kept builds too:
    verify clean --all
";

/// What `verify clean` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = CLEAN_EXAMPLES)]
pub struct CleanArgs {
    /// Everything there is
    #[arg(long)]
    pub all: bool,
    /// Keep at most this much (bytes, or with K, M, G, T) [default: 20G]
    #[arg(long, value_name = "SIZE", value_parser = super::size::parse)]
    pub max_size: Option<u64>,
    /// Only say what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Where builds, logs and downloads are kept
    /// [default: $XDG_CACHE_HOME/verify or ~/.cache/verify]
    #[arg(long, value_name = "DIR", help_heading = "Work")]
    pub state_dir: Option<PathBuf>,
    /// How the report is written.
    #[command(flatten)]
    pub output: OutputOptions,
}

const DOCTOR_EXAMPLES: &str = "\
Examples:
  Can this machine rebuild, and do the caches answer?
    verify doctor
  With the caches and keys of this machine's Nix, and its store:
    verify doctor --nix-conf /etc/nix/nix.conf --local-store
";

/// What `verify doctor` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = format!("{DOCTOR_EXAMPLES}\n{EXIT_CODES}"))]
pub struct DoctorArgs {
    /// Which caches are tried.
    #[command(flatten)]
    pub sources: SourceOptions,
    /// Whose signatures count.
    #[command(flatten)]
    pub keys: KeyOptions,
    /// Where work is kept.
    #[command(flatten)]
    pub work: WorkOptions,
    /// How the report is written.
    #[command(flatten)]
    pub output: OutputOptions,
}

const REPORT_EXAMPLES: &str = "\
Examples:
  A page of one report, to look at or to send:
    verify rebuild ./app.drv --closure --format json --output rebuild.json
    verify report rebuild.json --output page.html
  Everything about a release on one page:
    verify report lock.json cache.json rebuild.json bill.cdx.json --output release.html
";

/// What `verify report` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = REPORT_EXAMPLES)]
pub struct ReportArgs {
    /// Reports (--format json) and CycloneDX bills of materials (JSON)
    #[arg(value_name = "REPORT", required = true)]
    pub reports: Vec<PathBuf>,
    /// Write the report to FILE, whole or not at all
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// What `verify completions` takes.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  verify completions bash > /etc/bash_completion.d/verify\n  verify completions zsh > ~/.zfunc/_verify\n  verify completions fish > ~/.config/fish/completions/verify.fish\n"
)]
pub struct CompletionsArgs {
    /// The shell: bash, elvish, fish, powershell or zsh
    #[arg(value_enum, value_name = "SHELL", hide_possible_values = true)]
    pub shell: clap_complete::Shell,
}

/// What `verify man` takes.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  verify man rebuild | man -l -\n  verify man --output-dir /usr/local/share/man/man1\n"
)]
pub struct ManArgs {
    /// The command whose page it is; without one the page of verify itself
    #[arg(value_name = "COMMAND", conflicts_with = "output_dir")]
    pub command: Vec<String>,
    /// Write the pages of all commands to a directory
    #[arg(long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
}
