//! Building once more on what we made ourselves, where that is not what is
//! claimed.
//!
//! A derivation is judged by its build on the inputs as claimed. Where one of
//! those inputs came out otherwise when we built it, this builds what reads it
//! a second time, on ours, and so on upwards as long as differences are handed
//! on. Says what our own chain of builds gives; judges nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::builds::{Builds, Done};
use super::closure::bottom_up;
use super::shelf::{Shelf, contents, lack, rebuilt};
use crate::build::{BuildError, BuiltOutput, schedule};
use crate::check::Reason;
use crate::check::rebuild::facts::{ChainBuild, Production};
use crate::gather::inputs::Object;
use crate::nix::store_path::StorePath;
use crate::report::progress::Unit;
use crate::state::BuildDir;

/// A second build.
#[derive(Debug)]
pub struct Again {
    /// What came of it.
    pub facts: ChainBuild,
    /// The trees of its outputs, of those that have to be looked at.
    pub trees: BTreeMap<String, PathBuf>,
    /// Our own failure.
    pub trouble: Option<BuildError>,
    /// Keeps the outputs on disk while others may read them.
    _room: Option<Arc<BuildDir>>,
}

/// Where our own chain stands.
struct Own {
    /// What is at hand, with our own outputs in place of those claimed.
    shelf: Shelf,
    /// Paths that we made otherwise than is claimed.
    diverged: BTreeSet<StorePath>,
    /// Paths that we could not make, with the derivation it is down to.
    broken: BTreeMap<StorePath, StorePath>,
}

/// The second builds of a run.
pub struct OwnChain<'a> {
    /// The first builds.
    pub builds: &'a Builds<'a>,
    /// What came of them.
    pub done: &'a BTreeMap<StorePath, Done>,
    /// What was at hand for them in the end.
    pub shelf: &'a Shelf,
}

impl OwnChain<'_> {
    /// Builds all that has to be built again. What came of each derivation that
    /// reads something we made otherwise, or could not make.
    #[must_use]
    pub fn run(&self) -> BTreeMap<StorePath, Again> {
        let touched = self.touched();
        let own =
            Own { shelf: self.shelf.clone(), diverged: BTreeSet::new(), broken: BTreeMap::new() };
        let own = Mutex::new(own);
        // What stands on nothing that diverged is as it was built.
        for (drv_path, done) in self.done.iter().filter(|(path, _)| !touched.contains(path)) {
            self.take_over(drv_path, done, &mut lock(&own));
        }
        let needs = self.needs(&touched);
        let total = u64::try_from(needs.len()).ok();
        let phase = (!needs.is_empty())
            .then(|| self.builds.progress.phase("building on our own inputs", Unit::Items, total));
        let finished = schedule::run(&needs, self.builds.settings.jobs, |drv_path| {
            let again = self.again(drv_path, &own);
            if let Some(phase) = &phase {
                phase.advance(1);
            }
            again
        });
        let results = finished.results.into_iter();
        results.filter_map(|(drv_path, again)| Some((drv_path, again?))).collect()
    }

    /// The derivations that may have to be built again: those that read, even
    /// by way of others, what we made otherwise or could not make.
    fn touched(&self) -> BTreeSet<&StorePath> {
        let mut paths: BTreeSet<&StorePath> = BTreeSet::new();
        let mut touched = BTreeSet::new();
        for drv_path in bottom_up(self.builds.graph, self.done.keys()) {
            let Some(done) = self.done.get(drv_path) else { continue };
            let reads = done.inputs.iter().any(|path| paths.contains(path));
            if reads {
                touched.insert(drv_path);
            }
            for (name, path) in self.read_outputs(drv_path, done) {
                let other = match done.outputs.get(name) {
                    Some(output) => self.is_otherwise(output),
                    None => true,
                };
                if reads || other {
                    paths.insert(path);
                }
            }
        }
        touched
    }

    /// Which of the touched derivations come before which.
    fn needs(&self, touched: &BTreeSet<&StorePath>) -> schedule::Needs<StorePath> {
        let mut makers: BTreeMap<&StorePath, &StorePath> = BTreeMap::new();
        for drv_path in touched {
            let Some(done) = self.done.get(*drv_path) else { continue };
            makers.extend(self.read_outputs(drv_path, done).map(|(_, path)| (path, *drv_path)));
        }
        touched
            .iter()
            .filter_map(|drv_path| Some((*drv_path, self.done.get(*drv_path)?)))
            .map(|(drv_path, done)| {
                let needs = done.inputs.iter().filter_map(|path| makers.get(path).copied());
                (drv_path.clone(), needs.filter(|need| *need != drv_path).cloned().collect())
            })
            .collect()
    }

    /// The outputs of a derivation that others read, by name: where several
    /// derivations make one path, only one of them counts.
    fn read_outputs<'s>(
        &'s self,
        drv_path: &'s StorePath,
        done: &'s Done,
    ) -> impl Iterator<Item = (&'s str, &'s StorePath)> {
        let checked = self.builds.graph.usable(drv_path).map(|(_, checked)| checked);
        let planned = checked.into_iter().flat_map(|checked| &checked.outputs);
        planned.filter_map(move |(name, path)| {
            let path = match path {
                Some(path) => path,
                None => &done.outputs.get(name)?.path,
            };
            let own = self.builds.graph.producer(path).is_none_or(|(maker, _)| maker == drv_path);
            (own && self.shelf.objects.contains_key(path)).then_some((name.as_str(), path))
        })
    }

    /// Whether what others read at that path is not what we built.
    fn is_otherwise(&self, output: &BuiltOutput) -> bool {
        is_read_otherwise(&self.shelf.objects, output)
    }

    /// Puts what a first build gave in the place of what is claimed.
    fn take_over(&self, drv_path: &StorePath, done: &Done, own: &mut Own) {
        for (name, path) in self.read_outputs(drv_path, done) {
            match done.outputs.get(name) {
                Some(output) if self.is_otherwise(output) => {
                    own.diverged.insert(path.clone());
                    own.shelf.objects.insert(path.clone(), rebuilt(drv_path, output));
                }
                Some(_) => {}
                None => {
                    own.broken.insert(path.clone(), drv_path.clone());
                }
            }
        }
    }

    /// Builds one derivation again if it reads anything that is otherwise.
    fn again(&self, drv_path: &StorePath, own: &Mutex<Own>) -> Option<Again> {
        let done = self.done.get(drv_path)?;
        let mut state = lock(own);
        let diverged: BTreeSet<StorePath> =
            done.inputs.iter().filter(|path| state.diverged.contains(*path)).cloned().collect();
        let broken = done.inputs.iter().find_map(|path| state.broken.get_key_value(path));
        if !matches!(done.production, Production::Built)
            || (diverged.is_empty() && broken.is_none())
        {
            self.take_over(drv_path, done, &mut state);
            return None;
        }
        let job = match broken {
            Some((path, root)) => Err((
                BTreeSet::from([path.clone()]),
                root.clone(),
                lack(Reason::BlockedBy, format!("{root} could not be built by us")),
            )),
            None => self
                .builds
                .assembly()
                .job(drv_path, &state.shelf)
                .map_err(|lack| (BTreeSet::new(), drv_path.clone(), lack)),
        };
        let job = match job {
            Ok(job) => job,
            Err((lost, root, lack)) => {
                self.break_off(drv_path, done, &root, &mut state);
                let production = Production::Missing {
                    reason: lack.reason,
                    detail: lack.detail,
                    tail: Vec::new(),
                };
                let diverged = diverged.into_iter().chain(lost).collect();
                let facts = ChainBuild {
                    diverged,
                    production,
                    outputs: BTreeMap::new(),
                    contrasts: BTreeMap::new(),
                };
                return Some(Again { facts, trees: BTreeMap::new(), trouble: None, _room: None });
            }
        };
        drop(state);
        let second = self.builds.perform(&job);
        let mut state = lock(own);
        if second.outputs.is_empty() {
            self.break_off(drv_path, done, drv_path, &mut state);
        }
        let mut handed_on = false;
        for (name, output) in &second.outputs {
            handed_on |= self.hand_on(drv_path, name, done, output, &mut state);
        }
        let looked_at = |made: &&BuiltOutput| (self.builds.looked_at)(made);
        let trees: BTreeMap<String, PathBuf> = second
            .outputs
            .iter()
            .filter(|(_, made)| looked_at(made))
            .map(|(name, made)| (name.clone(), made.host_path.clone()))
            .collect();
        let outputs = second.outputs.iter();
        let outputs =
            outputs.map(|(name, made)| (name.clone(), (made.path.clone(), contents(made))));
        Some(Again {
            facts: ChainBuild {
                diverged,
                production: second.production.clone(),
                outputs: outputs.collect(),
                contrasts: BTreeMap::new(),
            },
            _room: second.room.clone().filter(|_| handed_on || !trees.is_empty()),
            trees,
            trouble: second.trouble,
        })
    }

    /// Nothing above can be built on what this derivation did not make.
    fn break_off(&self, drv_path: &StorePath, done: &Done, root: &StorePath, own: &mut Own) {
        for (_, path) in self.read_outputs(drv_path, done) {
            own.broken.insert(path.clone(), root.clone());
        }
    }

    /// Puts a second output in the place of what others read so far. True if
    /// that makes a difference.
    fn hand_on(
        &self,
        drv_path: &StorePath,
        name: &str,
        done: &Done,
        output: &BuiltOutput,
        own: &mut Own,
    ) -> bool {
        let before = done.outputs.get(name).map(|before| &before.path);
        let read = self.read_outputs(drv_path, done).any(|(known, _)| known == name);
        if !read || (before == Some(&output.path) && !self.is_otherwise(output)) {
            return false;
        }
        own.diverged.extend(before.cloned());
        own.diverged.insert(output.path.clone());
        own.shelf.objects.insert(output.path.clone(), rebuilt(drv_path, output));
        own.shelf.realised.insert((drv_path.clone(), name.to_owned()), output.path.clone());
        true
    }
}

/// The lock, even when a worker panicked: the panic itself is passed on.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether an object that builds read is not what `output` of ours is.
#[must_use]
pub fn is_read_otherwise(objects: &BTreeMap<StorePath, Object>, output: &BuiltOutput) -> bool {
    objects.get(&output.path).is_some_and(|object| contents(output) != object.contents())
}
