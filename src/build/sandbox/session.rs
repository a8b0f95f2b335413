//! One build as we see it: its plan goes to a supervisor, the builder's terminal
//! is read to its end, the builder ended when that comes or a limit is reached.

use std::ffi::{CStr, CString};
use std::io::{ErrorKind, IoSlice, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::build::limits::Limits;
use crate::build::log::LogWriter;
use crate::build::outcome::{BuildError, FailureReason};
use crate::build::pty::Terminal;
use crate::sys::spawn::{self, Image};

use super::SUPERVISOR_ARGUMENT;
use super::plan::{Errand, Plan};
use super::supervisor::{END, ERRAND, Message, PLAN};

/// How long the supervisor may take to end a builder. The kernel has to tear
/// down every process and mount of it; more means that something is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes read from the terminal at once; the kernel hands out at most 4095.
const CHUNK: usize = 4096;

/// Chunks taken from the terminal after the builder's end: far more than the
/// kernel keeps for one.
const DRAINED_CHUNKS: usize = 1024;

/// How a builder ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With exit status 0.
    Success,
    /// In any other way.
    Failure(FailureReason),
}

/// A running supervisor, which takes one build after the other; ended and
/// collected when dropped. It dies with the thread that started it.
#[derive(Debug)]
pub struct Supervisor {
    pid: Pid,
    control: UnixStream,
}

impl Supervisor {
    /// Starts one. `program` is this program, as a file to be executed.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(program: &Path) -> Result<Self, BuildError> {
        let (control, theirs) = UnixStream::pair()
            .map_err(|source| BuildError::System { action: "make a socket pair", source })?;
        let path = CString::new(program.as_os_str().as_bytes())
            .map_err(|_| BuildError::Job("the path of this program has a NUL".to_owned()))?;
        let argument = CString::new(SUPERVISOR_ARGUMENT).unwrap_or_default();
        let arguments: [&CStr; 2] = [c"verify", &argument];
        let pid =
            spawn::supervisor(&Image::open(path), &arguments, theirs.as_fd()).map_err(|errno| {
                match errno {
                    Errno::PERM | Errno::NOSPC => BuildError::Setup(format!(
                        "cannot start its supervisor in a new process namespace: {errno} (it takes \
                     root with CAP_SYS_ADMIN, or a user namespace)"
                    )),
                    errno => BuildError::path("run", program)(errno),
                }
            })?;
        Ok(Self { pid, control })
    }

    /// Hands over a build.
    fn send(&self, kind: u8, bytes: &[u8], terminal: OwnedFd) -> std::io::Result<()> {
        let handles = [terminal.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&handles)) {
            return Err(ErrorKind::OutOfMemory.into());
        }
        let kind = [kind];
        let announcement = [IoSlice::new(&kind)];
        sendmsg(&self.control, &announcement, &mut ancillary, SendFlags::NOSIGNAL)?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        (&self.control).write_all(&length.to_le_bytes())?;
        (&self.control).write_all(bytes)
    }

    /// Runs the plan to its end. Answers also how long the builder took.
    ///
    /// # Errors
    /// When the sandbox failed, not the builder. The supervisor is then to be
    /// dropped.
    pub fn run(
        &self,
        plan: &Plan,
        terminal: Terminal,
        limits: &Limits,
        log: &mut LogWriter,
    ) -> Result<(End, Duration), BuildError> {
        self.supervise(PLAN, &plan.encode(), terminal, limits, log)
    }

    /// Runs a program of the host to its end. The supervisor is to be dropped
    /// then, and everything that the program has left ends with it.
    ///
    /// # Errors
    /// When the program could not be run.
    pub fn run_errand(
        self,
        errand: &Errand,
        terminal: Terminal,
        limits: &Limits,
        log: &mut LogWriter,
    ) -> Result<(End, Duration), BuildError> {
        self.supervise(ERRAND, &errand.encode(), terminal, limits, log)
    }

    fn supervise(
        &self,
        kind: u8,
        bytes: &[u8],
        terminal: Terminal,
        limits: &Limits,
        log: &mut LogWriter,
    ) -> Result<(End, Duration), BuildError> {
        let Terminal { master, slave } = terminal;
        let started = Instant::now();
        // If this fails the supervisor has died, and its silence says so below.
        let _ = self.send(kind, bytes, slave);
        let mut watch = Watch {
            control: &self.control,
            master,
            limits,
            log,
            started,
            spoke: started,
            ended: None,
            stopped: None,
            open: true,
            answer: Vec::new(),
        };
        let message = watch.run()?;
        watch.drain()?;
        let end = match (message, watch.stopped) {
            (Message::Failed(why), _) => return Err(BuildError::Setup(why)),
            (_, Some(reason)) => End::Failure(reason),
            (Message::Stopped(breach), None) => End::Failure(breach.reason(limits)),
            (Message::Exited(0), None) => End::Success,
            (Message::Exited(code), None) => End::Failure(FailureReason::ExitCode(code)),
            (Message::Killed(signal), None) => End::Failure(FailureReason::Signal(signal)),
        };
        Ok((end, started.elapsed()))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ = kill_process(self.pid, Signal::KILL);
        while matches!(waitpid(Some(self.pid), WaitOptions::empty()), Err(Errno::INTR)) {}
    }
}

/// The state of watching one builder.
struct Watch<'a> {
    control: &'a UnixStream,
    master: OwnedFd,
    limits: &'a Limits,
    log: &'a mut LogWriter,
    started: Instant,
    /// When the builder last wrote.
    spoke: Instant,
    /// When the supervisor was told to end the builder.
    ended: Option<Instant>,
    /// Why we ended the builder, if not because it was done.
    stopped: Option<FailureReason>,
    /// Whether anybody still holds the builder's side of the terminal.
    open: bool,
    /// What the supervisor answered so far.
    answer: Vec<u8>,
}

impl Watch<'_> {
    /// Watches until the supervisor has answered.
    fn run(&mut self) -> Result<Message, BuildError> {
        loop {
            let timeout = self.deadline().map(|(deadline, _)| {
                let left = deadline.saturating_duration_since(Instant::now());
                // Rounded up, or the last part of a millisecond is spent polling.
                Timespec {
                    tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                    tv_nsec: left.subsec_nanos().into(),
                }
            });
            let mut polled = vec![PollFd::new(self.control, PollFlags::IN)];
            if self.open {
                polled.push(PollFd::new(&self.master, PollFlags::IN));
            }
            match poll(&mut polled, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(BuildError::system("wait for the builder")(errno)),
            }
            let ready = |index: usize| polled.get(index).is_some_and(|fd| !fd.revents().is_empty());
            let (answers, speaks) = (ready(0), ready(1));
            drop(polled);
            if speaks {
                self.read_terminal()?;
            }
            if answers {
                let ended = self.read_answer();
                if let Some(message) = Message::decode(&self.answer) {
                    return Ok(message);
                }
                if ended {
                    return Err(BuildError::Setup(
                        "its supervisor was killed (was memory exhausted?)".to_owned(),
                    ));
                }
            }
            if let Some((deadline, reason)) = self.deadline()
                && Instant::now() >= deadline
            {
                let Some(reason) = reason else {
                    return Err(BuildError::Setup(format!(
                        "the builder could not be ended within {PATIENCE:?}"
                    )));
                };
                self.stop(reason);
            }
        }
    }

    /// The next moment to act at, and why the builder is stopped then; no
    /// reason once the supervisor has been told to end it.
    fn deadline(&self) -> Option<(Instant, Option<FailureReason>)> {
        if let Some(ended) = self.ended {
            return Some((ended + PATIENCE, None));
        }
        let wall = self.limits.timeout.and_then(|limit| {
            Some((self.started.checked_add(limit)?, Some(FailureReason::Timeout(limit))))
        });
        let silent = self.limits.max_silent.and_then(|limit| {
            Some((self.spoke.checked_add(limit)?, Some(FailureReason::Silent(limit))))
        });
        [wall, silent].into_iter().flatten().min_by_key(|(deadline, _)| *deadline)
    }

    /// Has the builder ended for `reason`, unless it is being ended already.
    fn stop(&mut self, reason: FailureReason) {
        if self.ended.is_none() {
            self.stopped = Some(reason);
            self.end();
        }
    }

    fn end(&mut self) {
        if self.ended.is_none() {
            self.ended = Some(Instant::now());
            // If the supervisor is gone, so is the builder.
            let mut control = self.control;
            let _ = control.write_all(&[END]);
        }
    }

    /// Takes what the builder has written. The end of the terminal is the end
    /// of the build: whoever is left is killed.
    fn read_terminal(&mut self) -> Result<(), BuildError> {
        let mut chunk = [0; CHUNK];
        match rustix::io::read(&self.master, &mut chunk) {
            Ok(0) | Err(Errno::IO) => {
                self.open = false;
                self.end();
            }
            Ok(length) => {
                self.spoke = Instant::now();
                let wanted = self.limits.max_log_bytes;
                let taken = chunk.get(..length).unwrap_or_default();
                if !self.log.write(taken, wanted)? {
                    self.stop(FailureReason::LogTooLarge(wanted.unwrap_or_default()));
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(BuildError::system("read the builder's terminal")(errno)),
        }
        Ok(())
    }

    /// Takes what the supervisor says; true when it is gone.
    fn read_answer(&mut self) -> bool {
        let mut chunk = [0; CHUNK];
        let mut control = self.control;
        match control.read(&mut chunk) {
            Ok(0) => true,
            Ok(length) => {
                self.answer.extend_from_slice(chunk.get(..length).unwrap_or_default());
                false
            }
            Err(error) => !matches!(error.kind(), ErrorKind::Interrupted),
        }
    }

    /// Takes what the terminal still holds. Nobody can write to it any more, or
    /// hardly anybody: a builder with the network of the host may have given it
    /// away, so that no more is taken than a terminal holds.
    fn drain(&mut self) -> Result<(), BuildError> {
        for _ in 0..DRAINED_CHUNKS {
            if !self.open {
                break;
            }
            let mut polled = [PollFd::new(&self.master, PollFlags::IN)];
            let ready = poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
            if matches!(ready, Ok(0)) {
                break;
            }
            self.read_terminal()?;
        }
        Ok(())
    }
}
