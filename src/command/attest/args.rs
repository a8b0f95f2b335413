//! The command line of `verify attest`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::super::cli::EXIT_CODES;
use super::super::options::OutputOptions;
use super::super::product::ProductOptions;
use super::trust::TrustOptions;
use crate::nix::signature::KeyName;

const EXAMPLES: &str = "\
Examples:
  Sign what a rebuild found out, good or bad:
    verify attest make rebuild.json --key ci.secret --output rebuild.jsonl
  Do two of the builders that I trust say the same?
    verify attest verify a.jsonl b.jsonl --trusted-key a-1:BASE64 --trusted-key b-1:BASE64 --min-agree 2
";

/// What `verify attest` takes.
#[derive(Debug, Clone, Args)]
#[command(subcommand_required = true, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct AttestArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: AttestCommand,
}

/// Making and checking.
#[derive(Debug, Clone, Subcommand)]
pub enum AttestCommand {
    /// Sign what reports say, failures as well as successes
    Make(Box<MakeArgs>),
    /// Check attestations: whose they are, what they say, whether enough agree
    Verify(Box<VerifyArgs>),
}

const MAKE_EXAMPLES: &str = "\
Examples:
  Sign what a rebuild found:
    verify rebuild ./app.drv --format json --output rebuild.json
    verify attest make rebuild.json --key ./ci.secret --output rebuild.intoto.jsonl
  Sign what reproduced for Nix too, and let Nix take the signatures:
    verify attest make rebuild.json --key ./ci.secret --nix-cache ./sigs --output rebuild.intoto.jsonl
    nix store copy-sigs --substituter file://$PWD/sigs ./result
  Sign the outcome of a policy run, with a key that openssl made:
    verify attest make gate.json --key ./key.pem --key-name ci-1 --predicate vsa
";

/// What `verify attest make` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = format!("{MAKE_EXAMPLES}\n{EXIT_CODES}"))]
pub struct MakeArgs {
    /// Reports (--format json) of rebuild, policy check or gate, and CycloneDX
    /// bills of materials; each becomes one statement
    #[arg(value_name = "REPORT", required = true)]
    pub reports: Vec<PathBuf>,
    /// A secret key, in Nix's format or in PEM (PKCS#8, Ed25519), that nobody
    /// else can read; may be repeated
    #[arg(long = "key", value_name = "FILE", required = true)]
    pub keys: Vec<PathBuf>,
    /// What a key in PEM is called [default: ed25519- and digits of its digest]
    #[arg(long, value_name = "NAME")]
    pub key_name: Option<KeyName>,
    /// What is said: rebuild, vsa or sbom [default: what the file is]
    #[arg(long, value_enum, value_name = "WHAT", hide_possible_values = true)]
    pub predicate: Option<PredicateName>,
    /// Also write Nix signatures over all outputs that reproduced, as a cache
    /// that 'nix store copy-sigs' reads; signatures there are kept
    #[arg(long, value_name = "DIR")]
    pub nix_cache: Option<PathBuf>,
    /// Where it goes.
    #[command(flatten)]
    pub output: ProductOptions,
}

/// What a statement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PredicateName {
    /// What a rebuild found
    Rebuild,
    /// What a policy run came to
    Vsa,
    /// What something is made of
    Sbom,
}

const VERIFY_EXAMPLES: &str = "\
Examples:
  Who says what about these outputs?
    verify attest verify rebuild.intoto.jsonl --trusted-key ci-1:BASE64
  Do two of three rebuilders attest this very content?
    verify attest verify *.jsonl --operators operators.toml --min-agree 2 \\
      --subject /nix/store/HASH-app=sha256:NARHASH
  By a key that openssl made:
    verify attest verify rebuild.intoto.jsonl --trusted-pem ci-1=key.pub.pem
";

/// What `verify attest verify` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = format!("{VERIFY_EXAMPLES}\n{EXIT_CODES}"))]
pub struct VerifyArgs {
    /// Attestations: DSSE envelopes, one a line
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// A store path, PATH=HASH or a NAR hash that has to be attested; may be
    /// repeated [default: everything that the files speak of]
    #[arg(long = "subject", value_name = "SUBJECT")]
    pub subjects: Vec<String>,
    /// What has to be said of a --subject: rebuild, vsa or sbom [default: rebuild]
    #[arg(
        long,
        value_enum,
        value_name = "WHAT",
        hide_possible_values = true,
        requires = "subjects"
    )]
    pub predicate: Option<PredicateName>,
    /// Whose attestations count, and how many of them.
    #[command(flatten)]
    pub trust: TrustOptions,
    /// How the report is written.
    #[command(flatten)]
    pub output: OutputOptions,
}
