//! The HTTP client.
//!
//! Every hop of a redirect is checked against [`crate::gather::http::url_guard`] before it
//! is followed, bodies are capped and have a deadline in all, no content
//! encoding is undone unless asked for, and credentials go to the origin they
//! were meant for and nowhere else.
//!
//! To callers it is a blocking client: each thread drives its own requests
//! over connections of its own. [`crate::gather::cache::narinfos`] has hundreds open at once.

pub(super) mod body;
pub mod credentials;
pub mod error;
pub(super) mod lane;
pub(super) mod pace;
pub mod proxy;
pub mod request;
pub mod resolve;
pub(super) mod tls;
pub mod url_guard;
pub(super) mod wire;

use std::borrow::Cow;
use std::io::Read;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use url::{Host, Url};

pub use crate::gather::http::body::Body;
use crate::gather::http::body::Plain;
use crate::gather::http::error::Deadline;
pub use crate::gather::http::error::{Failure, HttpError, Patience, retry_after};
use crate::gather::http::lane::{Borrowed, Lanes};
pub use crate::gather::http::request::{Answer, HttpOptions, Request};
use crate::gather::http::resolve::{Checked, lookup};
pub use crate::gather::http::tls::read_ca_file;
use crate::gather::http::url_guard::{AddressClass, Zone};
use crate::gather::http::wire::{Range, Reply};
use crate::gather::nar::compression::{self, Compression};

/// Most redirects followed for one request; curl's limit under Nix.
const MAX_REDIRECTS: u32 = 10;

/// Bytes that the body of a small file may have while hundreds are on their
/// way; the narinfo of a path with a thousand references has as many.
const FREE_BODY: usize = 64 << 10;

/// Small files longer than that that may be on their way at once: they may
/// have 16 MiB, and a server could make all of them that long.
const LONG_BODIES: usize = 2;

/// The client. Cloning shares connections.
///
/// Its functions block and must not be called from within a future.
#[derive(Clone)]
pub struct HttpClient(Arc<Inner>);

struct Inner {
    options: HttpOptions,
    lanes: Arc<Lanes>,
    long_bodies: Semaphore,
}

impl HttpClient {
    /// Makes a client; connections and certificates come with the first
    /// request.
    #[must_use]
    pub fn new(options: HttpOptions) -> Self {
        let long_bodies = Semaphore::new(LONG_BODIES);
        Self(Arc::new(Inner { options, lanes: Arc::default(), long_bodies }))
    }

    /// Where a request for `url` starts when something else than the user
    /// mentions it.
    #[must_use]
    pub fn zone_of(&self, url: &Url) -> Zone {
        if self.0.options.named_origins.contains(&url.origin().ascii_serialization()) {
            Zone::Named
        } else {
            Zone::FOREIGN
        }
    }

    /// Gets a small file whole, at most `cap` bytes of it.
    ///
    /// # Errors
    /// When there is no usable answer after all tries.
    pub fn small(&self, request: &Request, cap: u64) -> Result<Answer<Vec<u8>>, HttpError> {
        let lane = self.lane(request)?;
        lane.block_on(self.small_on(&lane, request, cap))
    }

    /// The same over connections of the caller's, many at a time.
    pub(super) async fn small_on(
        &self,
        lane: &Borrowed,
        request: &Request,
        cap: u64,
    ) -> Result<Answer<Vec<u8>>, HttpError> {
        let total = self.patience().small_total;
        self.retrying(request, async || {
            match timeout(total, self.small_once(lane, request, cap)).await {
                Ok(answer) => answer,
                Err(_) => Err(Failure::Slow(total)),
            }
        })
        .await
    }

    async fn small_once(
        &self,
        lane: &Borrowed,
        request: &Request,
        cap: u64,
    ) -> Result<Answer<Vec<u8>>, Failure> {
        let reply = match self.send(lane, request, None).await? {
            Answer::Found(reply) => reply,
            Answer::Absent => return Ok(Answer::Absent),
            Answer::Forbidden => return Ok(Answer::Forbidden),
        };
        let encoding = reply.encoding(request.decode)?;
        let deadline = Deadline::after(self.patience().small_total);
        let mut plain = Plain::new(reply, 0, cap, deadline)?;
        let mut body = Vec::new();
        let mut permit = None;
        while let Some(chunk) = plain.chunk().await? {
            if permit.is_none() && body.len().saturating_add(chunk.len()) > FREE_BODY {
                permit = self.0.long_bodies.acquire().await.ok();
            }
            body.extend_from_slice(&chunk);
        }
        if encoding == Compression::None {
            return Ok(Answer::Found(body));
        }
        // Only when it is there whole: many are on their way at once, but one
        // is decoded at a time.
        let mut decoded = Vec::new();
        compression::reader(encoding, body.as_slice())
            .and_then(|reader| reader.take(cap.saturating_add(1)).read_to_end(&mut decoded))
            .map_err(|error| Failure::Decode(error.to_string()))?;
        if u64::try_from(decoded.len()).unwrap_or(u64::MAX) > cap {
            return Err(Failure::TooLong(cap));
        }
        Ok(Answer::Found(decoded))
    }

    /// Begins to get a large file of at most `cap` bytes.
    ///
    /// # Errors
    /// When there is no usable answer after all tries.
    pub fn large(&self, request: &Request, cap: u64) -> Result<Answer<Body>, HttpError> {
        let lane = self.lane(request)?;
        let patience = self.patience();
        let started = lane.block_on(self.retrying(request, async || {
            let deadline = Deadline::at_rate(patience.large_base, patience.large_rate);
            let reply = match self.send(&lane, request, None).await? {
                Answer::Found(reply) => reply,
                Answer::Absent => return Ok(Answer::Absent),
                Answer::Forbidden => return Ok(Answer::Forbidden),
            };
            reply.encoding(false)?;
            Ok(Answer::Found((reply, deadline)))
        }))?;
        let (reply, deadline) = match started {
            Answer::Found(started) => started,
            Answer::Absent => return Ok(Answer::Absent),
            Answer::Forbidden => return Ok(Answer::Forbidden),
        };
        Body::new(self.clone(), request.clone(), lane, reply, cap, deadline)
            .map(Answer::Found)
            .map_err(|failure| HttpError { url: shown(&request.url), failure, tries: 1 })
    }

    /// Connections that nobody else uses meanwhile.
    pub(super) fn any_lane(&self) -> Result<Borrowed, Failure> {
        self.0.lanes.take()
    }

    fn lane(&self, request: &Request) -> Result<Borrowed, HttpError> {
        let failed = |failure| HttpError { url: shown(&request.url), failure, tries: 1 };
        self.any_lane().map_err(failed)
    }

    /// The deadlines.
    pub(super) fn patience(&self) -> &Patience {
        &self.0.options.patience
    }

    async fn retrying<T>(
        &self,
        request: &Request,
        mut attempt: impl AsyncFnMut() -> Result<T, Failure>,
    ) -> Result<T, HttpError> {
        let patience = self.patience();
        let mut tries = 1;
        loop {
            match attempt().await {
                Ok(answer) => return Ok(answer),
                Err(failure) if failure.is_passing() && tries < patience.tries => {
                    sleep(patience.pause(tries, failure.retry_after())).await;
                    tries = tries.saturating_add(1);
                }
                Err(failure) => {
                    return Err(HttpError { url: shown(&request.url), failure, tries });
                }
            }
        }
    }

    /// One try: follows redirects up to an answer that is none.
    pub(super) async fn send(
        &self,
        lane: &Borrowed,
        request: &Request,
        range: Option<Range<'_>>,
    ) -> Result<Answer<Reply>, Failure> {
        let options = &self.0.options;
        if options.offline {
            return Err(Failure::Offline);
        }
        let (mut url, mut zone) = (Cow::Borrowed(&request.url), request.zone);
        for _ in 0..=MAX_REDIRECTS {
            if request.secure && url.scheme() != "https" {
                return Err(url_guard::GuardError::Scheme(url.scheme().to_owned()).into());
            }
            let through_proxy = self.admit(&url, zone).await?;
            let wire = lane.wire(&url, zone, options)?;
            let authorised = match &url {
                Cow::Borrowed(_) => true,
                Cow::Owned(elsewhere) => elsewhere.origin() == request.url.origin(),
            };
            let idle = options.patience.idle;
            let reply = wire.send(&url, request, authorised, range, idle).await?;
            if !matches!(reply.status(), 301 | 302 | 303 | 307 | 308) {
                return reply.judge(range.is_some());
            }
            let next = reply.location().and_then(|location| url.join(location).ok());
            // A proxy's address says nothing about the server behind it.
            let peer = reply.peer().filter(|_| !through_proxy);
            zone = Zone::At(peer.map_or(AddressClass::Public, options.classify));
            let next = next.filter(|_| request.post.is_none());
            url = Cow::Owned(next.ok_or(Failure::RedirectTarget)?);
        }
        Err(Failure::Redirects(MAX_REDIRECTS))
    }

    /// Checks where `url` leads, and says whether the request goes through a
    /// proxy.
    async fn admit(&self, url: &Url, zone: Zone) -> Result<bool, Failure> {
        let options = &self.0.options;
        let host = url_guard::host_of(url)?;
        let checked = self.0.lanes.checked(zone);
        let checked = checked.ok_or_else(|| Failure::Setup("unknown zone".to_owned()))?;
        let proxy = options.proxies.for_url(url);
        let literal = match host {
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
            Host::Domain(_) => None,
        };
        if let Some(address) = literal {
            url_guard::allowed(zone, &host.to_string(), [address], options.classify)?;
        } else if let Host::Domain(name) = host {
            self.check_name(name, zone, proxy.is_some(), checked).await?;
        }
        if let Some(Host::Domain(name)) = proxy.and_then(Url::host)
            && !checked.is_fresh(name)
        {
            checked.keep(name, self.lookup(name).await?);
        }
        Ok(proxy.is_some())
    }

    async fn check_name(
        &self,
        name: &str,
        zone: Zone,
        through_proxy: bool,
        checked: &Checked,
    ) -> Result<(), Failure> {
        let options = &self.0.options;
        if through_proxy {
            // The proxy resolves the name; ours may know more or less of it.
            if zone != Zone::Named
                && let Ok(addresses) = self.lookup(name).await
            {
                url_guard::allowed(zone, name, addresses, options.classify)?;
            }
            return Ok(());
        }
        // The name of a proxy is kept unchecked, so it is checked each time.
        if checked.is_fresh(name) && (zone == Zone::Named || options.proxies.is_empty()) {
            return Ok(());
        }
        let addresses = self.lookup(name).await?;
        let allowed = url_guard::allowed(zone, name, addresses, options.classify)?;
        checked.keep(name, allowed);
        Ok(())
    }

    async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        let addresses = lookup(name, self.patience().connect).await;
        addresses
            .map_err(|error| Failure::Resolve { host: name.to_owned(), message: error.to_string() })
    }
}

/// The URL without credentials.
#[must_use]
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Fails only for URLs that can have neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}
