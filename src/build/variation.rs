//! What a repetition of a build gets otherwise than the first one, and no
//! output may depend on.

use crate::nix::store_path::StorePath;

use super::job::{BuildJob, InputObject};
use super::limits::Memory;
use super::sandbox::plan::Shuffle;

/// Inputs that are copied into memory, in bytes together: enough for sources
/// and small tools, little enough for every machine.
const MOST_INPUT_BYTES: u64 = 256 << 20;

/// A build directory in memory takes at most this part of what is available.
const MEMORY_PARTS: u64 = 2;

/// Below that a build directory stays on disk.
const LEAST_BUILD_BYTES: u64 = 512 << 20;

/// How one repetition is varied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variation {
    /// From where on build users are looked for, in quarters of all.
    pub first_user: u32,
    /// How `/build` is put into memory, if it is.
    pub build: Option<Shuffle>,
    inputs: Inputs,
}

/// Which inputs come as copies whose entries are in another order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Inputs {
    /// None: this is the first build.
    #[default]
    AsTheyAre,
    /// None: they are too large together.
    TooLarge(u64),
    /// All, in an order of this seed.
    Shuffled(u64),
}

impl Variation {
    /// The variation of a job: none in round 0.
    #[must_use]
    pub fn of(job: &BuildJob) -> Self {
        if job.round == 0 {
            return Self::default();
        }
        // The same in every run, another for every derivation and round.
        let seed = job.drv_path.hash_bytes().iter().fold(u64::from(job.round), |seed, byte| {
            seed.wrapping_mul(0x0000_0100_0000_01b3) ^ u64::from(*byte)
        });
        let size: u64 = job.inputs.values().map(|input: &InputObject| input.nar_size).sum();
        let memory = std::fs::read("/proc/meminfo").ok();
        let available = memory.and_then(|text| Memory::parse(&text)).map_or(0, |m| m.available);
        let bytes = (available / MEMORY_PARTS).min(job.limits.max_disk.unwrap_or(u64::MAX));
        // Every second round: a build that needs more has one on disk too.
        let in_memory = job.round % 2 == 1 && bytes >= LEAST_BUILD_BYTES;
        Self {
            first_user: job.round,
            build: in_memory.then_some(Shuffle { seed, bytes }),
            inputs: if size <= MOST_INPUT_BYTES && size <= available / MEMORY_PARTS {
                Inputs::Shuffled(seed)
            } else {
                Inputs::TooLarge(size)
            },
        }
    }

    /// How an input that is a directory is copied into memory, if it is.
    #[must_use]
    pub fn input(&self, path: &StorePath) -> Option<Shuffle> {
        let Inputs::Shuffled(seed) = self.inputs else { return None };
        let own = path.hash_bytes().first().copied().map_or(0, u64::from);
        Some(Shuffle { seed: seed ^ own, bytes: MOST_INPUT_BYTES * 2 })
    }

    /// What was varied and what was not, for a report.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        if *self == Self::default() {
            return Vec::new();
        }
        let build = if self.build.is_some() {
            "/build in memory: other order of directory entries"
        } else {
            "/build on disk, as in the first build"
        };
        let inputs = match self.inputs {
            Inputs::Shuffled(_) => {
                "inputs in memory, made in random order: other order of directory entries".into()
            }
            Inputs::TooLarge(bytes) => format!(
                "inputs as in the first build: {bytes} bytes are too much to copy into memory"
            ),
            Inputs::AsTheyAre => "inputs as in the first build".to_owned(),
        };
        vec![format!("user range {}", self.first_user), build.to_owned(), inputs]
    }
}
