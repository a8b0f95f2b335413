//! Derivations: the `.drv` text, what it means and what follows from it.
//!
//! Follows `src/libstore/derivations.cc`. A text is accepted if and only if
//! printing what was read gives the same bytes (see [`aterm`]) and the rules
//! of `BasicDerivation::type` hold: at least one output, all of one kind, a
//! fixed output alone and called `out`. Stricter than Nix 2.8, as newer Nix:
//! an input derivation names at least one output.

pub mod aterm;
mod by_output;
mod error;
pub mod graph_text;
pub mod json;
pub mod modulo;
pub mod options;
mod parse;
pub mod paths;
pub mod placeholder;
pub mod resolve;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, LazyLock};

use super::content_address::{ContentAddressError, Method};
use super::hash::{Hash, HashAlgorithm};
use super::store_path::{StoreDir, StorePath};

pub use by_output::ByOutput;
pub use error::{Defect, DerivationError};
pub use paths::{OutputPathCheck, PathsReport, check_paths, drv_path, name_of, output_path_name};
pub use resolve::{ResolveError, resolve};

/// The name of the output that has no suffix.
pub const OUT: &str = "out";

/// The environment variable that holds structured attributes.
pub const JSON_VARIABLE: &[u8] = b"__json";

/// What a derivation says about one output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The path follows from the derivation itself.
    InputAddressed {
        /// The path as written.
        path: StorePath,
    },
    /// The content is known by its hash.
    Fixed {
        /// The path as written.
        path: StorePath,
        /// What is hashed.
        method: Method,
        /// The hash demanded.
        hash: Hash,
    },
    /// The path will follow from the content.
    FloatingCa {
        /// What is hashed.
        method: Method,
        /// The algorithm.
        algorithm: HashAlgorithm,
    },
    /// Input-addressed, behind an input whose path is not known yet.
    Deferred,
    /// Not pure, never the same twice.
    Impure {
        /// What is hashed.
        method: Method,
        /// The algorithm.
        algorithm: HashAlgorithm,
    },
}

impl Output {
    /// The path as written, where one is known before the build.
    #[must_use]
    pub const fn path(&self) -> Option<&StorePath> {
        match self {
            Self::InputAddressed { path } | Self::Fixed { path, .. } => Some(path),
            Self::FloatingCa { .. } | Self::Deferred | Self::Impure { .. } => None,
        }
    }

    /// What kind of output this is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::InputAddressed { .. } => Kind::InputAddressed,
            Self::Fixed { .. } => Kind::Fixed,
            Self::FloatingCa { .. } => Kind::FloatingCa,
            Self::Deferred => Kind::Deferred,
            Self::Impure { .. } => Kind::Impure,
        }
    }
}

/// The kind all outputs of a derivation share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// See [`Output::InputAddressed`].
    InputAddressed,
    /// See [`Output::Fixed`].
    Fixed,
    /// See [`Output::FloatingCa`].
    FloatingCa,
    /// See [`Output::Deferred`].
    Deferred,
    /// See [`Output::Impure`].
    Impure,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InputAddressed => "input-addressed",
            Self::Fixed => "fixed",
            Self::FloatingCa => "floating content-addressed",
            Self::Deferred => "deferred",
            Self::Impure => "impure",
        })
    }
}

/// Names of outputs, each once. Nearly always it is `out` alone, which all
/// derivations that are read share.
pub type OutputNames = Arc<BTreeSet<String>>;

/// `out` alone.
static OUT_ALONE: LazyLock<OutputNames> =
    LazyLock::new(|| Arc::new(BTreeSet::from([OUT.to_owned()])));

/// A derivation. Values are bytes: neither arguments nor the environment need
/// be UTF-8. The name is not part of the text; it stands in the path of the
/// `.drv` file (see [`name_of`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derivation {
    /// What is made, by name.
    pub outputs: ByOutput<Output>,
    /// The derivations whose outputs are inputs, and which outputs.
    pub input_drvs: BTreeMap<StorePath, OutputNames>,
    /// The inputs that are there before any build.
    pub input_srcs: BTreeSet<StorePath>,
    /// The platform, as `x86_64-linux`.
    pub platform: Vec<u8>,
    /// The program that builds.
    pub builder: Vec<u8>,
    /// Its arguments.
    pub args: Vec<Vec<u8>>,
    /// Its environment.
    pub env: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Derivation {
    /// Reads the bytes of a `.drv` file.
    ///
    /// # Errors
    /// Anything but the very bytes Nix would write, with its offset.
    pub fn parse(text: &[u8], store_dir: &StoreDir) -> Result<Self, DerivationError> {
        parse::parse(text, store_dir)
    }

    /// The bytes of the `.drv` file.
    #[must_use]
    pub fn to_aterm(&self, store_dir: &StoreDir) -> Vec<u8> {
        let mut writer = aterm::Writer::default();
        self.write(&mut writer, store_dir, false, |writer| {
            writer.list(&self.input_drvs, |writer, (path, outputs)| {
                writer.raw(b"(");
                writer.plain(store_dir.full(path).as_bytes());
                writer.raw(b",");
                writer.list(&**outputs, |writer, name| writer.plain(name.as_bytes()));
                writer.raw(b")");
            });
        });
        writer.finish()
    }

    /// The text that the hash modulo is the SHA-256 of: `inputs` stand where
    /// the input derivations stood, and with `masked` the own output paths
    /// are left blank (formats.md section 3; `Derivation::unparse`).
    pub(super) fn modulo_text(
        &self,
        store_dir: &StoreDir,
        masked: bool,
        inputs: &BTreeMap<String, BTreeSet<&str>>,
    ) -> Vec<u8> {
        let mut writer = aterm::Writer::default();
        self.write(&mut writer, store_dir, masked, |writer| {
            writer.list(inputs, |writer, (hash, outputs)| {
                writer.raw(b"(");
                writer.plain(hash.as_bytes());
                writer.raw(b",");
                writer.list(outputs, |writer, name| writer.plain(name.as_bytes()));
                writer.raw(b")");
            });
        });
        writer.finish()
    }

    fn write(
        &self,
        writer: &mut aterm::Writer,
        store_dir: &StoreDir,
        masked: bool,
        inputs: impl FnOnce(&mut aterm::Writer),
    ) {
        writer.raw(b"Derive(");
        writer.list(&self.outputs, |writer, (name, output)| {
            let path = match output.path() {
                Some(path) if !masked => store_dir.full(path),
                _ => String::new(),
            };
            let (algorithm, hash) = match output {
                Output::InputAddressed { .. } | Output::Deferred => Default::default(),
                Output::Fixed { method, hash, .. } => {
                    (format!("{}{}", method.file_prefix(), hash.algorithm()), hash.base16())
                }
                Output::FloatingCa { method, algorithm } => {
                    (format!("{}{algorithm}", method.file_prefix()), String::new())
                }
                Output::Impure { method, algorithm } => {
                    (format!("{}{algorithm}", method.file_prefix()), "impure".to_owned())
                }
            };
            let fields = [name, &path, &algorithm, &hash].map(|field| field.as_bytes());
            let [name, path, algorithm, hash] = fields;
            writer.output(name, path, algorithm, hash);
        });
        writer.raw(b",");
        inputs(writer);
        writer.raw(b",");
        writer.list(&self.input_srcs, |writer, path| {
            writer.plain(store_dir.full(path).as_bytes());
        });
        writer.raw(b",");
        writer.plain(&self.platform);
        writer.raw(b",");
        writer.string(&self.builder);
        writer.raw(b",");
        writer.list(&self.args, |writer, arg| writer.string(arg));
        writer.raw(b",");
        writer.list(&self.env, |writer, (name, value)| {
            let own =
                masked && std::str::from_utf8(name).is_ok_and(|n| self.outputs.contains_key(n));
            writer.pair(name, if own { b"" } else { value });
        });
        writer.raw(b")");
    }

    /// The kind of its outputs. [`Derivation::parse`] guarantees that all
    /// are alike.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.outputs.values().next().map_or(Kind::Deferred, Output::kind)
    }

    /// Whether its only output has a hash that is known beforehand.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.kind() == Kind::Fixed
    }

    /// Whether its builder is a function of Nix itself.
    #[must_use]
    pub fn is_builtin(&self) -> bool {
        self.builder.starts_with(b"builtin:")
    }

    /// The store paths the `.drv` file refers to.
    #[must_use]
    pub fn references(&self) -> BTreeSet<StorePath> {
        self.input_srcs.iter().chain(self.input_drvs.keys()).cloned().collect()
    }

    /// The path of its `.drv` file.
    ///
    /// # Errors
    /// `name` cannot be part of a store path.
    pub fn drv_path(
        &self,
        name: &str,
        store_dir: &StoreDir,
    ) -> Result<StorePath, ContentAddressError> {
        drv_path(&self.to_aterm(store_dir), &self.references(), name, store_dir)
    }

    /// A variable of its environment.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&[u8]> {
        self.env.get(name.as_bytes()).map(Vec::as_slice)
    }
}
