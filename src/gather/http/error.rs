//! What can go wrong with a request, and how long to be patient with it.

use std::io;
use std::time::{Duration, Instant};

use crate::check::Reason;
use crate::gather::http::url_guard::GuardError;

/// How long a connection may take to come up.
const CONNECT: Duration = Duration::from_secs(15);

/// How long a server may stay silent, before its headers or within a body.
const IDLE: Duration = Duration::from_secs(30);

/// How long a small file may take in all; one byte a second is not enough.
const SMALL_TOTAL: Duration = Duration::from_secs(60);

/// How long a large file may take, however little of it comes, ...
const LARGE_BASE: Duration = Duration::from_secs(120);

/// ... and how many bytes a second must come beyond that: a slow mobile line
/// still has twice as many.
const LARGE_RATE: u64 = 32 << 10;

/// How often a request is made before it counts as failed.
const TRIES: u32 = 5;

/// Upper bound of the first pause between tries; it doubles with every try,
/// and the pause itself is drawn evenly from nothing to the bound, so that
/// many clients do not come back together.
const RETRY_BASE: Duration = Duration::from_millis(250);

/// Longest pause that we choose ourselves.
const RETRY_CAP: Duration = Duration::from_secs(10);

/// Longest pause that a server may ask for with `Retry-After`.
const RETRY_AFTER_CAP: Duration = Duration::from_secs(60);

/// All deadlines of the client. The default is what is described above;
/// tests shorten it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// Without a byte.
    pub idle: Duration,
    /// For a small file in all.
    pub small_total: Duration,
    /// For a large file, however little of it comes.
    pub large_base: Duration,
    /// Bytes a second a large file must come in at beyond that.
    pub large_rate: u64,
    /// Tries in all.
    pub tries: u32,
    /// Upper bound of the first pause.
    pub retry_base: Duration,
    /// Upper bound of any pause of our own.
    pub retry_cap: Duration,
    /// Upper bound of a pause a server asks for.
    pub retry_after_cap: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: CONNECT,
            idle: IDLE,
            small_total: SMALL_TOTAL,
            large_base: LARGE_BASE,
            large_rate: LARGE_RATE,
            tries: TRIES,
            retry_base: RETRY_BASE,
            retry_cap: RETRY_CAP,
            retry_after_cap: RETRY_AFTER_CAP,
        }
    }
}

impl Patience {
    /// How long to wait after the try number `tried`, from 1.
    #[must_use]
    pub fn pause(&self, tried: u32, asked: Option<Duration>) -> Duration {
        let doublings = tried.saturating_sub(1).min(16);
        let bound = self.retry_base.saturating_mul(1 << doublings).min(self.retry_cap);
        let own = bound.mul_f64(fastrand::f64());
        own.max(asked.unwrap_or_default().min(self.retry_after_cap))
    }
}

/// A request that got no usable answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{url}: {failure}{}", again(*tries))]
pub struct HttpError {
    /// The URL asked for, without credentials.
    pub url: String,
    /// What went wrong.
    pub failure: Failure,
    /// How often it was tried.
    pub tries: u32,
}

fn again(tries: u32) -> String {
    if tries > 1 { format!(" (tried {tries} times)") } else { String::new() }
}

impl HttpError {
    /// The HTTP error that a body's `error` carries, if it is one.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<HttpError> for io::Error {
    fn from(error: HttpError) -> Self {
        Self::other(error)
    }
}

/// What went wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No network was to be used.
    #[error("not requested, because --offline was given")]
    Offline,
    /// The client could not be set up.
    #[error("the HTTP client could not be set up: {0}")]
    Setup(String),
    /// The URL may not be requested.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The host has no address.
    #[error("no address for {host}: {message}")]
    Resolve {
        /// The host.
        host: String,
        /// What the resolver said.
        message: String,
    },
    /// No connection.
    #[error("no connection: {0}")]
    Connect(String),
    /// The server is not who it should be, or speaks no TLS we accept.
    #[error("the TLS connection is not trusted: {0}")]
    Tls(String),
    /// Nothing came for too long.
    #[error("nothing came for {} s", .0.as_secs_f64())]
    Idle(Duration),
    /// The answer took too long in all.
    #[error("the answer was not complete after {} s", .0.as_secs_f64())]
    Slow(Duration),
    /// The connection broke, or the answer was not HTTP.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// A status that says neither "here" nor "absent".
    #[error("the server answered {status}")]
    Status {
        /// The status code.
        status: u16,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
    },
    /// The credentials, or none, were not accepted.
    #[error("the server answered {0}: credentials are missing or not accepted")]
    Unauthorized(u16),
    /// Forbidden, by a server that has another way to say "absent".
    #[error("the server answered 403: forbidden, which does not say whether there is such a file")]
    Forbidden,
    /// The body is longer than it may be.
    #[error("the body is longer than {0} bytes, the most that is accepted here")]
    TooLong(u64),
    /// The body comes in an encoding nobody asked for.
    #[error("the body has the content encoding '{0}' (expected none)")]
    Encoding(String),
    /// The body does not decode.
    #[error("the body does not decode: {0}")]
    Decode(String),
    /// Too many redirects.
    #[error("more than {0} redirects")]
    Redirects(u32),
    /// A redirect without a usable target.
    #[error("redirect without a usable target")]
    RedirectTarget,
}

impl Failure {
    /// Whether another try could go better.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Resolve { .. }
            | Self::Connect(_)
            | Self::Idle(_)
            | Self::Slow(_)
            | Self::Broken(_) => true,
            // Not implemented, version not supported, network login required.
            Self::Status { status: 501 | 505 | 511, .. } => false,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            _ => false,
        }
    }

    /// The same as one of the reasons for which questions stay open.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Offline => Reason::Offline,
            Self::TooLong(_) => Reason::TooLarge,
            _ => Reason::Unreachable,
        }
    }

    /// How long the server asks to wait.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// `Retry-After` in both forms: seconds, or a date seen from `now`.
#[must_use]
pub fn retry_after(value: &str, now: std::time::SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// When a body must be complete: so long after its request, and a second
/// more for so many bytes that have come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    since: Instant,
    base: Duration,
    rate: Option<u64>,
}

impl Deadline {
    /// So long, whatever comes.
    pub(super) fn after(base: Duration) -> Self {
        Self { since: Instant::now(), base, rate: None }
    }

    /// So long, and longer for what comes at that rate.
    pub(super) fn at_rate(base: Duration, rate: u64) -> Self {
        Self { since: Instant::now(), base, rate: Some(rate) }
    }

    /// Whether there is time left, after so many bytes.
    pub(super) fn check(self, taken: u64) -> Result<(), Failure> {
        let more = self.rate.map_or(0, |rate| taken.checked_div(rate).unwrap_or(u64::MAX));
        let allowed = self.base.saturating_add(Duration::from_secs(more));
        if self.since.elapsed() > allowed { Err(Failure::Slow(allowed)) } else { Ok(()) }
    }
}

/// The chain of an error's causes as one line, without the URL: that is
/// shown beside it, and without credentials.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(current) = cause {
        let message = current.to_string();
        if !text.contains(&message) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&message);
        }
        cause = current.source();
    }
    if text.is_empty() { "no further details".to_owned() } else { text }
}

/// Whether an error of type `T` is among the causes of `error`.
pub(super) fn has_cause<T: std::error::Error + 'static>(
    error: &(dyn std::error::Error + 'static),
) -> bool {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if current.is::<T>() {
            return true;
        }
        // What an I/O error carries is not among its sources.
        if let Some(inner) = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref)
            && (inner.is::<T>() || has_cause::<T>(inner))
        {
            return true;
        }
        cause = current.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let patience = Patience::default();
        for tried in 1..40 {
            for _ in 0..100 {
                assert!(patience.pause(tried, None) <= patience.retry_cap);
            }
        }
        let asked = Some(Duration::from_secs(20));
        assert!(patience.pause(1, asked) >= Duration::from_secs(20));
        let asked = Some(Duration::from_secs(100_000));
        assert_eq!(patience.pause(1, asked), patience.retry_after_cap);
    }

    #[test]
    fn retry_after_has_two_forms() {
        let now = std::time::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(retry_after(" 120 ", now), Some(Duration::from_secs(120)));
        assert_eq!(
            retry_after("Sun, 06 Nov 1994 08:50:37 GMT", now),
            Some(Duration::from_secs(60))
        );
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
        assert_eq!(retry_after("-1", now), None);
    }
}
