//! Progress on a terminal, fed from several threads.
//!
//! Everything goes to standard error and only when that is a terminal, so
//! standard output carries the report alone. What is shown is gone before the
//! report is written.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::text::printable;

/// How often spinners turn.
const TICK: Duration = Duration::from_millis(120);

/// What a phase counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things: paths, builds.
    Items,
    /// Bytes.
    Bytes,
}

/// Where progress is shown. Clones feed the same place.
#[derive(Debug, Clone)]
pub struct Progress {
    shown: Option<MultiProgress>,
    quiet: bool,
    warned: Arc<Mutex<Vec<String>>>,
}

impl Progress {
    /// Shows nothing, warnings apart.
    #[must_use]
    pub fn silent() -> Self {
        Self { shown: None, quiet: false, warned: Arc::default() }
    }

    /// Shows progress on standard error when `terminal`, and nothing at all
    /// when `quiet`.
    #[must_use]
    pub fn new(terminal: bool, quiet: bool) -> Self {
        let shown = (terminal && !quiet)
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(12)));
        Self { shown, quiet, warned: Arc::default() }
    }

    /// Begins a phase: a line with a name, a bar when `total` is known, and
    /// counts. It ends when the handle is dropped.
    #[must_use]
    pub fn phase(&self, name: &str, unit: Unit, total: Option<u64>) -> Phase {
        let bar = self.shown.as_ref().map(|all| {
            let bar = all.add(total.map_or_else(ProgressBar::no_length, ProgressBar::new));
            bar.set_style(style(unit, total.is_some()));
            bar.set_prefix(printable(name).into_owned());
            bar.enable_steady_tick(TICK);
            bar
        });
        Phase { bar, unit }
    }

    /// Shows one thing that is being worked on, such as a build; it goes when
    /// the handle is dropped.
    #[must_use]
    pub fn item(&self, name: &str) -> Item {
        let bar = self.shown.as_ref().map(|all| {
            let bar = all.add(ProgressBar::new_spinner());
            if let Ok(style) =
                ProgressStyle::with_template("  {spinner} {prefix} {elapsed} {wide_msg}")
            {
                bar.set_style(style);
            }
            bar.set_prefix(printable(name).into_owned());
            bar.enable_steady_tick(TICK);
            bar
        });
        Item { bar }
    }

    /// Says something that is worth a line of its own while work goes on; on
    /// a terminal only.
    pub fn note(&self, text: &str) {
        if let Some(all) = &self.shown {
            // A terminal that went away takes its notes with it.
            let _ = all.println(printable(text));
        }
    }

    /// Says once what the user should know although the run goes on; also
    /// when standard error is no terminal, but not when quiet.
    pub fn warn(&self, text: &str) {
        if self.quiet {
            return;
        }
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.iter().any(|before| before == text) {
            return;
        }
        warned.push(text.to_owned());
        let line = format!("verify: warning: {}", printable(text));
        match &self.shown {
            Some(all) => {
                let _ = all.println(line);
            }
            None => {
                let _ = writeln!(std::io::stderr(), "{line}");
            }
        }
    }

    /// Takes everything off the terminal.
    pub fn clear(&self) {
        if let Some(all) = &self.shown {
            let _ = all.clear();
            all.set_draw_target(ProgressDrawTarget::hidden());
        }
    }
}

fn style(unit: Unit, bounded: bool) -> ProgressStyle {
    let template = match (unit, bounded) {
        (Unit::Items, true) => "{prefix:<12} [{bar:24}] {pos}/{len} {per_sec} eta {eta} {wide_msg}",
        (Unit::Items, false) => "{prefix:<12} {spinner} {pos} {per_sec} {elapsed} {wide_msg}",
        (Unit::Bytes, true) => {
            "{prefix:<12} [{bar:24}] {bytes}/{total_bytes} {bytes_per_sec} eta {eta} {wide_msg}"
        }
        (Unit::Bytes, false) => "{prefix:<12} {spinner} {bytes} {bytes_per_sec} {wide_msg}",
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// A phase under way; may be shared by threads.
#[derive(Debug)]
pub struct Phase {
    bar: Option<ProgressBar>,
    unit: Unit,
}

impl Phase {
    /// `count` more are done.
    pub fn advance(&self, count: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(count);
        }
    }

    /// `count` more are to be done.
    pub fn grow(&self, count: u64) {
        if let Some(bar) = &self.bar {
            if bar.length().is_none() {
                bar.set_style(style(self.unit, true));
            }
            bar.inc_length(count);
        }
    }

    /// What is being done right now.
    pub fn message(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(printable(text).into_owned());
        }
    }
}

impl Drop for Phase {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// One thing being worked on.
#[derive(Debug)]
pub struct Item {
    bar: Option<ProgressBar>,
}

impl Item {
    /// The newest line about it, such as the last of a build's log.
    pub fn message(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(printable(text).into_owned());
        }
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
