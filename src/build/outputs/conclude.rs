//! The final path of one output, and its content as it is under that path.

use super::measure::Measured;
use super::rejection::Rejection;
use super::{Finish, Halt, Pending, content, handles, rewrite};
use crate::build::{BuildError, BuiltOutput, FailureReason};
use crate::nix::content_address::{ContentAddress, Method, References};
use crate::nix::derivation::{Output, output_path_name};
use crate::nix::hash::HashAlgorithm;
use crate::nix::store_path::StorePath;

use std::os::fd::AsFd as _;

impl<'a> Finish<'a> {
    /// Gives an output its final path. Outputs it refers to have theirs.
    pub(super) fn conclude(
        &mut self,
        output: &'a str,
        mut pending: Pending<'a>,
    ) -> Result<BuiltOutput, Halt> {
        let scratch = pending.scratch;
        let references = self.references(&pending);
        let (path, ca) = match pending.what {
            Output::InputAddressed { path } => {
                self.note(scratch, path);
                self.rewrite(output, &mut pending)?;
                (path.clone(), None)
            }
            Output::Fixed { .. } | Output::FloatingCa { .. } | Output::Impure { .. } => {
                self.rewrite(output, &mut pending)?;
                let ca = Self::content_address(&pending)?;
                let path = self.path(output, &pending, &ca, &references)?;
                self.note(scratch, &path);
                self.rewrite(output, &mut pending)?;
                (path, Some(ca))
            }
            Output::Deferred => {
                return Err(BuildError::Job(format!(
                    "the path of output '{output}' is not known: the derivation is not resolved"
                ))
                .into());
            }
        };
        self.rename(scratch, &path)?;
        let References { others: mut references, self_ref } = references;
        if self_ref {
            references.insert(path.clone());
        }
        let Measured { nar_hash, nar_size, .. } = pending.measured;
        let host_path = self.request.dest_dir.join(path.to_string());
        Ok(BuiltOutput { path, host_path, nar_hash, nar_size, references, ca })
    }

    /// What the output refers to, by final paths.
    fn references(&self, pending: &Pending<'_>) -> References {
        let mut references = References::default();
        for path in &pending.references {
            if path == pending.scratch {
                references.self_ref = true;
            } else {
                references.others.insert(self.moved.get(path).unwrap_or(path).clone());
            }
        }
        references
    }

    /// Remembers that an output has another path now than where it was built.
    fn note(&mut self, scratch: &StorePath, path: &StorePath) {
        if scratch != path {
            self.moved.insert(scratch.clone(), path.clone());
        }
    }

    /// Replaces the scratch paths that the output mentions and that have
    /// become others; then it has to be read again.
    fn rewrite(&self, output: &str, pending: &mut Pending<'_>) -> Result<(), Halt> {
        let mentioned = |(from, _): &(&StorePath, _)| pending.mentioned.contains(*from);
        let rewrites: Vec<(StorePath, StorePath)> = self
            .moved
            .iter()
            .filter(mentioned)
            .map(|(from, to)| (from.clone(), to.clone()))
            .collect();
        if rewrites.is_empty() {
            return Ok(());
        }
        let name = handles::name(&pending.scratch.to_string())?;
        rewrite::rewrite(self.dest.as_fd(), &name, &rewrites)
            .map_err(|stop| self.stopped(output, stop))?;
        let content = content(pending.what, pending.scratch);
        (pending.measured, pending.mentioned) =
            self.measure(output, pending.scratch, content.as_ref())?;
        Ok(())
    }

    fn content_address(pending: &Pending<'_>) -> Result<ContentAddress, Halt> {
        let hash = pending.measured.content;
        content(pending.what, pending.scratch)
            .zip(hash)
            .and_then(|(content, hash)| ContentAddress::new(content.method, hash).ok())
            .ok_or_else(|| {
                let scratch = pending.scratch;
                BuildError::Job(format!("'{scratch}' cannot be content-addressed as asked")).into()
            })
    }

    /// The store path that follows from the content, after comparing it with
    /// what the derivation fixes.
    fn path(
        &self,
        output: &str,
        pending: &Pending<'_>,
        ca: &ContentAddress,
        references: &References,
    ) -> Result<StorePath, Halt> {
        let job = self.request.job;
        let name = output_path_name(self.request.name, output);
        let Output::Fixed { path, hash, .. } = pending.what else {
            return ca.store_path(&job.store_dir, &name, references).map_err(|error| {
                self.stopped(output, Rejection::NoPath(error.to_string()).into())
            });
        };
        if ca.hash() != hash {
            return Err(FailureReason::HashMismatch {
                output: output.to_owned(),
                expected: *hash,
                found: *ca.hash(),
            }
            .into());
        }
        // References become part of a path by the hash of a NAR, so that the
        // output lands elsewhere; with other hashes Nix aborts. Only a
        // reference to itself passed the second kind unnoticed, before 2.16.
        let source = ca.method() == Method::Recursive && hash.algorithm() == HashAlgorithm::Sha256;
        let unnoticed = !source && references.others.is_empty();
        if !references.is_empty() && (job.world.refuses_fixed_references || !unnoticed) {
            let own = references.self_ref.then_some(path);
            let paths = references.others.iter().chain(own);
            let paths = paths.map(|path| job.store_dir.full(path)).collect();
            return Err(self.stopped(output, Rejection::FixedReferences(paths).into()));
        }
        Ok(path.clone())
    }

    /// Moves a tree from its scratch name to its final one.
    fn rename(&self, scratch: &StorePath, path: &StorePath) -> Result<(), BuildError> {
        if scratch == path {
            return Ok(());
        }
        let (from, to) = (handles::name(&scratch.to_string())?, handles::name(&path.to_string())?);
        if handles::exists(self.dest.as_fd(), &to)? {
            return Err(BuildError::Job(format!(
                "'{path}' is already in '{}'",
                self.request.dest_dir.display()
            )));
        }
        handles::rename(self.dest.as_fd(), &from, self.dest.as_fd(), &to)
    }
}
