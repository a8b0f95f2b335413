//! What the local store says about a path, and what is really there.

use std::sync::Arc;

use super::Read;
use crate::check::cache::rules::{MALFORMED_REGISTRATION, MISSING_PATH, UNREGISTERED_PATH};
use crate::check::cache::{Answer, Judge, LocalRecord, Silence, read_record};
use crate::check::{Finding, Reason};
use crate::gather::store::local::{LocalStore, LocalStoreError};
use crate::nix::store_path::StorePath;

/// Suffix of the files by which Nix keeps itself from building a path twice.
const LOCK: &str = ".lock";

/// What a local store is called in reports.
pub(super) fn name(local: &LocalStore) -> String {
    format!("local store {}", local.root().display())
}

/// Asks the local store about a path.
pub(super) fn ask(local: &LocalStore, path: &StorePath, judge: Judge<'_>) -> Read {
    let subject = judge.store_dir.full(path);
    let silent = |detail: String| {
        Read::Answer(Answer::Silent(Arc::new(Silence { reason: Reason::Unreachable, detail })))
    };
    let there = match local.has_object(path) {
        Ok(there) => there,
        Err(error) => {
            return silent(format!("{}: {error}", local.host_path(path).display()));
        }
    };
    match local.query(path) {
        Err(error @ LocalStoreError::Row { .. }) => {
            let finding = Finding::new(&MALFORMED_REGISTRATION, subject, error.to_string());
            Read::Answer(Answer::Bad(Box::new(finding)))
        }
        Err(error) => silent(error.to_string()),
        Ok(None) if there && !is_lock(local, path) => {
            Read::Answer(Answer::Bad(Box::new(unregistered(local, &subject, path))))
        }
        Ok(None) => Read::Answer(Answer::Absent),
        Ok(Some(known)) => {
            let record = LocalRecord {
                facts: known.info,
                deriver: known.deriver,
                signatures: known.signatures,
                ca: known.ca,
            };
            let mut reading = read_record(record, &name(local), judge);
            if !there {
                let message =
                    format!("the database of the {} has it, but there is no object", name(local));
                reading.remark(
                    Finding::new(&MISSING_PATH, subject, message)
                        .with("expected at", local.host_path(path).display()),
                );
            }
            Read::Claim(Box::new(reading))
        }
    }
}

/// The finding for an object that the database does not know.
pub(super) fn unregistered(local: &LocalStore, subject: &str, path: &StorePath) -> Finding {
    let message = format!("the {} holds an object that its database does not know", name(local));
    Finding::new(&UNREGISTERED_PATH, subject, message)
        .with("found at", local.host_path(path).display())
}

/// Whether what lies at that path is a file by which Nix keeps itself from
/// building twice: an empty one of that name. Anything else is an object,
/// whatever it is called.
pub(super) fn is_lock(local: &LocalStore, path: &StorePath) -> bool {
    path.name().ends_with(LOCK)
        && std::fs::symlink_metadata(local.host_path(path))
            .is_ok_and(|found| found.is_file() && found.len() == 0)
}
