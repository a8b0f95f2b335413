//! Hashing and renaming outputs whose path follows from their content.
//!
//! Such an output is built under a scratch path, hashed *modulo* references to
//! itself, and then every occurrence of the scratch path's hash part is
//! replaced by that of the final path. Follows `makeFallbackPath`,
//! `HashModuloSink` and `RewritingSink`
//! (`src/libstore/build/local-derivation-goal.cc`,
//! `src/libstore/references.cc`).

use crate::nix::hash::{Hash, HashAlgorithm, Hasher};
use crate::nix::store_path::{HASH_PART_LEN, NameError, StoreDir, StorePath};

/// The hash part of a store path as it is written into files.
pub type HashPart = [u8; HASH_PART_LEN];

/// The hash part of `path`, as bytes.
#[must_use]
pub fn hash_part(path: &StorePath) -> HashPart {
    let mut bytes = [0; HASH_PART_LEN];
    for (slot, byte) in bytes.iter_mut().zip(path.hash_part().bytes()) {
        *slot = byte;
    }
    bytes
}

/// The name of output `output` of a derivation called `derivation_name`
/// (`outputPathName`).
#[must_use]
pub fn output_path_name(derivation_name: &str, output: &str) -> String {
    if output == "out" { derivation_name.to_owned() } else { format!("{derivation_name}-{output}") }
}

/// The path under which an output is built whose own path is not known yet
/// (`makeFallbackPath`). `derivation_name` is without `.drv`.
///
/// # Errors
/// A name that no store path may have.
pub fn scratch_path(
    store_dir: &StoreDir,
    drv_path: &StorePath,
    derivation_name: &str,
    output: &str,
) -> Result<StorePath, NameError> {
    let zero = Hash::new(HashAlgorithm::Sha256, &[0; 32]);
    let zero = zero.unwrap_or_else(|| Hash::of(HashAlgorithm::Sha256, &[]));
    let kind = format!("rewrite:{drv_path}:name:{output}");
    StorePath::make(store_dir, &kind, &zero, &output_path_name(derivation_name, output))
}

/// Replaces one hash part by another of the same length in a stream of bytes.
#[derive(Debug, Clone)]
pub struct Replacer {
    from: HashPart,
    to: HashPart,
    /// How far the search may jump when the byte under the pattern's end is
    /// the index.
    jumps: [u8; 256],
    /// What was read and not given on yet: at most one byte less than a
    /// pattern, plus what came in last.
    pending: Vec<u8>,
    /// Bytes given on.
    given: u64,
    /// Where the pattern was found.
    found: Vec<u64>,
}

impl Replacer {
    /// Replaces `from` by `to`.
    #[must_use]
    pub fn new(from: HashPart, to: HashPart) -> Self {
        const WHOLE: u8 = 32;
        const { assert!(HASH_PART_LEN == 32, "jumps are counted for patterns of this length") };
        let mut jumps = [WHOLE; 256];
        for (left, &byte) in (1..WHOLE).rev().zip(&from) {
            if let Some(jump) = jumps.get_mut(usize::from(byte)) {
                *jump = left;
            }
        }
        Self { from, to, jumps, pending: Vec::new(), given: 0, found: Vec::new() }
    }

    /// Takes the next bytes and gives on what can no longer change.
    pub fn push(&mut self, data: &[u8], give: &mut dyn FnMut(&[u8])) {
        self.pending.extend_from_slice(data);
        self.replace();
        let ready = self.pending.len().saturating_sub(HASH_PART_LEN - 1);
        self.give(ready, give);
    }

    /// Gives on what is left. Nothing may be pushed afterwards.
    pub fn finish(&mut self, give: &mut dyn FnMut(&[u8])) {
        self.give(self.pending.len(), give);
    }

    /// Where the pattern was found, in bytes from the start.
    #[must_use]
    pub fn found(&self) -> &[u64] {
        &self.found
    }

    fn give(&mut self, ready: usize, give: &mut dyn FnMut(&[u8])) {
        if let Some(bytes) = self.pending.get(..ready).filter(|bytes| !bytes.is_empty()) {
            give(bytes);
            self.given = self.given.saturating_add(u64::try_from(ready).unwrap_or(u64::MAX));
            self.pending.drain(..ready);
        }
    }

    /// Replaces every occurrence in what is pending. What was put in takes
    /// part in the search for the next one, as it does in Nix.
    fn replace(&mut self) {
        let mut at = 0_usize;
        while let Some(window) = self.pending.get_mut(at..at.saturating_add(HASH_PART_LEN)) {
            if *window == self.from {
                window.copy_from_slice(&self.to);
                let offset = u64::try_from(at).unwrap_or(u64::MAX);
                self.found.push(self.given.saturating_add(offset));
            }
            let last = window.last().copied().unwrap_or_default();
            at += usize::from(self.jumps.get(usize::from(last)).copied().unwrap_or(1));
        }
    }
}

/// Hashes a stream with every occurrence of one hash part zeroed, so that the
/// result does not depend on the path that the content refers to as its own.
pub struct ModuloHasher {
    replacer: Replacer,
    hasher: Hasher,
    /// Whether the places of the references are hashed too.
    offsets: bool,
}

impl ModuloHasher {
    /// Hashes modulo `own`. With `offsets`, `|<offset>` is hashed at the end
    /// for each occurrence: Nix up to 2.16 and since 2.35.
    #[must_use]
    pub fn new(algorithm: HashAlgorithm, own: HashPart, offsets: bool) -> Self {
        let replacer = Replacer::new(own, [0; HASH_PART_LEN]);
        Self { replacer, hasher: Hasher::new(algorithm), offsets }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        self.replacer.push(data, &mut |bytes| self.hasher.update(bytes));
    }

    /// The hash, and how often the hash part was found.
    #[must_use]
    pub fn finish(mut self) -> (Hash, usize) {
        self.replacer.finish(&mut |bytes| self.hasher.update(bytes));
        if self.offsets {
            for offset in self.replacer.found() {
                self.hasher.update(format!("|{offset}").as_bytes());
            }
        }
        (self.hasher.finish(), self.replacer.found().len())
    }
}

/// Applies several replacements one after the other, each to the result of
/// the one before.
#[derive(Debug, Clone, Default)]
pub struct Rewriter {
    steps: Vec<Replacer>,
}

impl Rewriter {
    /// Replaces each `from` by its `to`, in the order given.
    #[must_use]
    pub fn new(rewrites: impl IntoIterator<Item = (HashPart, HashPart)>) -> Self {
        Self { steps: rewrites.into_iter().map(|(from, to)| Replacer::new(from, to)).collect() }
    }

    /// The result for a whole text, if it differs.
    #[must_use]
    pub fn rewritten(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut run = self.start();
        let mut result = Vec::with_capacity(text.len());
        run.push(text, &mut |bytes| result.extend_from_slice(bytes));
        run.finish(&mut |bytes| result.extend_from_slice(bytes));
        run.changed().then_some(result)
    }

    /// Starts over a new stream.
    #[must_use]
    pub fn start(&self) -> Self {
        self.clone()
    }

    /// Takes the next bytes and gives on what can no longer change.
    pub fn push(&mut self, data: &[u8], give: &mut dyn FnMut(&[u8])) {
        push_through(&mut self.steps, data, give);
    }

    /// Gives on what is left.
    pub fn finish(&mut self, give: &mut dyn FnMut(&[u8])) {
        let mut steps = self.steps.as_mut_slice();
        while let Some((first, rest)) = steps.split_first_mut() {
            first.finish(&mut |bytes| push_through(rest, bytes, give));
            steps = rest;
        }
    }

    /// Whether anything was replaced.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.steps.iter().any(|step| !step.found().is_empty())
    }
}

/// Pushes bytes through the first step, what it gives on through the next,
/// and so on.
fn push_through(steps: &mut [Replacer], data: &[u8], give: &mut dyn FnMut(&[u8])) {
    match steps.split_first_mut() {
        Some((first, rest)) => first.push(data, &mut |bytes| push_through(rest, bytes, give)),
        None => give(data),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &HashPart = b"c5asc3lmr2jn3f0m2y77cf48078qb9mg";
    const B: &HashPart = b"fj6lb7gkbaynfim0zqiqiykjk08bjnm6";

    /// What Nix does to a whole text.
    fn naive(text: &[u8], from: &HashPart, to: &HashPart) -> (Vec<u8>, Vec<u64>) {
        let mut text = text.to_vec();
        let mut found = Vec::new();
        for at in 0..text.len().saturating_sub(31) {
            if text[at..at + 32] == *from {
                text[at..at + 32].copy_from_slice(to);
                found.push(at as u64);
            }
        }
        (text, found)
    }

    fn texts() -> Vec<Vec<u8>> {
        let mut texts = vec![Vec::new(), A.to_vec(), A[..31].to_vec(), [&A[..], &A[..]].concat()];
        texts.push([b"x", &A[..20], &A[..], b"y", &A[..31], &B[..], &A[..]].concat());
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..200 {
            let mut text = Vec::new();
            for _ in 0..random.usize(1..12) {
                match random.u8(0..5) {
                    0 => text.extend_from_slice(A),
                    1 => text.extend_from_slice(B),
                    2 => text.extend_from_slice(&A[random.usize(0..32)..]),
                    3 => text.extend_from_slice(&A[..random.usize(0..32)]),
                    _ => text.extend((0..random.usize(0..70)).map(|_| random.u8(..))),
                }
            }
            texts.push(text);
        }
        texts
    }

    #[test]
    fn replacing_does_not_depend_on_how_the_stream_is_cut() {
        for text in texts() {
            let (wanted, offsets) = naive(&text, A, B);
            for cut in [1, 2, 31, 32, 33, 64, 100, usize::MAX] {
                let mut replacer = Replacer::new(*A, *B);
                let mut result = Vec::new();
                for piece in text.chunks(cut) {
                    replacer.push(piece, &mut |bytes| result.extend_from_slice(bytes));
                }
                replacer.finish(&mut |bytes| result.extend_from_slice(bytes));
                assert_eq!(result, wanted, "cut at {cut}");
                assert_eq!(replacer.found(), offsets, "cut at {cut}");
            }
        }
    }

    #[test]
    fn rewrites_follow_each_other() {
        let third = b"bcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbc";
        let rewriter = Rewriter::new([(*A, *B), (*B, *third)]);
        for text in texts() {
            let (once, first) = naive(&text, A, B);
            let (wanted, second) = naive(&once, B, third);
            let changed = !first.is_empty() || !second.is_empty();
            assert_eq!(rewriter.rewritten(&text), changed.then_some(wanted.clone()));
            let (mut run, mut result) = (rewriter.start(), Vec::new());
            for piece in text.chunks(7) {
                run.push(piece, &mut |bytes| result.extend_from_slice(bytes));
            }
            run.finish(&mut |bytes| result.extend_from_slice(bytes));
            assert_eq!(result, wanted);
        }
    }

    #[test]
    fn modulo_hashes_count_offsets_by_version() {
        let text = [b"one ", &A[..], b" two ", &A[..]].concat();
        let zeroed = naive(&text, A, &[0; 32]).0;
        let sha256 = |text: &[u8]| Hash::of(HashAlgorithm::Sha256, text);
        for (offsets, wanted) in
            [(false, sha256(&zeroed)), (true, sha256(&[&zeroed[..], b"|4|41"].concat()))]
        {
            let mut hasher = ModuloHasher::new(HashAlgorithm::Sha256, *A, offsets);
            text.chunks(5).for_each(|piece| hasher.update(piece));
            assert_eq!(hasher.finish(), (wanted, 2));
        }
        // A text without references is hashed plainly.
        let mut hasher = ModuloHasher::new(HashAlgorithm::Sha256, *B, true);
        hasher.update(&text);
        assert_eq!(hasher.finish(), (sha256(&text), 0));
    }

    #[test]
    fn outputs_are_named_after_their_derivation() {
        assert_eq!(output_path_name("pkg-1.0", "out"), "pkg-1.0");
        assert_eq!(output_path_name("pkg-1.0", "dev"), "pkg-1.0-dev");
    }
}
