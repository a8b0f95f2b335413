//! Options with one meaning in every command.

use std::ffi::OsString;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::deliver::show;
use super::time::Timestamp;
use super::{Environment, ToolError};
use crate::check::Level;
use crate::gather::derivations::evaluate::Expression;
use crate::gather::derivations::files::DrvFiles;
use crate::gather::named::files::check_directory;
use crate::gather::store::local::LocalStore;
use crate::nix::store_path::StoreDir;
use crate::state::StateDir;

/// What an installed Nix is to evaluate.
#[derive(Debug, Clone, Default, Args)]
pub struct ExpressionOptions {
    /// A Nix expression to take attributes from; may be repeated
    #[arg(short = 'f', long = "file", value_name = "FILE", id = "files")]
    pub files: Vec<PathBuf>,
    /// An attribute of the --file; may be repeated
    #[arg(short = 'A', long = "attr", value_name = "ATTR", requires = "files")]
    pub attributes: Vec<String>,
}

impl ExpressionOptions {
    /// The expressions that are named.
    pub fn named(&self) -> impl Iterator<Item = Expression> {
        Expression::of_files(&self.files, &self.attributes)
    }
}

/// Where derivations are.
#[derive(Debug, Clone, Default, Args)]
pub struct DerivationOptions {
    /// Where the .drv files of inputs are found; may be repeated
    #[arg(long = "drv-dir", value_name = "DIR")]
    pub drv_dirs: Vec<PathBuf>,
}

impl DerivationOptions {
    /// Opens the places: the directories that are named, then the local store.
    ///
    /// # Errors
    /// A directory that is not there or cannot be listed.
    pub fn open<'a>(
        &self,
        environment: &Environment,
        store_dir: &StoreDir,
        local: Option<&Arc<LocalStore>>,
    ) -> Result<DrvFiles<'a>, ToolError> {
        let mut files = DrvFiles::new(store_dir.clone());
        for directory in self.directories(environment) {
            check_directory(&directory).map_err(|error| {
                ToolError::failed(format!("use --drv-dir '{}'", show(&directory)), error)
            })?;
            files.add_directory(&directory);
        }
        if let Some(local) = local {
            files.add_local_store(Arc::clone(local));
        }
        Ok(files)
    }

    /// The directories that are named.
    pub fn directories(&self, environment: &Environment) -> impl Iterator<Item = PathBuf> {
        self.drv_dirs.iter().map(|directory| environment.absolute(directory))
    }
}

/// Where claims and inputs come from, and whose signatures count.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Sources and trust")]
pub struct SourceOptions {
    /// A binary cache (file://, http://, https://); may be repeated
    /// [default: https://cache.nixos.org with its published key]
    #[arg(long = "cache", value_name = "URL")]
    pub caches: Vec<String>,
    /// Also read the local Nix store, read-only; ROOT for a chroot store
    #[arg(long, value_name = "ROOT", num_args = 0..=1, require_equals = true)]
    pub local_store: Option<Option<PathBuf>>,
    /// Take substituters, trusted-public-keys, netrc-file and ssl-cert-file
    /// from a nix.conf
    #[arg(long, value_name = "FILE")]
    pub nix_conf: Option<PathBuf>,
    /// Credentials for hosts
    #[arg(long, value_name = "FILE")]
    pub netrc_file: Option<PathBuf>,
    /// Bearer tokens for caches: lines of HOST TOKEN
    #[arg(long, value_name = "FILE")]
    pub tokens_file: Option<PathBuf>,
    /// Certificates (PEM) to trust beside those of the system
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Use no network at all
    #[arg(long)]
    pub offline: bool,
}

/// Public keys whose signatures count.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Sources and trust")]
pub struct KeyOptions {
    /// A public key whose signatures count; may be repeated
    #[arg(long = "trusted-key", value_name = "NAME:BASE64")]
    pub trusted_keys: Vec<String>,
    /// A file of such keys, separated by white space
    #[arg(long, value_name = "FILE")]
    pub trusted_keys_file: Option<PathBuf>,
    /// Who runs which caches and keys, and which of them are mirrors or
    /// re-signers (docs/operators.md); its keys count, and its caches are
    /// asked where no --cache is given
    #[arg(long, value_name = "FILE", id = "operators")]
    pub operators: Option<PathBuf>,
}

/// Where work is kept and how much of it runs at once.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Work")]
pub struct WorkOptions {
    /// Where builds, logs and downloads are kept
    /// [default: $XDG_CACHE_HOME/verify or ~/.cache/verify]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// How much work runs at once [default: the number of processors]
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZero<usize>>,
}

/// How a report is judged and written.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Report")]
pub struct OutputOptions {
    /// How the report is written: human, json, sarif, junit, github, gitlab or markdown
    #[arg(
        long, value_enum, value_name = "FORMAT", default_value_t = Format::Human,
        hide_possible_values = true
    )]
    pub format: Format,
    /// Write the report to FILE, whole or not at all
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The least level of a finding that fails the run: note, warning or error
    #[arg(
        long, value_enum, value_name = "LEVEL", default_value_t = FailOn::Error,
        hide_possible_values = true
    )]
    pub fail_on: FailOn,
    /// Exit with 0 for findings and open questions too (not for errors)
    #[arg(long)]
    pub exit_zero: bool,
    /// Leave clock, timing, process and host out of the report
    #[arg(long)]
    pub reproducible: bool,
    /// The time to take as now, as 2026-01-31T12:00:00Z or @SECONDS
    #[arg(long, value_name = "TIME")]
    pub now: Option<Timestamp>,
    /// Say only what is wrong, and the verdict
    #[arg(long, short)]
    pub quiet: bool,
    /// When to colour: auto, always or never
    #[arg(
        long, value_enum, value_name = "WHEN", default_value_t = ColorWhen::Auto,
        hide_possible_values = true
    )]
    pub color: ColorWhen,
}

/// The renderers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For reading
    #[default]
    Human,
    /// The versioned envelope (docs/schema/report-v1.json)
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// JUnit, for test reports
    Junit,
    /// Annotations of GitHub Actions
    Github,
    /// A Code Quality report of GitLab
    Gitlab,
    /// A summary for a merge request
    Markdown,
}

/// The levels, as an option.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Everything that is found
    Note,
    /// Warnings and errors
    Warning,
    /// Errors only
    #[default]
    Error,
}

impl From<FailOn> for Level {
    fn from(option: FailOn) -> Self {
        match option {
            FailOn::Note => Self::Note,
            FailOn::Warning => Self::Warning,
            FailOn::Error => Self::Error,
        }
    }
}

/// When output is coloured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl WorkOptions {
    /// Where the state directory is.
    ///
    /// # Errors
    /// None was named, and the environment says nothing of a default.
    pub fn state_path(&self, environment: &Environment) -> Result<PathBuf, ToolError> {
        match &self.state_dir {
            Some(path) => Ok(environment.absolute(path)),
            None => StateDir::default_path(|name| environment.variable(name).map(OsString::from))
                .ok_or_else(|| {
                    ToolError::Usage(
                        "neither XDG_CACHE_HOME nor HOME is set: name a directory with --state-dir"
                            .to_owned(),
                    )
                }),
        }
    }
}
