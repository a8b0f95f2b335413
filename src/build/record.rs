//! The outcome of a build as it is written down, for a run to be resumed.
//!
//! Only what follows from the build itself is written: a builder that was
//! killed, or stopped at a limit, may have met with what ended the run too, and
//! is tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::limits::{Held, Mechanism};
use super::log::LogFile;
use super::outcome::{BuildOutcome, Built, BuiltOutput, Failed, FailureReason, Surroundings};
use crate::nix::hash::{Hash, NarHash};
use crate::state::StateDir;
use crate::sys::namespace::RootKind;

/// A record on disk. Paths in it are names below the state directory.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    log: Option<Log>,
    end: End,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    name: String,
    size: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum End {
    Built { outputs: BTreeMap<String, Output>, surroundings: Place, milliseconds: u64 },
    Failed { reason: Reason, tail: Vec<String>, kept: Option<String> },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Output {
    path: String,
    tree: String,
    nar_hash: String,
    nar_size: u64,
    references: BTreeSet<String>,
    ca: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    root: String,
    shell: Option<(String, String)>,
    differences: Vec<String>,
    varied: Vec<String>,
    /// What held the limits on processes, memory and disk.
    held: [String; 3],
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Reason {
    ExitCode(i32),
    MissingOutput { output: String, path: String },
    BadOutput { output: String, why: String },
    OutputCheck { output: String, why: String },
    HashMismatch { output: String, expected: String, found: String },
    BadDerivation(String),
    ReferenceCycle(Vec<String>),
}

/// Writes an outcome down whose trees lie below `place`. `None` if it is of a
/// kind that is better found out again.
pub fn write(outcome: &BuildOutcome, place: &Path, state: &StateDir) -> Option<Vec<u8>> {
    let record = match outcome {
        BuildOutcome::Built(built) => {
            let Built { outputs, log, surroundings, duration, room: _ } = built;
            let outputs = outputs
                .iter()
                .map(|(name, output)| Some((name.clone(), Output::of(output, place)?)))
                .collect::<Option<_>>()?;
            let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
            let surroundings = Place::of(surroundings)?;
            Record {
                log: Some(Log::of(log)?),
                end: End::Built { outputs, surroundings, milliseconds },
            }
        }
        BuildOutcome::Failed(Failed { reason, log, tail, kept }) => {
            let kept = match kept {
                Some(kept) => Some(kept.strip_prefix(state.root()).ok()?.to_str()?.to_owned()),
                None => None,
            };
            let log = match log {
                Some(log) => Some(Log::of(log)?),
                None => None,
            };
            let tail = tail.clone();
            Record { log, end: End::Failed { reason: Reason::of(reason)?, tail, kept } }
        }
    };
    serde_json::to_vec(&record).ok()
}

/// Reads a record whose trees lie below `place`. `None` if it is damaged, or
/// something that it names is gone.
pub fn read(bytes: &[u8], place: &Path, state: &StateDir) -> Option<BuildOutcome> {
    let record: Record = serde_json::from_slice(bytes).ok()?;
    let log = match record.log {
        Some(log) => Some(log.found(state)?),
        None => None,
    };
    match record.end {
        End::Built { outputs, surroundings, milliseconds } => {
            let outputs = outputs
                .into_iter()
                .map(|(name, output)| Some((name, output.found(place)?)))
                .collect::<Option<_>>()?;
            Some(BuildOutcome::Built(Built {
                outputs,
                log: log?,
                surroundings: surroundings.found()?,
                duration: Duration::from_millis(milliseconds),
                room: None,
            }))
        }
        End::Failed { reason, tail, kept } => {
            let kept = match kept {
                Some(kept) => Some(below(state.root(), &kept).filter(|kept| kept.is_dir())?),
                None => None,
            };
            let reason = reason.found()?;
            Some(BuildOutcome::Failed(Failed { reason, log, tail, kept }))
        }
    }
}

/// What a record names below `place`. `None` if that could lead out of there:
/// records are ours, but the disk may have been somebody else's.
fn below(place: &Path, name: &str) -> Option<PathBuf> {
    let name = Path::new(name);
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    // No component at all would be the place itself.
    (name.components().next().is_some() && name.components().all(is_plain))
        .then(|| place.join(name))
}

impl Log {
    fn of(log: &LogFile) -> Option<Self> {
        let LogFile { path, size } = log;
        Some(Self { name: path.file_name()?.to_str()?.to_owned(), size: *size })
    }

    fn found(self, state: &StateDir) -> Option<LogFile> {
        let logs = state.logs();
        logs.is_sound(&self.name)
            .then(|| LogFile { path: logs.room().join(&self.name), size: self.size })
    }
}

impl Output {
    fn of(output: &BuiltOutput, place: &Path) -> Option<Self> {
        let BuiltOutput { path, host_path, nar_hash, nar_size, references, ca } = output;
        Some(Self {
            path: path.to_string(),
            tree: host_path.strip_prefix(place).ok()?.to_str()?.to_owned(),
            nar_hash: nar_hash.to_string(),
            nar_size: *nar_size,
            references: references.iter().map(ToString::to_string).collect(),
            ca: ca.as_ref().map(ToString::to_string),
        })
    }

    fn found(self, place: &Path) -> Option<BuiltOutput> {
        let references = self.references.iter().map(|path| path.parse().ok());
        let ca = match self.ca {
            Some(ca) => Some(ca.parse().ok()?),
            None => None,
        };
        Some(BuiltOutput {
            path: self.path.parse().ok()?,
            host_path: below(place, &self.tree)?,
            nar_hash: NarHash::parse(&self.nar_hash).ok()?,
            nar_size: self.nar_size,
            references: references.collect::<Option<_>>()?,
            ca,
        })
    }
}

impl Place {
    fn of(surroundings: &Surroundings) -> Option<Self> {
        let Surroundings { root_kind, shell, differences, varied, held } = surroundings;
        let shell = match shell {
            Some((path, hash)) => Some((path.to_str()?.to_owned(), hash.to_string())),
            None => None,
        };
        let held = [held.processes, held.memory, held.disk];
        Some(Self {
            root: root_kind.name().to_owned(),
            shell,
            differences: differences.clone(),
            varied: varied.clone(),
            held: held.map(|mechanism| mechanism.name().to_owned()),
        })
    }

    fn found(self) -> Option<Surroundings> {
        let [processes, memory, disk] = self.held;
        let kinds = [RootKind::HostRoot, RootKind::SubIds, RootKind::SingleId];
        let shell = match self.shell {
            Some((path, hash)) => Some((path.into(), Hash::parse(&hash, None).ok()?)),
            None => None,
        };
        Some(Surroundings {
            root_kind: kinds.into_iter().find(|kind| kind.name() == self.root)?,
            shell,
            differences: self.differences,
            varied: self.varied,
            held: Held {
                processes: Mechanism::by_name(&processes)?,
                memory: Mechanism::by_name(&memory)?,
                disk: Mechanism::by_name(&disk)?,
            },
        })
    }
}

impl Reason {
    fn of(reason: &FailureReason) -> Option<Self> {
        use FailureReason as Why;
        Some(match reason.clone() {
            Why::ExitCode(code) => Self::ExitCode(code),
            Why::MissingOutput { output, path } => Self::MissingOutput { output, path },
            Why::BadOutput { output, why } => Self::BadOutput { output, why },
            Why::OutputCheck { output, why } => Self::OutputCheck { output, why },
            Why::HashMismatch { output, expected, found } => Self::HashMismatch {
                output,
                expected: expected.to_string(),
                found: found.to_string(),
            },
            Why::BadDerivation(why) => Self::BadDerivation(why),
            Why::ReferenceCycle(cycle) => Self::ReferenceCycle(cycle),
            _ => return None,
        })
    }

    fn found(self) -> Option<FailureReason> {
        use FailureReason as Why;
        Some(match self {
            Self::ExitCode(code) => Why::ExitCode(code),
            Self::MissingOutput { output, path } => Why::MissingOutput { output, path },
            Self::BadOutput { output, why } => Why::BadOutput { output, why },
            Self::OutputCheck { output, why } => Why::OutputCheck { output, why },
            Self::HashMismatch { output, expected, found } => Why::HashMismatch {
                output,
                expected: Hash::parse(&expected, None).ok()?,
                found: Hash::parse(&found, None).ok()?,
            },
            Self::BadDerivation(why) => Why::BadDerivation(why),
            Self::ReferenceCycle(cycle) => Why::ReferenceCycle(cycle),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_lead_nowhere_else() {
        let place = Path::new("/state/run");
        for (name, wanted) in [
            ("out", Some("/state/run/out")),
            ("failed/x/build", Some("/state/run/failed/x/build")),
            ("", None),
            (".", None),
            ("..", None),
            ("a/../../b", None),
            ("/etc", None),
        ] {
            assert_eq!(below(place, name), wanted.map(PathBuf::from), "{name}");
        }
    }

    /// A whole record whose tree or kept directory lies elsewhere is none.
    #[test]
    fn a_record_that_names_another_place_is_no_record() {
        let place = tempfile::tempdir().unwrap();
        let state = StateDir::open(&place.path().join("state")).unwrap();
        std::fs::create_dir_all(state.root().join("failed/x")).unwrap();
        let read = |kept: &str| {
            let text = format!(
                r#"{{"log":null,"end":{{"failed":{{"reason":{{"exit-code":1}},"tail":[],"kept":"{kept}"}}}}}}"#
            );
            read(text.as_bytes(), place.path(), &state)
        };
        assert!(read("failed/x").is_some());
        for kept in ["failed/none", "failed/../..", "../state/failed/x", "/", ""] {
            assert!(read(kept).is_none(), "{kept}");
        }
    }
}
