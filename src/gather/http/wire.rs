//! One request and its answer, over connections of its own: the only file
//! that names the library behind the HTTP client.
//!
//! The library's own redirects, retries of answers, cookies and content
//! encodings are all off; what it does is HTTP/1.1 and HTTP/2, TLS, proxies
//! and a pool of connections.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response};
use url::Url;

use crate::gather::http::credentials::Credentials;
use crate::gather::http::error::{Failure, Patience, chain, has_cause, retry_after};
use crate::gather::http::proxy::Proxies;
use crate::gather::http::request::{Answer, Request};
use crate::gather::http::resolve::Checked;
use crate::gather::nar::compression::Compression;

/// Idle connections kept to one host: as many as there can be requests.
const MAX_IDLE_CONNECTIONS: usize = 256;

/// What only storages in the style of S3 send. To those who may not list a
/// bucket they say "forbidden" where there is nothing.
const STORAGE_HEADERS: [&str; 2] = ["x-amz-request-id", "x-guploader-uploadid"];

/// The part of a file that is still missing.
#[derive(Debug, Clone, Copy)]
pub(in crate::gather) struct Range<'a> {
    /// The first byte wanted.
    pub(in crate::gather) from: u64,
    /// The entity tag that says the file is still the same.
    pub(in crate::gather) tag: Option<&'a str>,
}

/// What connections are made with.
pub(in crate::gather) struct WireOptions<'a> {
    /// The only addresses that are connected to.
    pub(in crate::gather) checked: Arc<Checked>,
    /// Proxies.
    pub(in crate::gather) proxies: Proxies,
    /// Deadlines.
    pub(in crate::gather) patience: &'a Patience,
    /// Whom TLS servers must be certified by.
    pub(in crate::gather) tls: rustls::ClientConfig,
}

/// Connections, and requests over them.
pub(in crate::gather) struct Wire(Client);

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

impl Wire {
    /// Sets connections up; makes none yet.
    pub(in crate::gather) fn new(options: WireOptions<'_>) -> Result<Self, String> {
        let WireOptions { checked, proxies, patience, tls } = options;
        let builder = if proxies.is_empty() {
            // Asking for one costs every request something.
            Client::builder().no_proxy()
        } else {
            let proxy = reqwest::Proxy::custom(move |url| proxies.for_url(url).cloned());
            Client::builder().proxy(proxy)
        };
        builder
            .user_agent(concat!("nix-verify/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(patience.connect)
            .read_timeout(patience.idle)
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
            .dns_resolver(Arc::new(CheckedResolver(checked)))
            .tls_backend_preconfigured(tls)
            .build()
            .map(Self)
            .map_err(|error| chain(&error))
    }

    /// Sends one request to `url`, with the credentials of `request` only if
    /// `authorised`, and gives the head of the answer.
    pub(in crate::gather) async fn send(
        &self,
        url: &Url,
        request: &Request,
        authorised: bool,
        range: Option<Range<'_>>,
        idle: Duration,
    ) -> Result<Reply, Failure> {
        let method = if request.post.is_some() { Method::POST } else { Method::GET };
        let mut builder =
            self.0.request(method, url.clone()).header(header::ACCEPT_ENCODING, "identity");
        if let Some(Range { from, tag }) = range {
            builder = builder.header(header::RANGE, format!("bytes={from}-"));
            if let Some(tag) = tag {
                builder = builder.header(header::IF_RANGE, tag);
            }
        }
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(body) = &request.post {
            builder = builder.body(body.as_ref().to_vec());
        }
        builder = match request.credentials.as_ref().filter(|_| authorised) {
            Some(Credentials::Basic { login, password }) => {
                builder.basic_auth(login, Some(password.reveal()))
            }
            Some(Credentials::Bearer(token)) => builder.bearer_auth(token.reveal()),
            None => builder,
        };
        match builder.send().await {
            Ok(response) => Ok(Reply { response, idle }),
            Err(error) => Err(failure_of(&error, idle)),
        }
    }
}

/// An answer whose head has come.
#[derive(Debug)]
pub(in crate::gather) struct Reply {
    response: Response,
    idle: Duration,
}

impl Reply {
    /// The status code.
    pub(in crate::gather) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// The URL that answered.
    pub(in crate::gather) fn url(&self) -> &Url {
        self.response.url()
    }

    /// The address it came from, which may be a proxy's.
    pub(in crate::gather) fn peer(&self) -> Option<IpAddr> {
        self.response.remote_addr().map(|peer| peer.ip())
    }

    /// The length of the body that the server names.
    pub(in crate::gather) fn length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// Where a redirect leads.
    pub(in crate::gather) fn location(&self) -> Option<&str> {
        text(self.response.headers(), header::LOCATION)
    }

    /// The strong entity tag.
    pub(in crate::gather) fn tag(&self) -> Option<&str> {
        text(self.response.headers(), header::ETAG).filter(|tag| tag.starts_with('"'))
    }

    /// Whether the server can send parts of the file.
    pub(in crate::gather) fn sends_ranges(&self) -> bool {
        text(self.response.headers(), header::ACCEPT_RANGES) == Some("bytes")
    }

    /// Whether this is the part of a file that begins at `from`.
    pub(in crate::gather) fn is_rest(&self, from: u64) -> bool {
        text(self.response.headers(), header::CONTENT_RANGE)
            .is_some_and(|range| range.starts_with(&format!("bytes {from}-")))
    }

    /// What the status says.
    pub(in crate::gather) fn judge(self, ranged: bool) -> Result<Answer<Self>, Failure> {
        match self.status() {
            200 => Ok(Answer::Found(self)),
            206 if ranged => Ok(Answer::Found(self)),
            404 | 410 => Ok(Answer::Absent),
            403 if self.is_storage() => Ok(Answer::Forbidden),
            403 => Err(Failure::Forbidden),
            status @ (401 | 407) => Err(Failure::Unauthorized(status)),
            status => {
                let asked = text(self.response.headers(), header::RETRY_AFTER)
                    .and_then(|value| retry_after(value, SystemTime::now()));
                Err(Failure::Status { status, retry_after: asked })
            }
        }
    }

    /// Whether an object storage in the style of S3 has answered: it numbers
    /// its answers, Amazon's and others' (MinIO, Ceph) under one name, Google's
    /// under another.
    fn is_storage(&self) -> bool {
        STORAGE_HEADERS.iter().any(|name| self.response.headers().contains_key(*name))
    }

    /// The encoding of the body, if it may have one.
    pub(in crate::gather) fn encoding(&self, decode: bool) -> Result<Compression, Failure> {
        let mut values = self.response.headers().get_all(header::CONTENT_ENCODING).iter();
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

    /// The next bytes of the body; `None` at its end.
    pub(in crate::gather) async fn chunk(&mut self) -> Result<Option<bytes::Bytes>, Failure> {
        self.response.chunk().await.map_err(|error| {
            if error.is_timeout() {
                Failure::Idle(self.idle)
            } else {
                Failure::Broken(chain(&error))
            }
        })
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
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
