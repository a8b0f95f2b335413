//! Proxies from the usual variables: `http_proxy`, `https_proxy`, `all_proxy`
//! and `no_proxy`, lower case before upper, as curl reads them.

use std::net::IpAddr;

use url::{Host, Url};

/// Why the proxy variables are refused. Values may hold passwords and are
/// never shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// The value is no URL.
    #[error("the environment variable {0} holds no URL (expected http://HOST:PORT)")]
    NotUrl(String),
    /// A kind of proxy that is not supported.
    #[error("the proxy in {variable} has the scheme '{scheme}' (expected http or https)")]
    Scheme {
        /// The variable.
        variable: String,
        /// The scheme.
        scheme: String,
    },
}

/// Which requests go through which proxy.
#[derive(Clone, Default)]
pub struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    direct: Vec<Direct>,
}

/// A rule of `no_proxy`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Direct {
    All,
    Network(IpAddr, u32),
    Domain(String),
}

impl Proxies {
    /// Reads the variables through `lookup`.
    ///
    /// # Errors
    /// A variable that holds no usable URL.
    pub fn parse(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ProxyError> {
        // Under CGI, HTTP_PROXY is a header of the request being served.
        let cgi = lookup("REQUEST_METHOD").is_some();
        let find = |names: &[&str]| {
            names
                .iter()
                .filter(|name| !(cgi && **name == "HTTP_PROXY"))
                .find_map(|name| Some(((*name).to_owned(), lookup(name)?)))
        };
        let url = |names: &[&str]| {
            let found = find(names).or_else(|| find(&["all_proxy", "ALL_PROXY"]));
            found
                .filter(|(_, value)| !value.is_empty())
                .map(|(variable, value)| parse_url(variable, &value))
                .transpose()
        };
        let direct = find(&["no_proxy", "NO_PROXY"]).map(|(_, value)| value).unwrap_or_default();
        Ok(Self {
            http: url(&["http_proxy", "HTTP_PROXY"])?,
            https: url(&["https_proxy", "HTTPS_PROXY"])?,
            direct: direct.split(',').map(str::trim).filter_map(parse_direct).collect(),
        })
    }

    /// The proxy that a request for `url` goes through.
    #[must_use]
    pub fn for_url(&self, url: &Url) -> Option<&Url> {
        let proxy = if url.scheme() == "https" { &self.https } else { &self.http };
        let host = url.host()?;
        proxy.as_ref().filter(|_| !self.direct.iter().any(|rule| rule.matches(&host)))
    }

    /// Whether any proxy is set.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.http.is_none() && self.https.is_none()
    }
}

fn parse_url(variable: String, value: &str) -> Result<Url, ProxyError> {
    let text = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let url = Url::parse(&text).map_err(|_| ProxyError::NotUrl(variable.clone()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ProxyError::Scheme { variable, scheme: url.scheme().to_owned() });
    }
    Ok(url)
}

fn parse_direct(rule: &str) -> Option<Direct> {
    if rule.is_empty() {
        return None;
    }
    if rule == "*" {
        return Some(Direct::All);
    }
    let (address, length) = match rule.split_once('/') {
        Some((address, length)) => (address, Some(length.parse().ok()?)),
        None => (rule, None),
    };
    let address = address.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = address.parse::<IpAddr>() {
        let whole = if address.is_ipv4() { 32 } else { 128 };
        return Some(Direct::Network(address, length.unwrap_or(whole).min(whole)));
    }
    let domain = rule.trim_start_matches("*.").trim_matches('.').to_ascii_lowercase();
    Some(Direct::Domain(domain))
}

impl Direct {
    fn matches(&self, host: &Host<&str>) -> bool {
        match (self, host) {
            (Self::All, _) => true,
            (Self::Domain(domain), Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                name.strip_suffix(domain.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            (Self::Network(network, length), Host::Ipv4(address)) => {
                same_network(*network, IpAddr::V4(*address), *length)
            }
            (Self::Network(network, length), Host::Ipv6(address)) => {
                same_network(*network, IpAddr::V6(*address), *length)
            }
            (Self::Domain(_), _) | (Self::Network(..), Host::Domain(_)) => false,
        }
    }
}

fn same_network(one: IpAddr, other: IpAddr, length: u32) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            let differing = one.to_bits() ^ other.to_bits();
            differing.leading_zeros() >= length
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            let differing = one.to_bits() ^ other.to_bits();
            differing.leading_zeros() >= length
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, ProxyError> {
        Proxies::parse(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn through(proxies: &Proxies, url: &str) -> Option<String> {
        proxies.for_url(&Url::parse(url).unwrap()).map(|url| url.as_str().to_owned())
    }

    #[test]
    fn variables_are_read_as_curl_does() {
        let found = proxies(&[
            ("http_proxy", "p:3128"),
            ("HTTP_PROXY", "http://other:1"),
            ("ALL_PROXY", "https://all:8443/"),
        ])
        .unwrap();
        assert_eq!(through(&found, "http://a/").as_deref(), Some("http://p:3128/"));
        assert_eq!(through(&found, "https://a/").as_deref(), Some("https://all:8443/"));
        assert!(proxies(&[("HTTP_PROXY", "p"), ("REQUEST_METHOD", "GET")]).unwrap().is_empty());
        assert!(proxies(&[("http_proxy", "")]).unwrap().is_empty());
        assert!(proxies(&[]).unwrap().is_empty());
    }

    #[test]
    fn exceptions_go_direct() {
        let found = proxies(&[
            ("all_proxy", "p:1"),
            ("no_proxy", "localhost, .corp.example,*.lab.example,10.0.0.0/8,[fd00::]/8,192.0.2.7"),
        ])
        .unwrap();
        for url in [
            "http://localhost:8080/",
            "https://corp.example/",
            "https://a.b.corp.example/",
            "https://x.lab.example/",
            "http://10.1.2.3/",
            "http://[fd12::1]/",
            "http://192.0.2.7/",
        ] {
            assert_eq!(through(&found, url), None, "{url}");
        }
        for url in ["http://notcorp.example/", "http://11.0.0.1/", "http://192.0.2.8/"] {
            assert!(through(&found, url).is_some(), "{url}");
        }
        let none = proxies(&[("all_proxy", "p:1"), ("NO_PROXY", "*")]).unwrap();
        assert_eq!(through(&none, "http://a/"), None);
    }

    #[test]
    fn what_is_no_proxy_is_named_without_its_value() {
        let error = proxies(&[("https_proxy", "http://u:secret@:x")]).err().unwrap();
        assert_eq!(error, ProxyError::NotUrl("https_proxy".to_owned()));
        let error = proxies(&[("https_proxy", "socks5://u:secret@h")]).err().unwrap();
        assert!(!error.to_string().contains("secret"));
    }
}
