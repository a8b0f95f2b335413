//! The locks of an audit as they are read: side by side if they are large.

use crate::check::Span;
use crate::nix::flake_lock::{FlakeLock, FlakeLockError, Reading};
use crate::nix::flake_secrets::hidden_in_file;

/// Bytes from which on locks are read by more than one thread; for fewer it
/// takes longer to start threads than to read them.
const LARGE: usize = 2 << 20;

/// The locks of an audit.
#[derive(Debug)]
pub struct Readings<'t> {
    /// The lock under audit.
    pub head: Result<Reading<'t>, FlakeLockError>,
    /// The one before the change, if there is one.
    pub base: Option<Result<Reading<'t>, FlakeLockError>>,
    /// What may not be shown of the lock under audit.
    pub hidden: Vec<Span>,
}

impl<'t> Readings<'t> {
    /// Reads a lock and the one before the change.
    #[must_use]
    pub fn of(head: &'t [u8], base: Option<&'t [u8]>) -> Self {
        let large = is_large(head, base);
        let locks = || together(large, || FlakeLock::read(head), || base.map(FlakeLock::read));
        let ((head, base), hidden) = together(large, locks, || hidden_in_file(head));
        Self { head, base, hidden }
    }
}

/// Whether locks are worth more than one thread.
#[must_use]
pub fn is_large(head: &[u8], base: Option<&[u8]>) -> bool {
    head.len() + base.map_or(0, <[u8]>::len) > LARGE
}

/// Does two things, at the same time if they are `large`.
pub fn together<A: Send, B: Send>(
    large: bool,
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B + Send,
) -> (A, B) {
    if large { rayon::join(one, other) } else { (one(), other()) }
}
