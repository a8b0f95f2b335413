//! What a `flake.lock` says.

use super::rules::{DUPLICATE_KEY, MALFORMED_LOCK};
use super::{Answers, Inspected};
use crate::check::Finding;
use crate::nix::flake_lock::FlakeLock;

/// Reads a lock file.
#[must_use]
pub fn inspect<'t>(subject: &str, bytes: &'t [u8]) -> Inspected<FlakeLock<'t>> {
    let mut answers = Answers::about(subject);
    let lock = match FlakeLock::parse(bytes) {
        Ok(lock) => lock,
        Err(error) => {
            answers.fail(
                Finding::new(&MALFORMED_LOCK, subject, error.to_string())
                    .with("byte offset", error.offset()),
            );
            return Inspected { facts: None, answers };
        }
    };
    answers.pass();
    answers.pass();
    for doubled in &lock.duplicates.named {
        let place = if doubled.path.is_empty() {
            "the top level".to_owned()
        } else {
            format!("'{}'", doubled.path.join("."))
        };
        answers.remark(
            Finding::new(
                &DUPLICATE_KEY,
                subject,
                format!("the key '{}' stands twice in {place}", doubled.key),
            )
            .with("first at byte offset", doubled.first)
            .with("again at byte offset", doubled.again),
        );
    }
    let unnamed = lock.duplicates.count.saturating_sub(lock.duplicates.named.len());
    if unnamed > 0 {
        let message = format!("{unnamed} more keys stand twice");
        answers.remark(Finding::new(&DUPLICATE_KEY, subject, message));
    }
    Inspected { facts: Some(lock), answers }
}
