//! The HTTP client, and the only file that names the library behind it.
//!
//! It is stricter than the library: every hop of a redirect is checked against
//! [`super::url_guard`] before it is followed, bodies are capped and have a
//! deadline in all, no content encoding is undone unless asked for, and
//! credentials go to the origin they were meant for and nowhere else.

use std::io::{self, Read};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use reqwest::blocking::{Client, Response};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::redirect::Policy;
use url::{Host, Url};

use super::compression::{self, Compression};
use super::credentials::Credentials;
use super::http_error::{Deadline, chain, has_cause};
pub use super::http_error::{Failure, HttpError, Patience, retry_after};
pub use super::http_request::{Answer, HttpOptions, Request};
use super::resolve::{Checked, lookup};
use super::url_guard::{self, AddressClass, Zone};

/// Most redirects followed for one request; curl's limit under Nix.
const MAX_REDIRECTS: u32 = 10;

/// Idle connections kept to one host: enough for a thousand small files a
/// second at 100 ms each.
const MAX_IDLE_CONNECTIONS: usize = 128;

/// Bytes skipped at once when a file is read anew.
const SKIP: usize = 64 << 10;

/// Largest file of certificate authorities; a whole system bundle has 250 KiB.
const MAX_CA_FILE: u64 = 16 << 20;

/// A file of certificate authorities in PEM, for
/// [`HttpOptions::ca_certificates`].
///
/// # Errors
/// When it cannot be read, is too long, or holds no certificate.
pub fn read_ca_file(path: &std::path::Path) -> io::Result<Vec<u8>> {
    let mut pem = Vec::new();
    std::fs::File::open(path)?.take(MAX_CA_FILE).read_to_end(&mut pem)?;
    match reqwest::Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(pem),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "no certificate found (expected PEM: -----BEGIN CERTIFICATE-----)",
        )),
    }
}

/// The part of a file that is still missing.
#[derive(Debug, Clone, Copy)]
struct Range<'a> {
    from: u64,
    tag: Option<&'a str>,
}

/// The client. Cloning shares connections.
#[derive(Clone)]
pub struct HttpClient(Arc<Inner>);

struct Inner {
    options: HttpOptions,
    /// One set of connections for each zone, so that a connection made for
    /// the user is never used for a redirect.
    zones: [ZoneClient; Zone::ALL.len()],
}

#[derive(Default)]
struct ZoneClient {
    client: OnceLock<Result<Client, String>>,
    checked: Arc<Checked>,
}

struct CheckedResolver(Arc<Checked>);

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.0.find(name.as_str());
        Box::pin(std::future::ready(match found {
            Some(addresses) => {
                let addresses: Addrs = Box::new(addresses.into_iter());
                Ok(addresses)
            }
            None => Err("the address was not checked before".into()),
        }))
    }
}

impl HttpClient {
    /// Makes a client; connections and certificates come with the first
    /// request.
    #[must_use]
    pub fn new(options: HttpOptions) -> Self {
        Self(Arc::new(Inner { options, zones: Default::default() }))
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
        self.retrying(request, |inner| {
            let deadline = Deadline::after(inner.options.patience.small_total);
            let response = match inner.send(request, None)? {
                Answer::Found(response) => response,
                Answer::Absent => return Ok(Answer::Absent),
                Answer::Forbidden => return Ok(Answer::Forbidden),
            };
            let encoding = content_encoding(response.headers(), request.decode)?;
            let mut body = Vec::new();
            let mut plain =
                Plain { response, taken: 0, cap, deadline, idle: inner.options.patience.idle };
            plain.check_length()?;
            let read = match encoding {
                Compression::None => plain.read_to_end(&mut body),
                encoding => compression::reader(encoding, plain)
                    .and_then(|reader| reader.take(cap.saturating_add(1)).read_to_end(&mut body)),
            };
            read.map_err(|error| failure_of_body(&error))?;
            if u64::try_from(body.len()).unwrap_or(u64::MAX) > cap {
                return Err(Failure::TooLong(cap));
            }
            Ok(Answer::Found(body))
        })
    }

    /// Begins to get a large file of at most `cap` bytes.
    ///
    /// # Errors
    /// When there is no usable answer after all tries.
    pub fn large(&self, request: &Request, cap: u64) -> Result<Answer<Body>, HttpError> {
        self.retrying(request, |inner| {
            let patience = &inner.options.patience;
            let deadline = Deadline::at_rate(patience.large_base, patience.large_rate);
            let response = match inner.send(request, None)? {
                Answer::Found(response) => response,
                Answer::Absent => return Ok(Answer::Absent),
                Answer::Forbidden => return Ok(Answer::Forbidden),
            };
            content_encoding(response.headers(), false)?;
            let resume = Resume::offered(response.headers());
            let plain = Plain { response, taken: 0, cap, deadline, idle: patience.idle };
            plain.check_length()?;
            let (client, request) = (self.clone(), request.clone());
            Ok(Answer::Found(Body { plain, client, request, resume, tries: 1 }))
        })
    }

    fn retrying<T>(
        &self,
        request: &Request,
        mut attempt: impl FnMut(&Inner) -> Result<T, Failure>,
    ) -> Result<T, HttpError> {
        let patience = &self.0.options.patience;
        let mut tries = 1;
        loop {
            match attempt(&self.0) {
                Ok(answer) => return Ok(answer),
                Err(failure) if failure.is_passing() && tries < patience.tries => {
                    std::thread::sleep(patience.pause(tries, failure.retry_after()));
                    tries = tries.saturating_add(1);
                }
                Err(failure) => {
                    return Err(HttpError { url: shown(&request.url), failure, tries });
                }
            }
        }
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

impl Inner {
    /// One try: follows redirects up to an answer that is none.
    fn send(
        &self,
        request: &Request,
        range: Option<Range<'_>>,
    ) -> Result<Answer<Response>, Failure> {
        if self.options.offline {
            return Err(Failure::Offline);
        }
        let origin = request.url.origin();
        let (mut url, mut zone) = (request.url.clone(), request.zone);
        for _ in 0..=MAX_REDIRECTS {
            let (client, through_proxy) = self.prepare(&url, zone)?;
            let mut builder = client.get(url.clone()).header(header::ACCEPT_ENCODING, "identity");
            if let Some(Range { from, tag }) = range {
                builder = builder.header(header::RANGE, format!("bytes={from}-"));
                if let Some(tag) = tag {
                    builder = builder.header(header::IF_RANGE, tag);
                }
            }
            if url.origin() == origin {
                builder = match &request.credentials {
                    Some(Credentials::Basic { login, password }) => {
                        builder.basic_auth(login, Some(password.reveal()))
                    }
                    Some(Credentials::Bearer(token)) => builder.bearer_auth(token.reveal()),
                    None => builder,
                };
            }
            let idle = self.options.patience.idle;
            let response = builder.send().map_err(|error| failure_of(&error, idle))?;
            let status = response.status().as_u16();
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                return judge(response, range.is_some());
            }
            let location = text(response.headers(), header::LOCATION);
            let next = location.and_then(|location| url.join(location).ok());
            // A proxy's address says nothing about the server behind it.
            let peer = response.remote_addr().filter(|_| !through_proxy);
            let class =
                peer.map_or(AddressClass::Public, |peer| (self.options.classify)(peer.ip()));
            zone = Zone::At(class);
            url = next.ok_or(Failure::RedirectTarget)?;
        }
        Err(Failure::Redirects(MAX_REDIRECTS))
    }

    /// Checks where `url` leads and gives the client for it, and whether the
    /// request goes through a proxy.
    fn prepare(&self, url: &Url, zone: Zone) -> Result<(&Client, bool), Failure> {
        let host = url_guard::host_of(url)?;
        let slot = Zone::ALL.iter().position(|known| *known == zone);
        let zone_client = slot
            .and_then(|slot| self.zones.get(slot))
            .ok_or_else(|| Failure::Setup("unknown zone".to_owned()))?;
        let proxy = self.options.proxies.for_url(url);
        let literal = match host {
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
            Host::Domain(_) => None,
        };
        if let Some(address) = literal {
            url_guard::allowed(zone, &host.to_string(), [address], self.options.classify)?;
        } else if let Host::Domain(name) = host {
            self.check_name(name, zone, proxy.is_some(), &zone_client.checked)?;
        }
        if let Some(Host::Domain(name)) = proxy.and_then(Url::host)
            && !zone_client.checked.is_fresh(name)
        {
            zone_client.checked.keep(name, self.lookup(name)?);
        }
        let client = zone_client
            .client
            .get_or_init(|| self.build(Arc::clone(&zone_client.checked)))
            .as_ref()
            .map_err(|message| Failure::Setup(message.clone()))?;
        Ok((client, proxy.is_some()))
    }

    fn check_name(
        &self,
        name: &str,
        zone: Zone,
        through_proxy: bool,
        checked: &Checked,
    ) -> Result<(), Failure> {
        if through_proxy {
            // The proxy resolves the name; ours may know more or less of it.
            if zone != Zone::Named
                && let Ok(addresses) = self.lookup(name)
            {
                url_guard::allowed(zone, name, addresses, self.options.classify)?;
            }
            return Ok(());
        }
        // The name of a proxy is kept unchecked, so it is checked each time.
        let proxies = &self.options.proxies;
        if checked.is_fresh(name) && (zone == Zone::Named || proxies.is_empty()) {
            return Ok(());
        }
        let addresses = self.lookup(name)?;
        let allowed = url_guard::allowed(zone, name, addresses, self.options.classify)?;
        checked.keep(name, allowed);
        Ok(())
    }

    fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        let addresses = lookup(name, self.options.patience.connect);
        addresses
            .map_err(|error| Failure::Resolve { host: name.to_owned(), message: error.to_string() })
    }

    fn build(&self, checked: Arc<Checked>) -> Result<Client, String> {
        // Fails when one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let own = match &self.options.ca_certificates {
            Some(pem) => reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|error| format!("certificate authorities: {}", chain(&error)))?,
            None => Vec::new(),
        };
        let patience = &self.options.patience;
        let base = || {
            let proxies = self.options.proxies.clone();
            let proxy = reqwest::Proxy::custom(move |url| proxies.for_url(url).cloned());
            Client::builder()
                .user_agent(concat!("nix-verify/", env!("CARGO_PKG_VERSION")))
                .redirect(Policy::none())
                .referer(false)
                .proxy(proxy)
                .connect_timeout(patience.connect)
                .timeout(patience.idle)
                .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
                .dns_resolver(Arc::new(CheckedResolver(Arc::clone(&checked))))
        };
        match base().tls_certs_merge(own).build() {
            Ok(client) => Ok(client),
            // A system without certificate authorities can still use plain
            // HTTP; with no roots at all, every HTTPS server is refused.
            Err(_) if self.options.ca_certificates.is_none() => {
                base().tls_certs_only([]).build().map_err(|error| chain(&error))
            }
            Err(error) => Err(chain(&error)),
        }
    }
}

fn judge(response: Response, ranged: bool) -> Result<Answer<Response>, Failure> {
    match response.status().as_u16() {
        200 => Ok(Answer::Found(response)),
        206 if ranged => Ok(Answer::Found(response)),
        404 | 410 => Ok(Answer::Absent),
        403 => Ok(Answer::Forbidden),
        status @ (401 | 407) => Err(Failure::Unauthorized(status)),
        status => {
            let asked = text(response.headers(), header::RETRY_AFTER)
                .and_then(|value| retry_after(value, SystemTime::now()));
            Err(Failure::Status { status, retry_after: asked })
        }
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The encoding of a body, if it may have one.
fn content_encoding(headers: &HeaderMap, decode: bool) -> Result<Compression, Failure> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    let Some(first) = values.next() else { return Ok(Compression::None) };
    let name = String::from_utf8_lossy(first.as_bytes()).trim().to_ascii_lowercase();
    let known = match name.as_str() {
        "" | "identity" => Some(Compression::None),
        "gzip" | "x-gzip" if decode => Some(Compression::Gzip),
        "br" | "xz" | "bzip2" | "zstd" if decode => Compression::from_name(&name),
        _ => None,
    };
    match (known, values.next()) {
        (Some(compression), None) => Ok(compression),
        _ => Err(Failure::Encoding(name.escape_default().to_string())),
    }
}

fn failure_of(error: &reqwest::Error, idle: Duration) -> Failure {
    if has_cause::<rustls::Error>(error) {
        Failure::Tls(chain(error))
    } else if error.is_connect() {
        Failure::Connect(chain(error))
    } else if error.is_timeout() {
        Failure::Idle(idle)
    } else {
        Failure::Broken(chain(error))
    }
}

/// The failure that an error while reading a body stands for.
fn failure_of_body(error: &io::Error) -> Failure {
    let carried = error.get_ref().and_then(|inner| inner.downcast_ref::<Failure>());
    match carried {
        Some(failure) => failure.clone(),
        None => Failure::Decode(error.to_string()),
    }
}

/// A body as it comes over one connection. Its errors carry a [`Failure`].
#[derive(Debug)]
struct Plain {
    response: Response,
    taken: u64,
    cap: u64,
    deadline: Deadline,
    idle: Duration,
}

impl Plain {
    /// Refuses a body that says itself that it is too long.
    fn check_length(&self) -> Result<(), Failure> {
        let room = self.cap.saturating_sub(self.taken);
        match self.response.content_length() {
            Some(length) if length > room => Err(Failure::TooLong(self.cap)),
            _ => Ok(()),
        }
    }

    fn read_failing(&mut self, out: &mut [u8]) -> Result<usize, Failure> {
        self.deadline.check(self.taken)?;
        let read = self.response.read(out).map_err(|error| {
            let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>());
            if cause.is_some_and(reqwest::Error::is_timeout) {
                Failure::Idle(self.idle)
            } else {
                Failure::Broken(cause.map_or_else(|| error.to_string(), |cause| chain(cause)))
            }
        })?;
        self.taken = self.taken.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        if self.taken > self.cap {
            return Err(Failure::TooLong(self.cap));
        }
        Ok(read)
    }
}

impl Read for Plain {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.read_failing(out).map_err(io::Error::other)
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

impl Resume {
    fn offered(headers: &HeaderMap) -> Self {
        let tag = text(headers, header::ETAG).filter(|tag| tag.starts_with('"'));
        let ranges = text(headers, header::ACCEPT_RANGES) == Some("bytes");
        Self { ranges, tag: tag.map(str::to_owned) }
    }
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
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("url", &shown(&self.request.url)).finish_non_exhaustive()
    }
}

impl Body {
    /// The length that the server names.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.plain.response.content_length()
    }

    /// Asks for the rest after `failure`, or gives up with it.
    fn go_on(&mut self, failure: Failure) -> Result<(), Failure> {
        let patience = &self.client.0.options.patience;
        if !matches!(failure, Failure::Broken(_) | Failure::Idle(_)) || self.tries >= patience.tries
        {
            return Err(failure);
        }
        std::thread::sleep(patience.pause(self.tries, None));
        self.tries = self.tries.saturating_add(1);
        let from = self.plain.taken;
        let range = Range { from, tag: self.resume.tag.as_deref() };
        let answer = self.client.0.send(&self.request, self.resume.ranges.then_some(range));
        let Ok(Answer::Found(response)) = answer else { return Err(failure) };
        if content_encoding(response.headers(), false).is_err() {
            return Err(failure);
        }
        let is_rest = response.status().as_u16() == 206;
        let begins = format!("bytes {from}-");
        let rest_fits = text(response.headers(), header::CONTENT_RANGE)
            .is_some_and(|range| range.starts_with(&begins));
        if is_rest && !rest_fits {
            return Err(failure);
        }
        let taken = if is_rest { from } else { 0 };
        let (cap, deadline, idle) = (self.plain.cap, self.plain.deadline, self.plain.idle);
        let mut plain = Plain { response, taken, cap, deadline, idle };
        plain.check_length()?;
        let mut known = vec![0; SKIP];
        while plain.taken < from {
            let left = usize::try_from(from.saturating_sub(plain.taken)).unwrap_or(usize::MAX);
            let most = left.min(known.len());
            match plain.read_failing(known.get_mut(..most).unwrap_or_default()) {
                Ok(0) | Err(_) => return Err(failure),
                Ok(_) => {}
            }
        }
        self.plain = plain;
        Ok(())
    }
}

impl Read for Body {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let failure = match self.plain.read_failing(out) {
                Ok(read) => return Ok(read),
                Err(failure) => failure,
            };
            if let Err(failure) = self.go_on(failure) {
                let url = shown(&self.request.url);
                return Err(HttpError { url, failure, tries: self.tries }.into());
            }
        }
    }
}
