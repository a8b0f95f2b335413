//! Objects of the local store that its database does not know, held against
//! what trusted sources say of their paths: whoever follows the path finds
//! them there, registered or not.

use std::io;
use std::os::fd::AsFd as _;

use rustix::fs::{Mode, OFlags};

use super::{Surveyor, local};
use crate::check::cache::rules::{LOCAL_STORE_DIFFERS, UNREGISTERED_PATH};
use crate::check::cache::{Answer, PathId, Survey, versions};
use crate::check::{Finding, Inconclusive, Reason};
use crate::gather::nar::tree::{TreeError, TreeOptions, hash_at};
use crate::gather::store::local::LocalStore;
use crate::nix::hash::NarHash;
use crate::nix::store_path::StorePath;

impl Surveyor<'_> {
    /// Reads the unregistered objects at `wanted` paths of which somebody
    /// trusted says what they have to be. Of the others nothing is known, and
    /// nothing passes.
    pub(super) fn read_unregistered(&self, survey: &mut Survey, wanted: &impl Fn(PathId) -> bool) {
        let Some(store) = self.local else { return };
        let source = self.caches.len();
        for subject in survey.subjects.iter_mut().filter(|subject| wanted(subject.id)) {
            let unregistered = matches!(
                subject.answers.get(source),
                Some(Answer::Bad(finding)) if finding.rule == &UNREGISTERED_PATH
            );
            let Some(path) = survey.table.path(subject.id).filter(|_| unregistered) else {
                continue;
            };
            let right = versions(subject).into_iter().find(|version| version.is_trusted());
            let Some((hash, size)) = right.map(|version| (version.nar_hash, version.nar_size))
            else {
                continue;
            };
            let name = self.judge.store_dir.full(path);
            let differs = |what: &str| {
                let message = format!(
                    "the {} holds an unregistered object there that {what}",
                    local::name(store)
                );
                Finding::new(&LOCAL_STORE_DIFFERS, name.as_str(), message)
                    .with("trusted NarHash", hash)
            };
            match hash_object(store, path) {
                Ok(found) if found == (hash, size) => {}
                Ok((found, _)) => {
                    let finding = differs("is not what the trusted claim says");
                    subject.findings.push(finding.with("found NarHash", found));
                }
                Err(
                    error @ (TreeError::Type { .. } | TreeError::Depth(_) | TreeError::Name { .. }),
                ) => subject.findings.push(differs(&format!("cannot be a store object: {error}"))),
                Err(error) => survey.unanswered.push(Inconclusive {
                    subject: name.clone(),
                    check: format!("content of {}", local::name(store)),
                    reason: Reason::Unreachable,
                    detail: error.to_string(),
                }),
            }
        }
    }
}

fn hash_object(store: &LocalStore, path: &StorePath) -> Result<(NarHash, u64), TreeError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(store.directory(), flags, Mode::empty()).map_err(|error| {
        TreeError::Io {
            action: "open",
            path: store.directory().to_owned(),
            source: io::Error::from(error),
        }
    })?;
    let (name, shown) = (path.to_string(), store.host_path(path));
    hash_at(directory.as_fd(), name.as_ref(), &shown, &TreeOptions::default(), &mut [])
}
