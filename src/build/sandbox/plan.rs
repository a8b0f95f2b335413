//! What the supervisor of a build is told, and how that is written down.
//!
//! The plan goes from this program to itself over a socket: strings are a
//! length and bytes (a derivation's strings need not be UTF-8), lists a
//! count and items. Nothing in it comes back from the builder.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::sys::filter::Instruction;

/// A mount of the builder's world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Where, relative to the root; exists there already.
    pub target: PathBuf,
    /// What.
    pub source: Source,
    /// Writes fail, whoever owns what is mounted.
    pub read_only: bool,
    /// Mounted is a copy in memory, its entries made in an order of ours.
    pub shuffled: Option<Shuffle>,
}

/// How a directory is copied into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shuffle {
    /// What the order of its entries is drawn from.
    pub seed: u64,
    /// Bytes that the copy may grow to.
    pub bytes: u64,
}

/// Where a mount comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path on the host, links followed; opened with the rights we have.
    Host(PathBuf),
    /// A path on the host that everybody may go to, links followed.
    Public(PathBuf),
    /// An entry of one of the plan's source directories, links not followed.
    Entry {
        /// Index into [`Plan::directories`].
        directory: u32,
        /// The entry's name.
        name: PathBuf,
    },
}

/// What runs in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// A program of the sandbox.
    Exec {
        /// Its absolute path in the sandbox.
        path: CString,
        /// Its arguments, the zeroth included.
        arguments: Vec<CString>,
    },
    /// A builder that is part of Nix, `builtin:NAME`.
    Builtin {
        /// The name behind the colon.
        name: String,
    },
}

/// What the builder may take of the machine, as far as the kernel does not
/// see to it by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Guard {
    /// Processes and threads at once.
    pub processes: u64,
    /// Whether nothing but the user's limit holds that number, so that what
    /// reaches it has to be noticed.
    pub watch_processes: bool,
    /// A control group for the builder to be put into.
    pub group: Option<PathBuf>,
    /// Bytes of memory, unless a control group sees to it.
    pub memory: Option<u64>,
    /// Bytes on disk.
    pub disk: Option<u64>,
    /// The directories that count as its disk.
    pub watched: Vec<PathBuf>,
    /// Whose files there count, as the supervisor sees it; everybody's if none.
    pub uid: Option<u32>,
}

/// Everything the supervisor has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The root directory as assembled on the host.
    pub root: PathBuf,
    /// The store directory relative to it; becomes a mount of its own.
    pub store: PathBuf,
    /// Directories on the host whose entries are mounted.
    pub directories: Vec<PathBuf>,
    /// What is mounted, in this order.
    pub binds: Vec<Bind>,
    /// Whether the builder gets a network of its own, with only `lo`.
    pub private_network: bool,
    /// The user outside that is uid 1000 inside.
    pub uid: u32,
    /// The group outside that is gid 100 inside.
    pub gid: u32,
    /// Personality bits to add.
    pub personality: u64,
    /// The system call filter.
    pub filter: Vec<Instruction>,
    /// Whether abstract sockets outside are put out of reach.
    pub scope_abstract_sockets: bool,
    /// The working directory of the builder.
    pub directory: CString,
    /// What runs.
    pub program: Program,
    /// `name=value`, in order.
    pub environment: Vec<CString>,
    /// What it may take.
    pub guard: Guard,
    /// Whether it is held tighter than its world says.
    pub hardened: bool,
}

/// A plan that does not read back; only a defect of this program makes one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sandbox plan is damaged")]
pub struct PlanError;

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    fn count(&mut self, count: usize) {
        self.number(u64::try_from(count).unwrap_or(u64::MAX));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend(bytes);
    }

    fn path(&mut self, path: &Path) {
        self.bytes(path.as_os_str().as_bytes());
    }

    fn list<T>(&mut self, items: &[T], mut item: impl FnMut(&mut Self, &T)) {
        self.count(items.len());
        for each in items {
            item(self, each);
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], PlanError> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(PlanError)?;
        self.0 = tail;
        Ok(head)
    }

    fn number(&mut self) -> Result<u64, PlanError> {
        let bytes = self.take(size_of::<u64>())?;
        bytes.try_into().map(u64::from_le_bytes).map_err(|_| PlanError)
    }

    fn small<T: TryFrom<u64>>(&mut self) -> Result<T, PlanError> {
        T::try_from(self.number()?).map_err(|_| PlanError)
    }

    fn bytes(&mut self) -> Result<&'a [u8], PlanError> {
        let len = self.small()?;
        self.take(len)
    }

    fn path(&mut self) -> Result<PathBuf, PlanError> {
        Ok(OsStr::from_bytes(self.bytes()?).into())
    }

    fn text(&mut self) -> Result<String, PlanError> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| PlanError)
    }

    fn c_string(&mut self) -> Result<CString, PlanError> {
        CString::new(self.bytes()?).map_err(|_| PlanError)
    }

    fn flag(&mut self) -> Result<bool, PlanError> {
        Ok(self.number()? != 0)
    }

    fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, PlanError>,
    ) -> Result<Vec<T>, PlanError> {
        let count: usize = self.small()?;
        (0..count).map(|_| item(self)).collect()
    }
}

impl Guard {
    fn encode(&self, out: &mut Writer) {
        out.number(self.processes);
        out.number(u64::from(self.watch_processes));
        out.list(self.group.as_slice(), |out, path| out.path(path));
        out.list(self.memory.as_slice(), |out, bytes| out.number(*bytes));
        out.list(self.disk.as_slice(), |out, bytes| out.number(*bytes));
        out.list(&self.watched, |out, path| out.path(path));
        out.list(self.uid.as_slice(), |out, uid| out.number(u64::from(*uid)));
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, PlanError> {
        Ok(Self {
            processes: input.number()?,
            watch_processes: input.flag()?,
            group: input.list(Reader::path)?.pop(),
            memory: input.list(Reader::number)?.pop(),
            disk: input.list(Reader::number)?.pop(),
            watched: input.list(Reader::path)?,
            uid: input.list(Reader::small)?.pop(),
        })
    }
}

impl Plan {
    /// Writes the plan down.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.path(&self.root);
        out.path(&self.store);
        out.list(&self.directories, |out, path| out.path(path));
        out.list(&self.binds, |out, bind| {
            out.path(&bind.target);
            match &bind.source {
                Source::Host(path) => {
                    out.number(0);
                    out.path(path);
                }
                Source::Public(path) => {
                    out.number(2);
                    out.path(path);
                }
                Source::Entry { directory, name } => {
                    out.number(1);
                    out.number(u64::from(*directory));
                    out.path(name);
                }
            }
            out.number(u64::from(bind.read_only));
            out.list(bind.shuffled.as_slice(), |out, shuffle| {
                out.number(shuffle.seed);
                out.number(shuffle.bytes);
            });
        });
        out.number(u64::from(self.private_network));
        out.number(u64::from(self.uid));
        out.number(u64::from(self.gid));
        out.number(self.personality);
        out.list(&self.filter, |out, instruction| {
            out.number(u64::from(instruction.code));
            out.number(u64::from(instruction.jump_true));
            out.number(u64::from(instruction.jump_false));
            out.number(u64::from(instruction.operand));
        });
        out.number(u64::from(self.scope_abstract_sockets));
        out.bytes(self.directory.as_bytes());
        match &self.program {
            Program::Exec { path, arguments } => {
                out.number(0);
                out.bytes(path.as_bytes());
                out.list(arguments, |out, argument| out.bytes(argument.as_bytes()));
            }
            Program::Builtin { name } => {
                out.number(1);
                out.bytes(name.as_bytes());
            }
        }
        out.list(&self.environment, |out, variable| out.bytes(variable.as_bytes()));
        self.guard.encode(&mut out);
        out.number(u64::from(self.hardened));
        out.0
    }

    /// Reads a plan back.
    ///
    /// # Errors
    /// Bytes that [`Plan::encode`] did not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, PlanError> {
        let mut input = Reader(bytes);
        let plan = Self {
            root: input.path()?,
            store: input.path()?,
            directories: input.list(Reader::path)?,
            binds: input.list(|input| {
                Ok(Bind {
                    target: input.path()?,
                    source: match input.number()? {
                        0 => Source::Host(input.path()?),
                        1 => Source::Entry { directory: input.small()?, name: input.path()? },
                        2 => Source::Public(input.path()?),
                        _ => return Err(PlanError),
                    },
                    read_only: input.flag()?,
                    shuffled: input
                        .list(|input| {
                            Ok(Shuffle { seed: input.number()?, bytes: input.number()? })
                        })?
                        .pop(),
                })
            })?,
            private_network: input.flag()?,
            uid: input.small()?,
            gid: input.small()?,
            personality: input.number()?,
            filter: input.list(|input| {
                Ok(Instruction {
                    code: input.small()?,
                    jump_true: input.small()?,
                    jump_false: input.small()?,
                    operand: input.small()?,
                })
            })?,
            scope_abstract_sockets: input.flag()?,
            directory: input.c_string()?,
            program: match input.number()? {
                0 => Program::Exec {
                    path: input.c_string()?,
                    arguments: input.list(Reader::c_string)?,
                },
                1 => Program::Builtin { name: input.text()? },
                _ => return Err(PlanError),
            },
            environment: input.list(Reader::c_string)?,
            guard: Guard::decode(&mut input)?,
            hardened: input.flag()?,
        };
        if input.0.is_empty() { Ok(plan) } else { Err(PlanError) }
    }
}

/// A program of the host that the supervisor runs on our behalf: whatever it
/// starts ends with it. It has a `/proc` of its own and else sees what we see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// The absolute path of the program.
    pub program: CString,
    /// Its arguments, the zeroth included.
    pub arguments: Vec<CString>,
    /// `name=value`, all of them.
    pub environment: Vec<CString>,
    /// The file it reads as its standard input.
    pub input: PathBuf,
    /// Whether it is run as an ordinary user, where root is nobody but us.
    pub ordinary: bool,
    /// What it and all it starts may take.
    pub guard: Guard,
}

impl Errand {
    /// Writes the errand down.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.bytes(self.program.as_bytes());
        out.list(&self.arguments, |out, argument| out.bytes(argument.as_bytes()));
        out.list(&self.environment, |out, variable| out.bytes(variable.as_bytes()));
        out.path(&self.input);
        out.number(u64::from(self.ordinary));
        self.guard.encode(&mut out);
        out.0
    }

    /// Reads an errand back.
    ///
    /// # Errors
    /// Bytes that [`Errand::encode`] did not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, PlanError> {
        let mut input = Reader(bytes);
        let errand = Self {
            program: input.c_string()?,
            arguments: input.list(Reader::c_string)?,
            environment: input.list(Reader::c_string)?,
            input: input.path()?,
            ordinary: input.flag()?,
            guard: Guard::decode(&mut input)?,
        };
        if input.0.is_empty() { Ok(errand) } else { Err(PlanError) }
    }
}

/// A string as `execve` sees it: Nix hands over C strings, which end at the
/// first NUL byte.
#[must_use]
pub fn c_string(mut bytes: Vec<u8>) -> CString {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    CString::new(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(program: Program) -> Plan {
        Plan {
            root: "/state/builds/x/root".into(),
            store: "nix/store".into(),
            directories: vec!["/a".into(), OsStr::from_bytes(b"/\xff").into()],
            binds: vec![
                Bind {
                    target: "bin/sh".into(),
                    source: Source::Host("/bin/busybox".into()),
                    read_only: true,
                    shuffled: None,
                },
                Bind {
                    target: "dev/null".into(),
                    source: Source::Public("/dev/null".into()),
                    read_only: false,
                    shuffled: Some(Shuffle { seed: 7, bytes: u64::MAX }),
                },
                Bind {
                    target: "nix/store/x".into(),
                    source: Source::Entry { directory: 1, name: "x".into() },
                    read_only: false,
                    shuffled: Some(Shuffle { seed: 7, bytes: u64::MAX }),
                },
            ],
            private_network: true,
            uid: u32::MAX,
            gid: 7,
            personality: 0x40000,
            filter: vec![Instruction { code: 6, jump_true: 1, jump_false: 2, operand: u32::MAX }],
            scope_abstract_sockets: true,
            directory: c"/build".into(),
            program,
            environment: vec![c"A=\xff\n".into(), c"B=".into()],
            guard: Guard {
                processes: 100,
                watch_processes: true,
                group: Some("/sys/fs/cgroup/x".into()),
                memory: None,
                disk: Some(1 << 40),
                watched: vec!["/a".into(), "/b".into()],
                uid: Some(7),
            },
            hardened: true,
        }
    }

    #[test]
    fn plans_read_back() {
        for program in [
            Program::Exec { path: c"/x".into(), arguments: vec![c"x".into(), c"".into()] },
            Program::Builtin { name: "buildenv".into() },
        ] {
            let plan = sample(program);
            let bytes = plan.encode();
            assert_eq!(Plan::decode(&bytes).as_ref(), Ok(&plan));
            for end in 0..bytes.len() {
                assert_eq!(Plan::decode(&bytes[..end]), Err(PlanError), "{end}");
            }
        }
    }

    #[test]
    fn errands_read_back() {
        let errand = Errand {
            program: c"/bin/x".into(),
            arguments: vec![c"x".into(), c"".into()],
            environment: vec![c"A=b".into()],
            input: "/dev/null".into(),
            ordinary: true,
            guard: Guard { processes: 3, ..Guard::default() },
        };
        let bytes = errand.encode();
        assert_eq!(Errand::decode(&bytes).as_ref(), Ok(&errand));
        for end in 0..bytes.len() {
            assert_eq!(Errand::decode(&bytes[..end]), Err(PlanError), "{end}");
        }
    }

    #[test]
    fn strings_end_at_nul() {
        assert_eq!(c_string(b"a=b\0c".to_vec()).as_bytes(), b"a=b");
    }
}
