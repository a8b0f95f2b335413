//! The contents of two files, compared as they are read.

use std::io::Read;

use super::budget::{Budget, Permit};
use super::explanation::ByteDifference;
use super::hunks::Hunks;
use super::side::Side;
use super::walk::{ExplainError, Which};

/// Bytes that are shown before the first difference, and behind it.
const BEFORE: usize = 16;
const BEHIND: usize = 32;

/// Places in files that are too large to be held, which are kept to be judged.
const MAX_SAMPLES: usize = 24;

/// Bytes of such a place.
const SAMPLE: usize = 512;

/// Bytes that agree between two regions that differ; fewer are chance.
const GAP: u64 = 8;

/// What was found in the contents of two files.
#[derive(Debug)]
pub(super) enum Contents<'b> {
    /// They are equal.
    Equal,
    /// They differ, and both are held.
    Held { claimed: Vec<u8>, ours: Vec<u8>, permit: Permit<'b> },
    /// They differ and were too large to hold.
    Streamed { difference: ByteDifference, samples: Vec<(Vec<u8>, Vec<u8>)> },
}

/// Compares the present files of both sides.
pub(super) fn compare<'b, A: Read, B: Read>(
    claimed: &mut Side<A>,
    ours: &mut Side<B>,
    sizes: (u64, u64),
    budget: &'b Budget,
) -> Result<Contents<'b>, ExplainError> {
    let (claimed_size, our_size) = sizes;
    // Half of what is left stays for what is unpacked from them.
    let both = claimed_size.saturating_add(our_size);
    if both <= budget.left() / 2
        && let Some(permit) = budget.hold(both)
    {
        return hold(claimed, ours, permit);
    }
    stream(claimed, ours)
}

/// Reads the first file whole and keeps the second from its first difference.
fn hold<'b, A: Read, B: Read>(
    claimed: &mut Side<A>,
    ours: &mut Side<B>,
    permit: Permit<'b>,
) -> Result<Contents<'b>, ExplainError> {
    let mut first = Vec::new();
    claimed.read_rest(&mut first).map_err(Which::Claimed.failed())?;
    let mut at = 0_usize;
    loop {
        let bytes = ours.peek().map_err(Which::Ours.failed())?;
        let length = bytes.len();
        let same = first.get(at..at.saturating_add(length)) == Some(bytes);
        if length == 0 && at == first.len() {
            return Ok(Contents::Equal);
        }
        if !same || length == 0 {
            let mut second = first.get(..at).unwrap_or_default().to_vec();
            ours.read_rest(&mut second).map_err(Which::Ours.failed())?;
            return Ok(Contents::Held { claimed: first, ours: second, permit });
        }
        at = at.saturating_add(length);
        ours.take(length);
    }
}

/// Compares byte by byte, and keeps only places that differ.
fn stream<'b, A: Read, B: Read>(
    claimed: &mut Side<A>,
    ours: &mut Side<B>,
) -> Result<Contents<'b>, ExplainError> {
    let mut found: Option<ByteDifference> = None;
    let mut samples: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut offset = 0_u64;
    let mut last: Option<u64> = None;
    loop {
        let a = claimed.peek().map_err(Which::Claimed.failed())?;
        let b = ours.peek().map_err(Which::Ours.failed())?;
        let length = if a.is_empty() || b.is_empty() {
            // One has ended: what is left of the other has no counterpart.
            a.len().max(b.len())
        } else {
            a.len().min(b.len())
        };
        if length == 0 {
            break;
        }
        let x = a.get(..length.min(a.len())).unwrap_or_default();
        let y = b.get(..length.min(b.len())).unwrap_or_default();
        if x != y {
            let mut sampled_to = 0;
            for at in 0..length {
                if x.get(at) == y.get(at) {
                    continue;
                }
                let here = offset.saturating_add(wide(at));
                let difference = found.get_or_insert_with(|| begin(here, at, x, y));
                difference.differing_bytes = difference.differing_bytes.saturating_add(1);
                let near = last.is_some_and(|last| here.saturating_sub(last) <= GAP);
                difference.regions = difference.regions.saturating_add(u64::from(!near));
                last = Some(here);
                if !near && at >= sampled_to && samples.len() < MAX_SAMPLES {
                    let from = at.saturating_sub(SAMPLE / 2);
                    sampled_to = from.saturating_add(SAMPLE);
                    let cut = |bytes: &[u8]| around(bytes, from, SAMPLE);
                    samples.push((cut(x), cut(y)));
                }
            }
        }
        offset = offset.saturating_add(wide(length));
        claimed.take(length);
        ours.take(length);
    }
    Ok(found.map_or(Contents::Equal, |difference| Contents::Streamed { difference, samples }))
}

fn begin(offset: u64, at: usize, a: &[u8], b: &[u8]) -> ByteDifference {
    let before = at.min(BEFORE);
    let from = at.saturating_sub(before);
    ByteDifference {
        first_offset: offset,
        differing_bytes: 0,
        regions: 0,
        more: false,
        excerpt_offset: offset.saturating_sub(wide(before)),
        claimed: around(a, from, before.saturating_add(BEHIND)),
        ours: around(b, from, before.saturating_add(BEHIND)),
    }
}

fn around(bytes: &[u8], from: usize, length: usize) -> Vec<u8> {
    let end = from.saturating_add(length).min(bytes.len());
    bytes.get(from..end).unwrap_or_default().to_vec()
}

/// How two held files differ, by their aligned differences.
pub(super) fn difference(a: &[u8], b: &[u8], hunks: &Hunks) -> ByteDifference {
    let at = hunks.list.first().map_or(0, |hunk| hunk.a.start);
    let first = begin(wide(at), at, a, b);
    ByteDifference {
        differing_bytes: hunks.bytes(),
        regions: wide(hunks.list.len()),
        more: hunks.more,
        ..first
    }
}

fn wide(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}
