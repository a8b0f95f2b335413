//! Two NARs in lock step.

use std::fmt;
use std::io::Read;

use super::budget::Budget;
use super::clues::{Cause, Clues, Context};
use super::content::{self, Contents};
use super::explanation::{Certainty, Change, Class, EntryDifference, Explanation, Item, Tally};
use super::generic::unknown;
use super::hunks::align;
use super::side::{Side, Step, item};
use super::{MAX_NAMED, inside, words};
use crate::nix::nar::NarError;

/// Which of the two NARs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one that is claimed, or the first.
    Claimed,
    /// The one we built, or the second.
    Ours,
}

impl Which {
    pub(super) fn failed(self) -> impl FnOnce(NarError) -> ExplainError {
        move |source| ExplainError { which: self, source }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Claimed => "first",
            Self::Ours => "second",
        })
    }
}

/// One of the NARs could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the {which} of the two NARs cannot be read")]
pub struct ExplainError {
    /// Which one.
    pub which: Which,
    /// Why.
    pub source: NarError,
}

/// Says where and why `ours` is not what is `claimed`. Both are read to their
/// ends.
///
/// # Errors
/// A NAR that is malformed or cannot be read.
pub fn explain(
    claimed: impl Read,
    ours: impl Read,
    context: &Context,
) -> Result<Explanation, ExplainError> {
    let budget = Budget::default();
    let walk = Walk {
        claimed: Side::new(claimed),
        ours: Side::new(ours),
        context,
        budget: &budget,
        tally: Tally::default(),
        alone: Vec::new(),
    };
    walk.run()
}

/// Entries that only one side has and that may be the same under two names:
/// every pair is tried.
const MAX_PAIRED: usize = 64;

/// The next entry of a directory, once it is known.
#[derive(Debug, Default)]
enum Slot {
    #[default]
    Open,
    Name(Vec<u8>),
    Ended,
}

/// A directory that both have.
#[derive(Debug)]
struct Level {
    /// Length of its path.
    path: usize,
    claimed: Slot,
    ours: Slot,
}

struct Walk<'c, A, B> {
    claimed: Side<A>,
    ours: Side<B>,
    context: &'c Context,
    budget: &'c Budget,
    tally: Tally,
    /// Entries that only one side has.
    alone: Vec<EntryDifference>,
}

impl<A: Read, B: Read> Walk<'_, A, B> {
    fn run(mut self) -> Result<Explanation, ExplainError> {
        let mut path = Vec::new();
        let mut levels: Vec<Level> = Vec::new();
        if self.node(&path)? {
            levels.push(Level { path: 0, claimed: Slot::Open, ours: Slot::Open });
        }
        while let Some(level) = levels.last_mut() {
            path.truncate(level.path);
            fill(&mut level.claimed, &mut self.claimed).map_err(Which::Claimed.failed())?;
            fill(&mut level.ours, &mut self.ours).map_err(Which::Ours.failed())?;
            let (claimed, ours) = match (&level.claimed, &level.ours) {
                (Slot::Name(a), Slot::Name(b)) if a == b => (true, true),
                (Slot::Name(a), Slot::Name(b)) => (a < b, b < a),
                (Slot::Name(_), _) => (true, false),
                (_, Slot::Name(_)) => (false, true),
                _ => {
                    levels.pop();
                    continue;
                }
            };
            let mut name = Vec::new();
            if claimed {
                name = taken(&mut level.claimed);
            }
            if ours {
                name = taken(&mut level.ours);
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
            if claimed && ours {
                if self.node(&path)? {
                    levels.push(Level { path: path.len(), claimed: Slot::Open, ours: Slot::Open });
                }
            } else {
                self.alone(&path, claimed)?;
            }
        }
        // Nothing may follow the last node, and only the readers can tell.
        self.claimed.step().map_err(Which::Claimed.failed())?;
        self.ours.step().map_err(Which::Ours.failed())?;
        pair(&mut self.alone, self.context);
        for entry in self.alone {
            self.tally.add(entry, MAX_NAMED);
        }
        Ok(self.tally.finish())
    }

    /// Compares what both have at a path; whether both have a directory there.
    fn node(&mut self, path: &[u8]) -> Result<bool, ExplainError> {
        let a = self.claimed.step().map_err(Which::Claimed.failed())?;
        let b = self.ours.step().map_err(Which::Ours.failed())?;
        self.count();
        let mut changes = Vec::new();
        let mut bytes = None;
        let budget = self.budget;
        let mut clues = Clues::new(self.context, budget);
        match (&a, &b) {
            (Step::Directory, Step::Directory) => return Ok(true),
            (
                Step::File { executable: x, size: claimed_size },
                Step::File { executable: y, size: our_size },
            ) => {
                if x != y {
                    changes.push(Change::Executable);
                    clues.add(executable(*x, *y));
                }
                let sizes = (*claimed_size, *our_size);
                match content::compare(&mut self.claimed, &mut self.ours, sizes, budget)? {
                    Contents::Equal => {}
                    Contents::Held { claimed, ours, permit } => {
                        changes.push(Change::Contents);
                        bytes = Some(content::difference(&claimed, &ours, &align(&claimed, &ours)));
                        inside::compare(&claimed, &ours, &mut clues);
                        drop(permit);
                    }
                    Contents::Streamed { difference, samples } => {
                        changes.push(Change::Contents);
                        bytes = Some(difference);
                        clues.note("too large to look inside; only places of it were judged");
                        for (x, y) in &samples {
                            super::generic::compare(x, y, &mut clues);
                        }
                        clues.add(unknown("too large to look inside", b"", b""));
                    }
                }
            }
            (Step::Symlink(x), Step::Symlink(y)) => {
                if x != y {
                    changes.push(Change::Target);
                    for cause in text_causes(self.context, x, y) {
                        clues.add(cause);
                    }
                }
            }
            _ => {
                changes.push(Change::Kind);
                let kind = |step| item(step).map_or("nothing", |item| item.kind());
                let (x, y) = (kind(&a), kind(&b));
                clues.add(unknown("another kind of entry", x.as_bytes(), y.as_bytes()));
                let mut entries = 0;
                self.claimed.skip(&a, &mut entries).map_err(Which::Claimed.failed())?;
                self.ours.skip(&b, &mut entries).map_err(Which::Ours.failed())?;
            }
        }
        self.finish(path, (item(&a), item(&b)), changes, bytes, clues);
        Ok(false)
    }

    /// An entry that only one side has.
    fn alone(&mut self, path: &[u8], claimed: bool) -> Result<(), ExplainError> {
        self.count();
        let mut entries = 0_u64;
        let (found, change) = if claimed {
            let step = self.claimed.step().map_err(Which::Claimed.failed())?;
            let found = self.claimed.skip(&step, &mut entries);
            (found.map_err(Which::Claimed.failed())?, Change::OnlyClaimed)
        } else {
            let step = self.ours.step().map_err(Which::Ours.failed())?;
            let found = self.ours.skip(&step, &mut entries);
            (found.map_err(Which::Ours.failed())?, Change::OnlyOurs)
        };
        let what = if claimed { "only the claimed one has it" } else { "only ours has it" };
        let mut clues = Clues::new(self.context, self.budget);
        clues.add(unknown(what, b"", b""));
        let (claimed, ours) = if claimed { (found, None) } else { (None, found) };
        let (path, changes, bytes) = (path.to_vec(), vec![change], None);
        let clues = clues.finish().0;
        let entry = EntryDifference { path, changes, claimed, ours, bytes, clues };
        if self.alone.len() < MAX_PAIRED {
            self.alone.push(entry);
        } else {
            self.tally.add(entry, MAX_NAMED);
        }
        Ok(())
    }

    fn count(&mut self) {
        let compared = &mut self.tally.explanation.compared;
        *compared = compared.saturating_add(1);
    }

    fn finish(
        &mut self,
        path: &[u8],
        (claimed, ours): (Option<Item>, Option<Item>),
        changes: Vec<Change>,
        bytes: Option<super::ByteDifference>,
        clues: Clues<'_>,
    ) {
        if changes.is_empty() {
            return;
        }
        let (clues, notes) = clues.finish();
        for note in notes {
            self.tally.note(format!("{}: {note}", String::from_utf8_lossy(path)));
        }
        let path = path.to_vec();
        self.tally.add(EntryDifference { path, changes, claimed, ours, bytes, clues }, MAX_NAMED);
    }
}

fn fill<R: Read>(slot: &mut Slot, side: &mut Side<R>) -> Result<(), NarError> {
    if matches!(slot, Slot::Open) {
        *slot = match side.step()? {
            Step::Entry(name) => Slot::Name(name),
            _ => Slot::Ended,
        };
    }
    Ok(())
}

fn taken(slot: &mut Slot) -> Vec<u8> {
    match std::mem::take(slot) {
        Slot::Name(name) => name,
        Slot::Open | Slot::Ended => Vec::new(),
    }
}

fn executable(claimed: bool, ours: bool) -> Cause {
    let word = |executable: bool| if executable { "executable" } else { "not executable" };
    let (claimed, ours) = (word(claimed).as_bytes(), word(ours).as_bytes());
    Cause::new(Class::Permissions, Certainty::Certain, "executable bit", claimed, ours)
}

/// The causes of a difference in one short text.
fn text_causes(context: &Context, a: &[u8], b: &[u8]) -> Vec<Cause> {
    let hunks = align(a, b);
    let causes = hunks.list.iter().flat_map(|hunk| {
        words::causes(context, a, b, (&hunk.a, &hunk.b))
            .filter(|causes| !causes.is_empty())
            .unwrap_or_else(|| vec![unknown("other text", a, b)])
    });
    causes.collect()
}

/// Finds entries that stand under another name on the other side, where the
/// names differ for a known reason, and says so on both.
fn pair(entries: &mut [EntryDifference], context: &Context) {
    let (mut claimed, mut ours): (Vec<_>, Vec<_>) =
        entries.iter_mut().partition(|entry| entry.claimed.is_some());
    for entry in &mut claimed {
        let other = ours.iter().position(|other| renamed(entry, other, context).is_some());
        let Some(other) = other.map(|at| ours.swap_remove(at)) else { continue };
        let Some(causes) = renamed(entry, other, context) else { continue };
        let budget = Budget::default();
        let mut clues = Clues::new(context, &budget);
        clues.within("its name".to_owned(), |clues| {
            causes.into_iter().for_each(|cause| clues.add(cause));
        });
        let clues = clues.finish().0;
        other.clues.clone_from(&clues);
        entry.clues = clues;
    }
}

/// Why two entries may be one under two names.
fn renamed(a: &EntryDifference, b: &EntryDifference, context: &Context) -> Option<Vec<Cause>> {
    let parent = |path: &'_ [u8]| {
        path.iter()
            .rposition(|byte| *byte == b'/')
            .and_then(|at| path.get(..at))
            .map(<[u8]>::to_vec)
    };
    let alike = match (a.claimed.as_ref()?, b.ours.as_ref()?) {
        (Item::File { size: x, .. }, Item::File { size: y, .. }) => x.abs_diff(*y) <= x / 8 + 64,
        (x, y) => x.kind() == y.kind(),
    };
    if !alike || parent(&a.path) != parent(&b.path) {
        return None;
    }
    let causes = text_causes(context, &a.path, &b.path);
    let known = causes.iter().all(|cause| cause.class != Class::Unknown);
    (known && !causes.is_empty()).then_some(causes)
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
