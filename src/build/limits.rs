//! What a build may take before it is stopped, and what this machine can
//! spare.

use std::path::Path;
use std::time::Duration;

use super::outcome::FailureReason;

/// Limits of one build; `None` is no limit. The first three are Nix's settings
/// `timeout`, `max-silent-time` and `max-build-log-size`. There is always a
/// limit on processes: builders are programs of strangers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Wall time from the start of the builder.
    pub timeout: Option<Duration>,
    /// Time since the builder last wrote anything.
    pub max_silent: Option<Duration>,
    /// Bytes of log.
    pub max_log_bytes: Option<u64>,
    /// Processes and threads at once.
    pub max_processes: u64,
    /// Bytes of memory at once.
    pub max_memory: Option<u64>,
    /// Bytes on disk at once: build directory, `/tmp` and what lies in the
    /// sandbox's store besides inputs.
    pub max_disk: Option<u64>,
}

/// Processes and threads a build may have on any machine: more than a parallel
/// build on a few processors ever has.
const USUAL_PROCESSES: u64 = 4096;
/// The same for each processor, for large machines.
const PROCESSES_PER_PROCESSOR: u64 = 512;

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: None,
            max_silent: None,
            max_log_bytes: None,
            max_processes: USUAL_PROCESSES,
            max_memory: None,
            max_disk: None,
        }
    }
}

/// What a build may take of this machine unless told otherwise: generous, and
/// little enough that the machine survives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spare {
    /// Processes and threads: at most a quarter of what the system can have.
    pub processes: u64,
    /// Four fifths of the memory, in bytes; none if that cannot be told.
    pub memory: Option<u64>,
    /// Nine tenths of what is free on the disk that builds use, in bytes.
    pub disk: Option<u64>,
}

impl Spare {
    /// Asks the system. `state` is where builds lie.
    #[must_use]
    pub fn here(state: &Path, processors: usize) -> Self {
        let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
        let ceiling = ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"]
            .into_iter()
            .filter_map(number)
            .min()
            .unwrap_or(u64::MAX);
        let processors = u64::try_from(processors).unwrap_or(1);
        let wanted = USUAL_PROCESSES.max(processors.saturating_mul(PROCESSES_PER_PROCESSOR));
        let memory = std::fs::read("/proc/meminfo").ok();
        let memory = memory.and_then(|text| Memory::parse(&text)).map(|memory| memory.total);
        let disk = rustix::fs::statvfs(state).ok();
        Self {
            processes: wanted.min((ceiling / 4).max(1)),
            memory: memory.map(|total| total / 5 * 4),
            disk: disk.map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) / 10 * 9),
        }
    }
}

/// The memory of this machine, in bytes (`/proc/meminfo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All there is.
    pub total: u64,
    /// What could still be had without swapping.
    pub available: u64,
    /// What has been written out to swap.
    pub swapped: u64,
}

impl Memory {
    /// Reads `/proc/meminfo`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let field = |name: &[u8]| kibibytes(text, name);
        let swap_total = field(b"SwapTotal:").unwrap_or(0);
        Some(Self {
            total: field(b"MemTotal:")?,
            available: field(b"MemAvailable:")?,
            swapped: swap_total.saturating_sub(field(b"SwapFree:").unwrap_or(swap_total)),
        })
    }
}

/// The number behind `name` at the start of a line, in bytes: the kernel
/// writes such files as `Name:  123 kB`.
#[must_use]
pub fn kibibytes(text: &[u8], name: &[u8]) -> Option<u64> {
    number(text, name).map(|number| number.saturating_mul(1024))
}

/// The number behind `name` at the start of a line.
#[must_use]
pub fn number(text: &[u8], name: &[u8]) -> Option<u64> {
    let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name))?;
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    std::str::from_utf8(words.next()?).ok()?.parse().ok()
}

/// A limit on what a builder takes of the machine that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    /// As many processes and threads as it may have.
    Processes,
    /// More memory than it may have.
    Memory,
    /// More disk than it may have.
    Disk,
    /// The machine is nearly out of memory.
    MachineMemory,
    /// The disk is nearly full.
    MachineDisk,
}

/// All of them, each at the number it has on the wire.
const BREACHES: [Breach; 5] =
    [Breach::Processes, Breach::Memory, Breach::Disk, Breach::MachineMemory, Breach::MachineDisk];

impl Breach {
    /// Its number for the supervisor's answer.
    #[must_use]
    pub fn number(self) -> u8 {
        let place = BREACHES.iter().position(|breach| *breach == self);
        place.and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX)
    }

    /// The breach of that number.
    #[must_use]
    pub fn of_number(number: u8) -> Option<Self> {
        BREACHES.get(usize::from(number)).copied()
    }

    /// Why the build failed.
    #[must_use]
    pub fn reason(self, limits: &Limits) -> FailureReason {
        match self {
            Self::Processes => FailureReason::TooManyProcesses(limits.max_processes),
            Self::Memory => FailureReason::TooMuchMemory(limits.max_memory.unwrap_or(u64::MAX)),
            Self::Disk => FailureReason::TooMuchDisk(limits.max_disk.unwrap_or(u64::MAX)),
            Self::MachineMemory => FailureReason::MachineExhausted("memory"),
            Self::MachineDisk => FailureReason::MachineExhausted("disk space"),
        }
    }
}

/// What holds a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// The kernel, for a control group of the build's own.
    Cgroup,
    /// The kernel, for the user of the build.
    Rlimit,
    /// The build's supervisor, which looks again and again.
    Watched,
    /// The installed Nix.
    Nix,
    /// Nothing: this executor does not have it.
    None,
}

impl Mechanism {
    /// The word used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Rlimit => "rlimit",
            Self::Watched => "watched",
            Self::Nix => "nix",
            Self::None => "none",
        }
    }

    /// The mechanism of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let all = [Self::Cgroup, Self::Rlimit, Self::Watched, Self::Nix, Self::None];
        all.into_iter().find(|mechanism| mechanism.name() == name)
    }
}

/// What held the limits of a build on the machine's resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The number of processes and threads.
    pub processes: Mechanism,
    /// Memory.
    pub memory: Mechanism,
    /// Disk.
    pub disk: Mechanism,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaches_have_numbers_of_their_own() {
        for breach in BREACHES {
            assert_eq!(Breach::of_number(breach.number()), Some(breach));
            assert!(breach.reason(&Limits::default()).is_limit());
        }
        assert_eq!(Breach::of_number(BREACHES.len().try_into().unwrap()), None);
    }

    #[test]
    fn memory_is_read() {
        let text = b"MemTotal:       100 kB\nMemFree: 1 kB\nMemAvailable:     40 kB\n\
            SwapTotal:    10 kB\nSwapFree:   4 kB\n";
        let memory = Memory { total: 102_400, available: 40_960, swapped: 6144 };
        assert_eq!(Memory::parse(text), Some(memory));
        assert_eq!(Memory::parse(b"MemTotal: x kB\n"), None);
        assert_eq!(number(b"Name:\tx\nThreads:\t7\n", b"Threads:"), Some(7));
        assert_eq!(number(b"NotThreads:\t7\n", b"Threads:"), None);
    }

    #[test]
    fn there_is_always_something_to_spare() {
        let spare = Spare::here(Path::new("/"), 4);
        assert!(spare.processes >= 64 && spare.memory.is_some() && spare.disk.is_some());
        assert!(Spare::here(Path::new("/missing"), 1).disk.is_none());
    }
}
