//! A git server over HTTPS, asked in version 2 of git's protocol through our
//! own HTTP client.
//!
//! Version 2 lets us ask for the references that count and leave contents out,
//! so that the history of a large repository is some hundred megabytes and not
//! some gigabytes. Whatever comes is bounded: references, bytes, objects, what
//! they grow to, and time.
//!
//! Reference: gitprotocol-v2(5), gitprotocol-http(5).

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use url::Url;

use crate::check::Reason;
use crate::gather::http::credentials::{Credentials, Netrc};
use crate::gather::http::{Answer, Body, HttpClient, HttpError, Request, shown};
use crate::nix::git::ObjectId;
use crate::nix::git::pack::{PackContents, PackError, PackLimits, examine};
use crate::nix::git::pkt_line::{Packet, PacketError, PacketReader, PacketWriter, trimmed};
use crate::nix::git::protocol::{Capabilities, RemoteReference};

/// What a server may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Branches and tags; nixpkgs has some thousands.
    pub references: usize,
    /// Bytes of their list.
    pub list: u64,
    /// Bytes of one pack; all commits of nixpkgs take some 400 MB.
    pub pack: u64,
    /// What one pack holds.
    pub contents: PackLimits,
    /// Time for all that one repository is asked.
    pub time: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            references: 500_000,
            list: 128 << 20,
            pack: 2 << 30,
            contents: PackLimits { objects: 8_000_000, object: 512 << 20, total: 32 << 30 },
            time: Duration::from_secs(20 * 60),
        }
    }
}

/// Bytes of what a server says of itself.
const MAX_ADVERTISEMENT: u64 = 1 << 20;

/// Most of a server's own words that are repeated.
const MAX_WORDS: usize = 200;

/// Why a server gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No request was answered.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It says that there is no such repository, or not for us.
    #[error("{url} says {status} (a private repository needs --netrc-file)")]
    NotThere {
        /// The URL.
        url: String,
        /// What it says.
        status: &'static str,
    },
    /// It does not speak version 2 of the protocol.
    #[error("{0} does not speak version 2 of git's protocol")]
    Version(String),
    /// Its ids are of another kind.
    #[error("the repository has {0} object ids, which are not supported")]
    Format(String),
    /// It does not have an object.
    #[error("the server does not have it: {0}")]
    NotOurs(String),
    /// It refused otherwise.
    #[error("the server refuses: {0}")]
    Refused(String),
    /// It says what no git server says.
    #[error("the server's answer makes no sense: {0}")]
    Nonsense(String),
    /// What it says is no packet.
    #[error("the server's answer makes no sense: {0}")]
    Packet(#[from] PacketError),
    /// Its pack is not taken.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// Too much.
    #[error("the server sends more than {max} {what}")]
    TooLarge {
        /// The limit.
        max: u64,
        /// Of what.
        what: &'static str,
    },
    /// It takes too long.
    #[error("the server has not given everything after {} s", .0.as_secs())]
    Slow(Duration),
    /// Our own disk.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was written.
        path: PathBuf,
        /// Why it was not.
        source: io::Error,
    },
}

impl ServerError {
    /// The reason for which questions stay open; `None` if it is our failure.
    #[must_use]
    pub const fn reason(&self) -> Option<Reason> {
        Some(match self {
            Self::Http(error) => error.failure.reason(),
            Self::Version(_) | Self::Format(_) => Reason::Unsupported,
            Self::TooLarge { .. } | Self::Pack(PackError::TooLarge { .. }) => Reason::TooLarge,
            Self::Slow(_) => Reason::LimitReached,
            Self::Io { .. } => return None,
            _ => Reason::Unreachable,
        })
    }
}

/// What is wanted of a repository.
#[derive(Debug, Clone, Copy)]
pub struct Want<'a> {
    /// The objects.
    pub wants: &'a [ObjectId],
    /// What is here with all that it leads to.
    pub haves: &'a [ObjectId],
    /// How much of what they lead to.
    pub extent: Extent,
}

/// How much of what commits lead to is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All commits and tags, and as little else as the server can leave out.
    History,
    /// What these commits hold, and no other commit.
    Contents,
}

/// A server that speaks version 2, and a repository of it.
pub struct Server<'a> {
    http: &'a HttpClient,
    credentials: Option<Credentials>,
    /// Where requests go, without the last part.
    base: Url,
    capabilities: Capabilities,
    limits: &'a ServerLimits,
    began: Instant,
}

impl<'a> Server<'a> {
    /// Asks the repository at `url` what it can do. A redirect here counts for
    /// the rest, as it does for git.
    ///
    /// # Errors
    /// See [`ServerError`].
    pub fn connect(
        http: &'a HttpClient,
        netrc: &Netrc,
        url: &Url,
        limits: &'a ServerLimits,
    ) -> Result<Self, ServerError> {
        let mut base = url.clone();
        // These fail only for URLs that cannot have them.
        let _ = base.set_username("");
        let _ = base.set_password(None);
        base.set_query(None);
        base.set_fragment(None);
        let credentials = base.host_str().and_then(|host| netrc.find(host));
        let mut server = Self {
            http,
            credentials,
            base,
            capabilities: Capabilities::default(),
            limits,
            began: Instant::now(),
        };
        let mut request = server.request("info/refs");
        request.url.set_query(Some("service=git-upload-pack"));
        let asked = request.url.origin();
        let body = server.body(&request, MAX_ADVERTISEMENT)?;
        let mut found = body.url().clone();
        let there = found.path().strip_suffix("/info/refs").map(str::to_owned);
        let Some(path) = there.filter(|_| found.query() == Some("service=git-upload-pack")) else {
            let what = format!("{} leads to {}", shown(&request.url), shown(&found));
            return Err(ServerError::Nonsense(what));
        };
        found.set_path(&path);
        found.set_query(None);
        if found.origin() != asked {
            server.credentials = None;
        }
        server.base = found;
        server.advertised(body)?;
        Ok(server)
    }

    fn advertised(&mut self, body: Body) -> Result<(), ServerError> {
        let old = || ServerError::Version(shown(&self.base));
        let mut packets = PacketReader::new(body);
        let mut capabilities = Capabilities::default();
        let mut begun = false;
        loop {
            match packets.next_packet().map_err(of_packet)? {
                Some(Packet::Line(line)) => {
                    let line = words(line)?;
                    match (begun, line) {
                        (false, "version 2") => begun = true,
                        (false, line) if line.starts_with("# service=") => {}
                        (false, _) => return Err(old()),
                        (true, line) => capabilities.take(line),
                    }
                }
                // After the line that names the service.
                Some(Packet::Flush) if !begun => {}
                Some(Packet::Flush) => break,
                Some(_) | None => return Err(old()),
            }
        }
        if let Some(other) = capabilities.other_format {
            return Err(ServerError::Format(other));
        }
        if !capabilities.lists || !capabilities.fetches {
            return Err(old());
        }
        self.capabilities = capabilities;
        Ok(())
    }

    /// All branches and tags, sorted. Others are not asked for, and not taken.
    ///
    /// # Errors
    /// See [`ServerError`]; a list without its end is one.
    pub fn references(&self) -> Result<Vec<RemoteReference>, ServerError> {
        let asked = PacketWriter::default()
            .line("command=ls-refs")
            .delimiter()
            .line("peel")
            .line("ref-prefix refs/heads/")
            .line("ref-prefix refs/tags/")
            .flush();
        let mut packets = PacketReader::new(self.post(asked, self.limits.list)?);
        let mut found = Vec::new();
        loop {
            self.in_time()?;
            match packets.next_packet().map_err(of_packet)? {
                Some(Packet::Line(line)) => {
                    refused(line)?;
                    // A name that is no text is none that a lock could ask for.
                    let Ok(line) = words(line) else { continue };
                    found.extend(RemoteReference::parse(line));
                    if found.len() > self.limits.references {
                        let max = u64::try_from(self.limits.references).unwrap_or(u64::MAX);
                        return Err(ServerError::TooLarge { max, what: "references" });
                    }
                }
                Some(Packet::Flush) => break,
                Some(_) => return Err(ServerError::Nonsense("a list in sections".to_owned())),
                None => return Err(ServerError::Nonsense("its list has no end".to_owned())),
            }
        }
        found.sort();
        let twice = found.windows(2).find(|pair| match pair {
            [one, two] => one.name == two.name,
            _ => false,
        });
        match twice.and_then(|pair| pair.first()) {
            Some(reference) => {
                Err(ServerError::Nonsense(format!("it lists '{}' twice", reference.name)))
            }
            None => Ok(found),
        }
    }

    /// Gets a pack into `file`, from its begin on, and goes through it once.
    ///
    /// # Errors
    /// See [`ServerError`].
    pub fn pack(
        &self,
        want: &Want<'_>,
        file: &mut File,
        path: &std::path::Path,
    ) -> Result<PackContents, ServerError> {
        let failed = |source| ServerError::Io { path: path.to_owned(), source };
        let mut asked = PacketWriter::default()
            .line("command=fetch")
            .delimiter()
            .line("no-progress")
            .line("ofs-delta");
        match want.extent {
            Extent::History if self.capabilities.filter => asked = asked.line("filter tree:0"),
            Extent::Contents if self.capabilities.shallow => asked = asked.line("deepen 1"),
            Extent::History | Extent::Contents => {}
        }
        for id in want.wants {
            asked = asked.line(&format!("want {id}"));
        }
        for id in want.haves {
            asked = asked.line(&format!("have {id}"));
        }
        let asked = asked.line("done").flush();
        // What frames the pack is a small part of it.
        let cap = self.limits.pack.saturating_add(self.limits.pack / 64).saturating_add(1 << 20);
        let mut packets = PacketReader::new(self.post(asked, cap)?);
        let mut size = 0_u64;
        let mut in_pack = false;
        file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).map_err(failed)?;
        loop {
            self.in_time()?;
            match packets.next_packet().map_err(of_packet)? {
                Some(Packet::Line(line)) if in_pack => match line.split_first() {
                    Some((1, data)) => {
                        size = size.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
                        if size > self.limits.pack {
                            let max = self.limits.pack;
                            return Err(ServerError::TooLarge { max, what: "bytes of a pack" });
                        }
                        file.write_all(data).map_err(failed)?;
                    }
                    Some((2, _progress)) => {}
                    Some((3, error)) => return Err(ServerError::Refused(brief(error))),
                    _ => return Err(ServerError::Nonsense("an unknown side band".to_owned())),
                },
                Some(Packet::Line(line)) => {
                    refused(line)?;
                    in_pack = trimmed(line) == b"packfile";
                }
                Some(Packet::Delimiter) if !in_pack => {}
                Some(Packet::Flush) if in_pack => break,
                Some(_) => return Err(ServerError::Nonsense("no pack follows".to_owned())),
                None => return Err(ServerError::Nonsense("its answer has no end".to_owned())),
            }
        }
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let found = examine(BufReader::new(&mut *file), &self.limits.contents)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        Ok(found)
    }

    /// Whether there is time left.
    ///
    /// # Errors
    /// That there is none.
    pub fn in_time(&self) -> Result<(), ServerError> {
        if self.began.elapsed() > self.limits.time {
            return Err(ServerError::Slow(self.limits.time));
        }
        Ok(())
    }

    fn post(&self, asked: Vec<u8>, cap: u64) -> Result<Body, ServerError> {
        let mut request = self.request("git-upload-pack");
        let form = |name: &str| format!("application/x-git-upload-pack-{name}");
        request.headers.push(("content-type", form("request")));
        request.headers.push(("accept", form("result")));
        request.post = Some(Arc::from(asked));
        self.body(&request, cap)
    }

    fn request(&self, last: &str) -> Request {
        let mut url = self.base.clone();
        let path = format!("{}/{last}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        let zone = self.http.zone_of(&url);
        let mut request = Request::from_zone(url, zone);
        request.secure = true;
        request.credentials = self.credentials.clone();
        request.headers.push(("git-protocol", "version=2".to_owned()));
        request
    }

    fn body(&self, request: &Request, cap: u64) -> Result<Body, ServerError> {
        self.in_time()?;
        let not_there = |status| {
            let url = shown(&request.url);
            Err(ServerError::NotThere { url, status })
        };
        match self.http.large(request, cap)? {
            Answer::Found(body) => Ok(body),
            Answer::Absent => not_there("404, not there"),
            Answer::Forbidden => not_there("403, forbidden"),
        }
    }
}

/// What broke off under a packet is the connection's fault, and says more.
fn of_packet(error: PacketError) -> ServerError {
    match error {
        PacketError::Read(source) => match HttpError::of(&source) {
            Some(http) => ServerError::Http(http.clone()),
            None => ServerError::Packet(PacketError::Read(source)),
        },
        other => ServerError::Packet(other),
    }
}

fn words(line: &[u8]) -> Result<&str, ServerError> {
    std::str::from_utf8(trimmed(line)).map_err(|_| ServerError::Nonsense(brief(line)))
}

fn brief(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(trimmed(line));
    text.chars().take(MAX_WORDS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A line with which a server ends the conversation.
fn refused(line: &[u8]) -> Result<(), ServerError> {
    let Some(message) = line.strip_prefix(b"ERR ") else { return Ok(()) };
    let message = brief(message);
    if message.contains("not our ref") {
        return Err(ServerError::NotOurs(message));
    }
    Err(ServerError::Refused(message))
}

/// A reader that ends with an error when the time is over.
pub(super) struct Timed<'s, R>(pub R, pub &'s Server<'s>);

impl<R: Read> Read for Timed<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.1.in_time().map_err(|error| io::Error::new(io::ErrorKind::TimedOut, error))?;
        self.0.read(out)
    }
}
