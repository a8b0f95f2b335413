//! What is asked of the HTTP client, and what it answers.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use url::Url;

use crate::gather::http::credentials::Credentials;
use crate::gather::http::error::Patience;
use crate::gather::http::proxy::Proxies;
use crate::gather::http::url_guard::{self, AddressClass, Zone};

/// How requests are made.
#[derive(Clone)]
pub struct HttpOptions {
    /// No network at all.
    pub offline: bool,
    /// Additional certificate authorities, PEM.
    pub ca_certificates: Option<Vec<u8>>,
    /// Proxies.
    pub proxies: Proxies,
    /// Deadlines.
    pub patience: Patience,
    /// Origins (`https://host:port`) that the user named: they may be private
    /// even if something else mentions them.
    pub named_origins: BTreeSet<String>,
    /// Tells public addresses from others: [`url_guard::classify`], except
    /// where a test has no public address to try.
    pub classify: fn(IpAddr) -> AddressClass,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            offline: false,
            ca_certificates: None,
            proxies: Proxies::default(),
            patience: Patience::default(),
            named_origins: BTreeSet::new(),
            classify: url_guard::classify,
        }
    }
}

/// Something to get.
#[derive(Debug, Clone)]
pub struct Request {
    /// From where.
    pub url: Url,
    /// Who named it.
    pub zone: Zone,
    /// For the origin of `url` alone.
    pub credentials: Option<Credentials>,
    /// Undo a content encoding, should there be one.
    pub decode: bool,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// Follow no redirect to a URL without TLS.
    pub secure: bool,
    /// What is sent with POST; `None`: a GET. The answer to a POST is never a
    /// redirect that is followed.
    pub post: Option<Arc<[u8]>>,
}

impl Request {
    /// A request for a URL that the user named, without credentials.
    #[must_use]
    pub const fn named(url: Url) -> Self {
        Self::from_zone(url, Zone::Named)
    }

    /// A request for a URL that something in `zone` mentions, without
    /// credentials.
    #[must_use]
    pub const fn from_zone(url: Url, zone: Zone) -> Self {
        let headers = Vec::new();
        Self { url, zone, credentials: None, decode: false, headers, secure: false, post: None }
    }
}

/// What the server said.
#[derive(Debug)]
pub enum Answer<T> {
    /// Here it is.
    Found(T),
    /// 404 or 410: there is no such thing.
    Absent,
    /// 403 by a storage in the style of S3, which is how it says that there is
    /// no such thing. From any other server 403 is no answer.
    Forbidden,
}
