//! What one comparison may hold in memory and look through.
//!
//! Both files come from whoever made the claim or the build, so a few bytes
//! may unpack to gigabytes. Everything that is held is taken from one budget.

use std::cell::Cell;

/// Bytes of the contents of two files, and of what is unpacked from them, that
/// are held at once: two packages of the usual size with what is in them.
const MAX_HELD: u64 = 192 << 20;

/// Bytes that are aligned, unpacked or searched over a whole comparison:
/// some seconds of work.
const MAX_WORK: u64 = 2 << 30;

/// Archives within archives that are opened; a package of packages of
/// compressed archives needs five.
pub(super) const MAX_DEPTH: u32 = 8;

/// What is left of the bounds.
#[derive(Debug)]
pub(super) struct Budget {
    held: Cell<u64>,
    work: Cell<u64>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { held: Cell::new(MAX_HELD), work: Cell::new(MAX_WORK) }
    }
}

/// Memory that was taken; given back when dropped.
#[derive(Debug)]
pub(super) struct Permit<'b> {
    budget: &'b Budget,
    bytes: u64,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.budget.held.set(self.budget.held.get().saturating_add(self.bytes));
    }
}

impl Budget {
    /// Takes memory, if there is so much left.
    pub(super) fn hold(&self, bytes: u64) -> Option<Permit<'_>> {
        self.held.set(self.held.get().checked_sub(bytes)?);
        Some(Permit { budget: self, bytes })
    }

    /// Memory that is left.
    pub(super) const fn left(&self) -> u64 {
        self.held.get()
    }

    /// Takes work, if there is so much left.
    pub(super) fn work(&self, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        match self.work.get().checked_sub(bytes) {
            Some(left) => {
                self.work.set(left);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_and_work_does_not() {
        let budget = Budget::default();
        let first = budget.hold(MAX_HELD - 1).unwrap();
        assert!(budget.hold(2).is_none());
        assert!(budget.hold(1).is_some());
        drop(first);
        assert_eq!(budget.left(), MAX_HELD);
        assert!(budget.work(usize::try_from(MAX_WORK).unwrap()));
        assert!(!budget.work(1));
    }
}
