//! Bodies of answers: capped, under a deadline, and taken up again where their
//! connection broke.

use std::io::{self, Read};

use bytes::{Buf as _, Bytes};
use url::Url;

use crate::gather::http::error::{Deadline, Failure, HttpError};
use crate::gather::http::lane::Borrowed;
use crate::gather::http::request::{Answer, Request};
use crate::gather::http::wire::{Range, Reply};
use crate::gather::http::{HttpClient, shown};

/// A body as it comes over one connection.
#[derive(Debug)]
pub(super) struct Plain {
    reply: Reply,
    chunk: Bytes,
    taken: u64,
    cap: u64,
    deadline: Deadline,
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

impl Plain {
    /// The body of `reply`, `taken` bytes of which are known.
    ///
    /// # Errors
    /// A body that says itself that it is too long.
    pub(super) fn new(
        reply: Reply,
        taken: u64,
        cap: u64,
        deadline: Deadline,
    ) -> Result<Self, Failure> {
        let room = cap.saturating_sub(taken);
        match reply.length() {
            Some(length) if length > room => Err(Failure::TooLong(cap)),
            _ => Ok(Self { reply, chunk: Bytes::new(), taken, cap, deadline }),
        }
    }

    /// The next bytes; `None` at the end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            self.deadline.check(self.taken)?;
            let Some(chunk) = self.reply.chunk().await? else { return Ok(None) };
            self.taken = self.taken.saturating_add(wide(chunk.len()));
            if self.taken > self.cap {
                return Err(Failure::TooLong(self.cap));
            }
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
    }
}

/// What the server offers for going on with a body after its connection broke.
#[derive(Debug, Clone, Default)]
struct Resume {
    /// It can send the rest alone.
    ranges: bool,
    /// The strong entity tag that says the file is still the same.
    tag: Option<String>,
}

/// A large body. Its errors carry an [`HttpError`].
///
/// If its connection breaks, the rest is asked for, or all of it once more and
/// what is known skipped. Should the file have changed between, the result is
/// neither version: whoever reads it has a hash to check.
pub struct Body {
    plain: Plain,
    client: HttpClient,
    request: Request,
    resume: Resume,
    tries: u32,
    length: Option<u64>,
    url: Url,
    /// Last, so that it outlives what was read over it.
    lane: Borrowed,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("url", &shown(&self.request.url)).finish_non_exhaustive()
    }
}

impl Body {
    pub(super) fn new(
        client: HttpClient,
        request: Request,
        lane: Borrowed,
        reply: Reply,
        cap: u64,
        deadline: Deadline,
    ) -> Result<Self, Failure> {
        let resume = Resume { ranges: reply.sends_ranges(), tag: reply.tag().map(str::to_owned) };
        let (length, url) = (reply.length(), reply.url().clone());
        let plain = Plain::new(reply, 0, cap, deadline)?;
        Ok(Self { plain, client, request, resume, tries: 1, length, url, lane })
    }

    /// The length that the server named.
    #[must_use]
    pub const fn length(&self) -> Option<u64> {
        self.length
    }

    /// The URL that answered, after redirects.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Sees to it that there are bytes to be given out; none are there at the
    /// end.
    fn fill(&mut self) -> Result<(), Failure> {
        while self.plain.chunk.is_empty() {
            match self.lane.block_on(self.plain.chunk()) {
                Ok(Some(chunk)) => self.plain.chunk = chunk,
                Ok(None) => break,
                Err(failure) => self.go_on(failure)?,
            }
        }
        Ok(())
    }

    /// Asks for the rest after `failure`, or gives up with it.
    fn go_on(&mut self, failure: Failure) -> Result<(), Failure> {
        let patience = self.client.patience();
        let passing = matches!(failure, Failure::Broken(_) | Failure::Idle(_));
        if !passing || self.request.post.is_some() {
            return Err(failure);
        }
        while self.tries < patience.tries {
            std::thread::sleep(patience.pause(self.tries, None));
            self.tries = self.tries.saturating_add(1);
            if let Some(rest) = self.lane.block_on(self.rest()) {
                self.plain = rest;
                return Ok(());
            }
            self.plain.deadline.check(self.plain.taken)?;
        }
        Err(failure)
    }

    /// The body once more, from where it broke off.
    async fn rest(&self) -> Option<Plain> {
        let from = self.plain.taken;
        let range = Range { from, tag: self.resume.tag.as_deref() };
        let range = self.resume.ranges.then_some(range);
        let reply = match self.client.send(&self.lane, &self.request, range).await {
            Ok(Answer::Found(reply)) => reply,
            _ => return None,
        };
        reply.encoding(false).ok()?;
        let is_rest = reply.status() == 206;
        if is_rest && !reply.is_rest(from) {
            return None;
        }
        let taken = if is_rest { from } else { 0 };
        let mut plain = Plain::new(reply, taken, self.plain.cap, self.plain.deadline).ok()?;
        while plain.taken < from {
            let mut chunk = plain.chunk().await.ok()??;
            let ahead = usize::try_from(plain.taken.saturating_sub(from)).ok()?;
            chunk.advance(chunk.len().saturating_sub(ahead));
            plain.chunk = chunk;
        }
        Some(plain)
    }
}

impl Read for Body {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if let Err(failure) = self.fill() {
            let url = shown(&self.request.url);
            return Err(HttpError { url, failure, tries: self.tries }.into());
        }
        let chunk = &mut self.plain.chunk;
        let length = chunk.len().min(out.len());
        chunk.split_to(length).copy_to_slice(out.get_mut(..length).unwrap_or_default());
        Ok(length)
    }
}
