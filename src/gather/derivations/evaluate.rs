//! Expressions and flakes, evaluated by an installed Nix: which derivations
//! do they stand for?
//!
//! Nix runs as a subprocess with a deadline and bounded output. It never asks
//! anything, never accepts settings that a flake brings along and never writes
//! a lock file. What it prints are store paths and nothing more: the
//! derivations behind them are read and recomputed like any others.
//!
//! Command lines follow the manual of Nix 2.8 and later: `nix-instantiate`
//! prints a derivation per line (`!OUTPUT` appended for one that is not the
//! default), `nix path-info --derivation` does so for installables.

mod subprocess;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use self::subprocess::{Ending, Run, run};
use crate::nix::store_path::{StoreDir, StorePath};

/// How long one evaluation may take unless told otherwise. All of nixpkgs
/// takes some ten minutes; what a flake has to fetch comes on top.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Most bytes of paths that are read: a hundred times the derivations of all
/// of nixpkgs would not fit, one time does.
const MAX_OUTPUT: usize = 64 << 20;

/// How much is kept of what Nix says last on standard error.
const MAX_SAID: usize = 8 << 10;

/// Lines of it that are shown: the error itself, without its whole trace.
const MAX_SAID_LINES: usize = 12;

/// Where Nix is when it is not on the path, as under `sudo`.
const USUAL_PLACES: [&str; 3] =
    ["/run/current-system/sw/bin", "/nix/var/nix/profiles/default/bin", "/usr/local/bin"];

/// Something that Nix evaluates to derivations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expression {
    /// A flake installable: `.#x`, `nixpkgs#hello`, `github:owner/repo#x`.
    Flake(String),
    /// An attribute of the expression in a file (`-f FILE -A ATTRIBUTE`),
    /// or all of it.
    File {
        /// The file as `nix-instantiate` takes it: a path, a directory with a
        /// `default.nix`, `<nixpkgs>`, the URL of a tarball.
        file: PathBuf,
        /// The attribute.
        attribute: Option<String>,
    },
}

impl Expression {
    /// Every attribute of every file; all of each file where no attribute is
    /// named.
    pub fn of_files(files: &[PathBuf], attributes: &[String]) -> impl Iterator<Item = Self> {
        let attributes: Vec<Option<String>> = match attributes {
            [] => vec![None],
            some => some.iter().cloned().map(Some).collect(),
        };
        files.iter().flat_map(move |file| {
            let of_file = |attribute: Option<String>| Self::File { file: file.clone(), attribute };
            attributes.clone().into_iter().map(of_file).collect::<Vec<_>>()
        })
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flake(installable) => f.write_str(installable),
            Self::File { file, attribute: None } => write!(f, "-f {}", file.display()),
            Self::File { file, attribute: Some(attribute) } => {
                write!(f, "-f {} -A {attribute}", file.display())
            }
        }
    }
}

/// A derivation that an expression stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Evaluated {
    /// The path of the `.drv`.
    pub drv_path: StorePath,
    /// The one output that was named, when it is not the default one.
    pub output: Option<String>,
}

/// Why an expression gave no derivations.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// There is no Nix on this machine.
    #[error(
        "'{expression}' has to be evaluated by Nix, and there is no '{program}' on the PATH nor in {}: install Nix, or evaluate elsewhere (nix-instantiate, nix path-info --derivation) and name the .drv files",
        USUAL_PLACES.join(", ")
    )]
    NoNix {
        /// What was to be evaluated.
        expression: String,
        /// The program that is missing.
        program: &'static str,
    },
    /// Something that would be read as an option.
    #[error("'{0}' begins with a dash: write ./{0} for a file of that name")]
    Dash(String),
    /// The subprocess cannot be run.
    #[error("cannot run '{}'", .program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The network cannot be taken from the subprocess.
    #[error(
        "--offline: '{expression}' is not evaluated, for this machine does not let verify take the network from Nix ({source}); run as root or allow user namespaces"
    )]
    Offline {
        /// What was to be evaluated.
        expression: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nix says no.
    #[error("Nix could not evaluate '{expression}' ({status}): {said}")]
    Failed {
        /// What was evaluated.
        expression: String,
        /// How Nix ended.
        status: String,
        /// The last of what it said.
        said: String,
    },
    /// It took too long.
    #[error("the evaluation of '{expression}' was stopped after {} seconds", .limit.as_secs())]
    Timeout {
        /// What was evaluated.
        expression: String,
        /// How long it may take.
        limit: Duration,
    },
    /// It stands for too many derivations.
    #[error("'{expression}' stands for more derivations than fit into {MAX_OUTPUT} bytes")]
    TooMuch {
        /// What was evaluated.
        expression: String,
    },
    /// Nix printed something that is no derivation of this store.
    #[error(
        "Nix answers '{line}' for '{expression}' where a derivation in {store_dir} is expected"
    )]
    Answer {
        /// What was evaluated.
        expression: String,
        /// What it printed.
        line: String,
        /// The store directory.
        store_dir: String,
    },
    /// It stands for nothing.
    #[error("'{0}' stands for no derivation at all")]
    Nothing(String),
}

impl EvaluateError {
    /// Whether this machine is to blame: then no other expression would fare
    /// better. Otherwise the question has just got no answer.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        matches!(self, Self::NoNix { .. } | Self::Dash(_) | Self::Run { .. } | Self::Offline { .. })
    }

    /// Whether a limit of ours ended it.
    #[must_use]
    pub const fn is_limit(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::TooMuch { .. })
    }
}

/// Has Nix evaluate.
#[derive(Debug, Clone)]
pub struct Evaluator {
    /// Where programs are looked for, first to last.
    places: Vec<PathBuf>,
    /// Where relative names begin.
    directory: PathBuf,
    /// The root of a chroot store to evaluate into.
    store_root: Option<PathBuf>,
    store_dir: StoreDir,
    offline: bool,
    timeout: Duration,
}

impl Evaluator {
    /// One that finds Nix on the search path `path` (the variable `PATH`) and
    /// reads relative names from `directory` on.
    #[must_use]
    pub fn new(path: Option<&OsStr>, directory: &Path, store_dir: &StoreDir) -> Self {
        let places = path.map(std::env::split_paths).into_iter().flatten();
        let places = places.filter(|place| place.is_absolute());
        Self {
            places: places.chain(USUAL_PLACES.map(PathBuf::from)).collect(),
            directory: directory.to_owned(),
            store_root: None,
            store_dir: store_dir.clone(),
            offline: false,
            timeout: DEFAULT_TIMEOUT,
        }
    }

    /// Puts derivations into the chroot store below `root` instead of the
    /// store of this machine.
    #[must_use]
    pub fn with_store(mut self, root: Option<&Path>) -> Self {
        self.store_root = root.map(Path::to_owned);
        self
    }

    /// Gives evaluations no network at all: they run in a network namespace of
    /// their own, for which the process has to be root, be it in a user
    /// namespace ([`crate::sys::namespace::enter_private_root`]).
    #[must_use]
    pub const fn offline(mut self, offline: bool) -> Self {
        self.offline = offline;
        self
    }

    /// Stops evaluations after that time.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Where the derivations that were evaluated are found as files.
    #[must_use]
    pub fn store_objects(&self) -> PathBuf {
        match &self.store_root {
            Some(root) => root.join("nix/store"),
            None => PathBuf::from(self.store_dir.as_str()),
        }
    }

    /// The derivations that an expression stands for, sorted, each once.
    ///
    /// # Errors
    /// Says whether Nix is missing, could not be run, said no or was stopped.
    pub fn derivations(&self, expression: &Expression) -> Result<Vec<Evaluated>, EvaluateError> {
        let program = match expression {
            Expression::Flake(_) => "nix",
            Expression::File { .. } => "nix-instantiate",
        };
        let found = self
            .find(program)
            .ok_or_else(|| EvaluateError::NoNix { expression: expression.to_string(), program })?;
        let mut command = Command::new(&found);
        command.args(self.arguments(expression)?).current_dir(&self.directory);
        let limits = Run {
            timeout: self.timeout,
            max_output: MAX_OUTPUT,
            max_said: MAX_SAID,
            offline: self.offline,
        };
        let subject = || expression.to_string();
        let done = run(command, &limits).map_err(|error| match error {
            subprocess::RunError::Network(source) => {
                EvaluateError::Offline { expression: subject(), source }
            }
            subprocess::RunError::Io(source) => EvaluateError::Run { program: found, source },
        })?;
        match done.ending {
            Ending::TimedOut => {
                Err(EvaluateError::Timeout { expression: subject(), limit: self.timeout })
            }
            Ending::TooMuch => Err(EvaluateError::TooMuch { expression: subject() }),
            Ending::Exited(status) if status.success() => self.read(&done.output, expression),
            Ending::Exited(status) => Err(EvaluateError::Failed {
                expression: subject(),
                status: status.to_string(),
                said: last_lines(&done.said),
            }),
        }
    }

    /// A program in one of the places.
    /// A program of the installed Nix, if there is one.
    #[must_use]
    pub fn find(&self, program: &str) -> Option<PathBuf> {
        self.places.iter().map(|place| place.join(program)).find(|file| file.is_file())
    }

    fn arguments(&self, expression: &Expression) -> Result<Vec<OsString>, EvaluateError> {
        let mut all: Vec<OsString> = Vec::new();
        let mut add = |words: &[&str]| all.extend(words.iter().map(OsString::from));
        match expression {
            Expression::Flake(installable) => {
                if installable.starts_with('-') {
                    return Err(EvaluateError::Dash(installable.clone()));
                }
                add(&["--extra-experimental-features", "nix-command flakes"]);
                if self.offline {
                    add(&["--offline"]);
                }
                add(&["path-info", "--derivation", "--no-write-lock-file"]);
                // Settings that a flake brings along are nobody's decision here.
                add(&["--option", "accept-flake-config", "false"]);
            }
            Expression::File { .. } => {
                if self.offline {
                    add(&["--option", "substitute", "false"]);
                }
            }
        }
        if let Some(root) = &self.store_root {
            all.push("--store".into());
            all.push(root.into());
        }
        match expression {
            Expression::Flake(installable) => all.push(installable.into()),
            Expression::File { file, attribute } => {
                if let Some(attribute) = attribute {
                    all.push("--attr".into());
                    all.push(attribute.into());
                }
                let dash = file.as_os_str().as_encoded_bytes().starts_with(b"-");
                all.push(if dash { Path::new(".").join(file).into() } else { file.into() });
            }
        }
        Ok(all)
    }

    /// One derivation per line, maybe with the name of an output.
    fn read(
        &self,
        output: &[u8],
        expression: &Expression,
    ) -> Result<Vec<Evaluated>, EvaluateError> {
        let text = String::from_utf8_lossy(output);
        let mut found = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (path, output) = match line.split_once(['!', '^']) {
                Some((path, output)) => (path, Some(output.to_owned())),
                None => (line, None),
            };
            let drv_path = self.store_dir.parse(path).ok().filter(StorePath::is_derivation);
            let drv_path = drv_path.ok_or_else(|| EvaluateError::Answer {
                expression: expression.to_string(),
                line: line.chars().take(200).collect(),
                store_dir: self.store_dir.as_str().to_owned(),
            })?;
            found.push(Evaluated { drv_path, output });
        }
        found.sort();
        found.dedup();
        if found.is_empty() {
            return Err(EvaluateError::Nothing(expression.to_string()));
        }
        Ok(found)
    }
}

/// The end of what Nix said, on one line.
fn last_lines(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let shown = lines.len().saturating_sub(MAX_SAID_LINES);
    let shown = lines.get(shown..).unwrap_or_default();
    if shown.is_empty() { "it said nothing".to_owned() } else { shown.join(" | ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRV: &str = "/nix/store/0hm2f1psjpcwg8fijsmr4wwxrx59s092-bar.drv";

    fn evaluator(place: &Path) -> Evaluator {
        Evaluator {
            places: vec![place.to_owned()],
            ..Evaluator::new(None, place, &StoreDir::default())
        }
    }

    /// A program that stands where Nix would.
    fn stand_in(script: &str) -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt as _;
        let place = tempfile::tempdir().unwrap();
        for name in ["nix", "nix-instantiate"] {
            let file = place.path().join(name);
            std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        place
    }

    fn attribute(name: &str) -> Expression {
        Expression::File { file: "default.nix".into(), attribute: Some(name.to_owned()) }
    }

    fn evaluate(script: &str) -> Result<Vec<Evaluated>, EvaluateError> {
        let place = stand_in(script);
        evaluator(place.path()).with_timeout(Duration::from_secs(60)).derivations(&attribute("a"))
    }

    #[test]
    fn answers_are_derivations_with_maybe_an_output() {
        let found =
            evaluate(&format!("echo '{DRV}!dev'; echo {DRV}; echo {DRV}; echo warning >&2"));
        let found = found.unwrap();
        let outputs: Vec<_> = found.iter().map(|one| one.output.as_deref()).collect();
        assert_eq!(outputs, [None, Some("dev")]);
        assert!(found.iter().all(|one| format!("/nix/store/{}", one.drv_path) == DRV));
    }

    #[test]
    fn anything_else_is_no_answer() {
        for script in [
            "echo /etc/passwd",
            "echo /nix/store/0hm2f1psjpcwg8fijsmr4wwxrx59s092-bar",
            "printf '\\377\\n'",
        ] {
            let error = evaluate(script).unwrap_err();
            assert!(matches!(error, EvaluateError::Answer { .. }), "{script}: {error}");
            assert!(!error.is_ours());
        }
        assert!(matches!(evaluate("true").unwrap_err(), EvaluateError::Nothing(_)));
        let error =
            evaluate("echo first >&2; echo 'error: no such thing' >&2; exit 1").unwrap_err();
        assert!(error.to_string().ends_with("first | error: no such thing"), "{error}");
    }

    #[test]
    fn evaluations_end_in_time_and_size() {
        let place = stand_in("sleep 600");
        let short = evaluator(place.path()).with_timeout(Duration::from_millis(200));
        let error = short.derivations(&attribute("a")).unwrap_err();
        assert!(matches!(error, EvaluateError::Timeout { .. }), "{error}");
        let error = evaluate(&format!("while echo {DRV}{DRV}; do :; done")).unwrap_err();
        assert!(matches!(error, EvaluateError::TooMuch { .. }), "{error}");
        // Standard error may be as long as it likes.
        let long =
            "i=0; while [ $i -lt 20000 ]; do echo a long line of noise >&2; i=$((i+1)); done";
        assert_eq!(evaluate(&format!("{long}; echo {DRV}")).unwrap().len(), 1);
    }

    #[test]
    fn what_it_starts_does_not_keep_it_waiting() {
        // Somebody else holds on to the pipe.
        let place = stand_in(&format!("sleep 600 & echo $! > pid; echo {DRV}"));
        let found = evaluator(place.path()).derivations(&attribute("a"));
        let pid = std::fs::read_to_string(place.path().join("pid")).unwrap();
        let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        assert_eq!(found.unwrap().len(), 1);
    }

    #[test]
    fn without_nix_the_error_says_what_to_do() {
        let place = tempfile::tempdir().unwrap();
        let error = evaluator(place.path()).derivations(&Expression::Flake(".#x".into()));
        let error = error.unwrap_err();
        assert!(error.is_ours() && error.to_string().contains("install Nix"), "{error}");
        let place = stand_in("true");
        let error = evaluator(place.path()).derivations(&Expression::Flake("-x".into()));
        assert!(matches!(error.unwrap_err(), EvaluateError::Dash(_)));
    }

    #[test]
    fn the_network_is_taken_away() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        // A shell without networking of its own: bash has /dev/tcp.
        let script = format!(
            "exec bash -c 'if (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null; then exit 9; fi; echo {DRV}'"
        );
        let place = stand_in(&script);
        let online = evaluator(place.path()).derivations(&attribute("a"));
        assert!(matches!(online.unwrap_err(), EvaluateError::Failed { .. }));
        match evaluator(place.path()).offline(true).derivations(&attribute("a")) {
            Ok(found) => assert_eq!(found.len(), 1),
            Err(error) => {
                assert!(!rustix::process::geteuid().is_root(), "{error}");
                assert!(matches!(error, EvaluateError::Offline { .. }), "{error}");
            }
        }
    }
}
