//! Whose attestations count, and how many of them are asked for.

use std::num::NonZero;
use std::path::Path;

use clap::Args;

use crate::check::operators::Operators;
use crate::command::options::KeyOptions;
use crate::command::sources::operators_and_keys;
use crate::command::{Environment, ToolError};
use crate::gather::named::keys;
use crate::nix::signature::{SignatureError, TrustedKeys};

/// Whose attestations count, and how many have to agree.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sources and trust")]
pub struct TrustOptions {
    /// How many have to attest the same content: operators (--operators), else keys
    #[arg(long, value_name = "K", default_value = "1")]
    pub min_agree: NonZero<usize>,
    /// Whose signatures count.
    #[command(flatten)]
    pub keys: KeyOptions,
    /// A public key in PEM whose signatures count; may be repeated
    #[arg(long = "trusted-pem", value_name = "[NAME=]FILE")]
    pub trusted_pems: Vec<String>,
}

impl TrustOptions {
    /// The operators, and every key whose signatures count.
    ///
    /// # Errors
    /// Files that cannot be read, and keys and operators that make no sense.
    pub fn open(&self, environment: &Environment) -> Result<(Operators, TrustedKeys), ToolError> {
        let (operators, mut trusted) = operators_and_keys(&self.keys, environment)?;
        for text in &self.trusted_pems {
            let usage = |error: SignatureError| ToolError::Usage(format!("--trusted-pem: {error}"));
            let (name, file) = match text.split_once('=') {
                Some((name, file)) => (Some(name.parse().map_err(usage)?), file),
                None => (None, text.as_str()),
            };
            let key = keys::public_key(&environment.absolute(Path::new(file)), name)
                .map_err(|error| ToolError::failed("use a trusted key", error))?;
            trusted.insert(key).map_err(usage)?;
        }
        Ok((operators, trusted))
    }

    /// How many have to agree, of so many witnesses that there are.
    ///
    /// # Errors
    /// So many are not even trusted.
    pub fn min_agree(&self, witnesses: usize) -> Result<usize, ToolError> {
        let wanted = self.min_agree.get();
        if wanted > 1 && wanted > witnesses {
            return Err(ToolError::Usage(format!(
                "--min-agree {wanted} can never be met: {witnesses} keys or operators are trusted"
            )));
        }
        Ok(wanted)
    }
}
