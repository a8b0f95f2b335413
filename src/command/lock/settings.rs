//! Which configuration counts.
//!
//! With `--base REV` it is the one of the base revision, so that a change
//! cannot silence its own judge. `--config` wins over everything. One that is
//! there and does not count is reported.

use std::path::Path;

use super::super::cli::LockArgs;
use super::super::deliver::show;
use super::super::{Environment, ToolError};
use crate::check::Finding;
use crate::check::lock::config::{Config, MAX_LEN};
use crate::check::lock::suppress::CONFIG_NOT_USED;
use crate::check::registry;
use crate::gather::lock::files::{Base, read_if_there};
use crate::gather::named::input;
use crate::report::lock::ConfigOrigin;

/// Its name, beside the lock.
const NAME: &str = ".verify.toml";

/// The configuration that counts.
pub(super) struct Settings {
    /// What it says.
    pub config: Config,
    /// Where it is from.
    pub origin: ConfigOrigin,
    /// The name it is shown by, and its text.
    pub text: Option<(String, String)>,
    /// Why another one was not used.
    not_used: Option<(String, String)>,
}

impl Settings {
    /// Finds the configuration.
    ///
    /// # Errors
    /// One that counts and cannot be read, or makes no sense.
    pub fn find(
        args: &LockArgs,
        lock: &Path,
        base: Option<&Base>,
        environment: &Environment,
    ) -> Result<Self, ToolError> {
        let beside = lock.with_file_name(NAME);
        let there = || {
            read_if_there(&beside, MAX_LEN)
                .map_err(|error| ToolError::failed("read the configuration", error))
        };
        if let Some(path) = &args.config {
            let name = show(path);
            let bytes = input::read(&environment.absolute(path), MAX_LEN)
                .map_err(|error| ToolError::failed("read the configuration", error))?;
            return Self::parse(name.clone(), &bytes, ConfigOrigin::Named(name));
        }
        let shown = show(&beside_as_named(args, NAME));
        match base {
            None => match there()? {
                Some(bytes) => Self::parse(shown.clone(), &bytes, ConfigOrigin::Beside(shown)),
                None => Ok(Self::none()),
            },
            Some(Base::File { .. }) => {
                let mut settings = Self::none();
                if there()?.is_some() {
                    settings.not_used = Some((
                        shown,
                        "it stands beside the lock under audit, and a change must not bring its own judge: name it with --config, or give a revision as --base".to_owned(),
                    ));
                }
                Ok(settings)
            }
            Some(Base::Commit(commit)) => {
                let then = match commit.inside(&beside) {
                    Some(inside) => commit.read(&inside, MAX_LEN).map_err(|error| {
                        ToolError::failed("read the configuration of the base", error)
                    })?,
                    None => None,
                };
                let differs = there()? != then;
                let revision = commit.revision.clone();
                let mut settings = match then {
                    Some(bytes) => {
                        let name = shown.clone();
                        Self::parse(
                            name,
                            &bytes,
                            ConfigOrigin::Base { name: shown.clone(), revision: revision.clone() },
                        )?
                    }
                    None => Self::none(),
                };
                if differs {
                    settings.not_used = Some((
                        shown,
                        format!("it is not as it was in {revision}; the one of then counts"),
                    ));
                }
                Ok(settings)
            }
        }
    }

    fn none() -> Self {
        Self { config: Config::default(), origin: ConfigOrigin::None, text: None, not_used: None }
    }

    fn parse(name: String, bytes: &[u8], origin: ConfigOrigin) -> Result<Self, ToolError> {
        let is_rule = |id: &str| registry::rule(id).is_some();
        let config = Config::parse(bytes, is_rule)
            .map_err(|error| ToolError::failed(format!("use the configuration '{name}'"), error))?;
        let text = String::from_utf8_lossy(bytes).into_owned();
        Ok(Self { config, origin, text: Some((name, text)), not_used: None })
    }

    /// What is to be said about the configuration itself.
    pub fn findings(&self, _lock: &str) -> Vec<Finding> {
        self.not_used
            .iter()
            .map(|(name, why)| {
                Finding::new(&CONFIG_NOT_USED, name.as_str(), format!("{name} is not used: {why}"))
            })
            .collect()
    }
}

/// A file beside the lock, named as the lock was named.
fn beside_as_named(args: &LockArgs, name: &str) -> std::path::PathBuf {
    match &args.path {
        None => name.into(),
        Some(path) if path.extension().is_some() => path.with_file_name(name),
        Some(path) => path.join(name),
    }
}
