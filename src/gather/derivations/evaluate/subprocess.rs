//! A subprocess whose output and time are bounded, run without threads: the
//! caller may still want to enter namespaces, which a process with threads
//! cannot.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// How long a subprocess that is told to end may clean up before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// Bytes read at once: what a pipe holds.
const CHUNK: usize = 64 * 1024;

/// Chunks read before looking at the clock again, more than a pipe can be made
/// to hold (`/proc/sys/fs/pipe-max-size`).
const CHUNKS_AT_ONCE: usize = 64;

/// The bounds of a run.
pub struct Run {
    /// How long it may take.
    pub timeout: Duration,
    /// Most bytes it may write to standard output.
    pub max_output: usize,
    /// How many of the last bytes of standard error are kept.
    pub max_said: usize,
    /// Whether it runs without any network.
    pub offline: bool,
}

/// How a run ended.
pub enum Ending {
    /// By itself.
    Exited(ExitStatus),
    /// It was stopped, for it took too long.
    TimedOut,
    /// It was stopped, for it wrote too much.
    TooMuch,
}

/// What came of a run.
pub struct Finished {
    /// How it ended.
    pub ending: Ending,
    /// What it wrote to standard output.
    pub output: Vec<u8>,
    /// The last of what it wrote to standard error.
    pub said: Vec<u8>,
}

/// Why nothing could be run.
pub enum RunError {
    /// The network cannot be taken away.
    Network(io::Error),
    /// Anything else.
    Io(io::Error),
}

impl From<io::Error> for RunError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Runs a command without standard input.
pub fn run(mut command: Command, limits: &Run) -> Result<Finished, RunError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        if limits.offline { without_network(&mut command)? } else { command.spawn()? };
    let result = listen(&mut child, limits);
    // Whatever went wrong, nothing is left behind.
    if !matches!(child.try_wait(), Ok(Some(_))) {
        stop(&mut child);
    }
    result.map_err(RunError::Io)
}

/// Starts it from a thread that has moved into an empty network namespace;
/// the thread ends at once, and the caller stays where it was.
fn without_network(command: &mut Command) -> Result<Child, RunError> {
    std::thread::scope(|scope| {
        let started = scope.spawn(|| {
            crate::sys::network::leave_network()
                .map_err(|errno| RunError::Network(errno.into()))?;
            Ok(command.spawn()?)
        });
        let gone = || RunError::Io(io::Error::other("the thread that starts Nix has panicked"));
        started.join().unwrap_or_else(|_| Err(gone()))
    })
}

/// Reads until the child has ended or has to.
fn listen(child: &mut Child, limits: &Run) -> io::Result<Finished> {
    let deadline = Instant::now().checked_add(limits.timeout);
    let raw = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = raw.ok_or_else(|| io::Error::other("the child has no process id"))?;
    let ended = pidfd_open(pid, PidfdFlags::empty())?;
    let mut output = Pipe::new(child.stdout.take())?;
    let mut said = Pipe::new(child.stderr.take())?;
    loop {
        let exited = wait(&ended, &output, &said, deadline)?;
        let too_much = output.drain(limits.max_output, false)?;
        said.drain(limits.max_said, true)?;
        let ending = if too_much {
            Ending::TooMuch
        } else if exited {
            Ending::Exited(child.wait()?)
        } else if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            Ending::TimedOut
        } else {
            continue;
        };
        return Ok(Finished { ending, output: output.bytes, said: said.bytes });
    }
}

/// Waits until something can be read or the child has ended, and says which.
fn wait(
    ended: &OwnedFd,
    output: &Pipe<impl Read + AsFd>,
    said: &Pipe<impl Read + AsFd>,
    deadline: Option<Instant>,
) -> io::Result<bool> {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let timeout = left.and_then(|left| Timespec::try_from(left).ok());
    let mut polled = vec![PollFd::new(ended, PollFlags::IN)];
    for fd in [output.open(), said.open()].into_iter().flatten() {
        polled.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
    }
    match poll(&mut polled, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    Ok(polled.first().is_some_and(|first| !first.revents().is_empty()))
}

/// Asks the child to end, then makes it.
fn stop(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
        if let Ok(ended) = pidfd_open(pid, PidfdFlags::empty()) {
            let grace = Timespec::try_from(GRACE).ok();
            let _ = poll(&mut [PollFd::new(&ended, PollFlags::IN)], grace.as_ref());
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// One end of a pipe, read without blocking.
struct Pipe<R> {
    source: Option<R>,
    bytes: Vec<u8>,
}

impl<R: Read + AsFd> Pipe<R> {
    fn new(source: Option<R>) -> io::Result<Self> {
        if let Some(source) = &source {
            rustix::io::ioctl_fionbio(source, true)?;
        }
        Ok(Self { source, bytes: Vec::new() })
    }

    fn open(&self) -> Option<BorrowedFd<'_>> {
        self.source.as_ref().map(AsFd::as_fd)
    }

    /// Reads what is there. Beyond `max` bytes either only the last ones are
    /// kept, or the answer is that there is too much.
    fn drain(&mut self, max: usize, keep_last: bool) -> io::Result<bool> {
        let mut buffer = vec![0; CHUNK];
        for _ in 0..CHUNKS_AT_ONCE {
            let Some(source) = &mut self.source else { break };
            match source.read(&mut buffer) {
                Ok(0) => self.source = None,
                Ok(length) => {
                    self.bytes.extend_from_slice(buffer.get(..length).unwrap_or_default());
                    let excess = self.bytes.len().saturating_sub(max);
                    if excess > 0 && !keep_last {
                        return Ok(true);
                    }
                    self.bytes.drain(..excess);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}
