//! `--graph`: the graph of a rebuild as a file.

use std::path::{Path, PathBuf};

use super::super::deliver::show;
use super::super::{Environment, ToolError};
use crate::check::rebuild::facts::Rebuild;
use crate::nix::store_path::StoreDir;
use crate::report::drawing::{Format, draw};
use crate::report::{Trouble, rebuild as render};
use crate::state::atomic;

/// Where the picture goes.
#[derive(Debug)]
pub struct Picture {
    /// As it was named.
    named: PathBuf,
    file: PathBuf,
    format: Format,
}

impl Picture {
    /// By the options.
    ///
    /// # Errors
    /// A name that says no format.
    pub fn of(named: Option<&Path>, environment: &Environment) -> Result<Option<Self>, ToolError> {
        let Some(named) = named else { return Ok(None) };
        let format = Format::of(&named.to_string_lossy()).ok_or_else(|| {
            ToolError::Usage(format!(
                "--graph: '{}' does not end in .svg or .dot, which says what to write",
                show(named)
            ))
        })?;
        let file = environment.absolute(named);
        Ok(Some(Self { named: named.to_owned(), file, format }))
    }

    /// Draws and writes it, whole or not at all. What goes wrong takes nothing
    /// from the report.
    #[must_use]
    pub fn write(&self, rebuild: &Rebuild, store_dir: &StoreDir) -> Option<Trouble> {
        let what = || format!("could not write the graph to '{}'", show(&self.named));
        let text = match draw(&render::drawing(rebuild, store_dir), self.format) {
            Ok(text) => text,
            Err(error) => {
                return Some(Trouble { message: what(), causes: vec![error.to_string()] });
            }
        };
        let error = atomic::write_output(&self.file, text.as_bytes()).err()?;
        let mut trouble = Trouble::from_error(&error);
        trouble.causes.insert(0, trouble.message);
        trouble.message = what();
        Some(trouble)
    }
}
