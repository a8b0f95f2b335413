//! Where in its cache a NAR lies.
//!
//! Nix itself follows whatever `URL` says, absolute addresses included. Here
//! the address has to lie inside the cache that gave the narinfo: a cache
//! cannot send its reader elsewhere.

use std::fmt;

/// Longest address that is followed: as long as common servers accept.
pub const MAX_URL_LEN: usize = 2048;

/// Why an address is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Empty or too long.
    #[error("it has {0} characters (expected 1 to {MAX_URL_LEN})")]
    Length(usize),
    /// It names a scheme, as `https:` or `file:`.
    #[error("'{0}' names a scheme of its own: it has to be relative to the cache")]
    Scheme(String),
    /// It begins with a slash: another host, or the root of this one.
    #[error("'{0}' begins with '/': it has to be relative to the cache")]
    Absolute(String),
    /// A component that leaves the cache, or that servers may drop.
    #[error("'{url}' has the component '{component}': it has to stay inside the cache")]
    Component {
        /// The address.
        url: String,
        /// The component: empty, `.` or `..`.
        component: String,
    },
    /// A byte that means different things to different readers.
    #[error(
        "'{url}' holds byte {byte:#04x} at offset {offset} (expected 0-9 a-z A-Z + - . _ = ~ , @ and '/', then perhaps '?' and a query of these and '&')"
    )]
    Byte {
        /// The address.
        url: String,
        /// Offset in it.
        offset: usize,
        /// The byte found.
        byte: u8,
    },
}

/// The `URL` of a narinfo as it is written. Not signed, and not to be followed
/// but through [`NarUrl::inside_cache`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NarUrl(String);

impl NarUrl {
    /// Takes an address of any kind.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The address as it is written, wherever it may lead.
    #[must_use]
    pub fn as_written(&self) -> &str {
        &self.0
    }

    /// The address relative to the cache, if it cannot lead out of it.
    ///
    /// Percent signs are refused, since `%2e%2e` is `..` to some; so are
    /// backslashes, fragments and colons. A query is let through (harmonia
    /// writes `nar/<hash>.nar?hash=<hash part>`).
    ///
    /// # Errors
    /// Says what in the address could lead out of the cache.
    pub fn inside_cache(&self) -> Result<&str, UrlError> {
        let url = self.0.as_str();
        if url.is_empty() || url.len() > MAX_URL_LEN {
            return Err(UrlError::Length(url.len()));
        }
        if url.starts_with('/') {
            return Err(UrlError::Absolute(url.to_owned()));
        }
        let scheme = url.split(['/', '?']).next().is_some_and(|first| first.contains(':'));
        if scheme {
            return Err(UrlError::Scheme(url.to_owned()));
        }
        let path = url.split('?').next().unwrap_or_default();
        for (offset, byte) in url.bytes().enumerate() {
            let fits = byte.is_ascii_alphanumeric()
                || b"+-._=~,@".contains(&byte)
                || (byte == b'/' && offset < path.len())
                || (byte == b'?' && offset == path.len())
                || (byte == b'&' && offset > path.len());
            if !fits {
                return Err(UrlError::Byte { url: url.to_owned(), offset, byte });
            }
        }
        match path.split('/').find(|component| matches!(*component, "" | "." | "..")) {
            Some(component) => {
                Err(UrlError::Component { url: url.to_owned(), component: component.to_owned() })
            }
            None => Ok(url),
        }
    }
}

impl fmt::Display for NarUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str) -> Result<String, String> {
        let url = NarUrl::new(url.to_owned());
        url.inside_cache().map(str::to_owned).map_err(|error| error.to_string())
    }

    #[test]
    fn what_caches_write_is_followed() {
        for url in [
            "nar/0af8bz3bg150lch3w3m1vivhf04bhl29wv8yaanl8jgv25nh5h8y.nar.xz",
            "0af8bz3bg150lch3w3m1vivhf04bhl29wv8yaanl8jgv25nh5h8y.nar",
            "nar/a/b/c.nar.zst",
            "nar/1lid9xrp.nar?hash=n5glp21rsz314qssw9fbvfswgy3kc68f",
            "nar/..a/b..",
        ] {
            assert_eq!(check(url).as_deref(), Ok(url));
        }
    }

    #[test]
    fn what_leads_out_of_the_cache_is_not() {
        for (url, wanted) in [
            ("", "0 characters"),
            ("https://evil.example/x.nar", "scheme"),
            ("file:///etc/passwd", "scheme"),
            ("data:,x", "scheme"),
            ("x:y", "scheme"),
            ("//evil.example/x.nar", "begins with '/'"),
            ("/etc/passwd", "begins with '/'"),
            ("../x.nar", "component '..'"),
            ("nar/../../x.nar", "component '..'"),
            ("nar/..", "component '..'"),
            ("nar/./x", "component '.'"),
            ("nar//x", "component ''"),
            ("nar/", "component ''"),
            ("?x", "component ''"),
            ("nar/%2e%2e/x", "byte 0x25"),
            ("nar\\..\\x", "byte 0x5c"),
            ("nar/x#y", "byte 0x23"),
            ("nar/x?y?z", "byte 0x3f"),
            ("nar/x?y/../z", "byte 0x2f"),
            ("nar/x&y", "byte 0x26"),
            ("nar/a:b", "byte 0x3a"),
            ("nar/a b", "byte 0x20"),
            ("nar/\u{e9}", "byte 0xc3"),
            ("nar/a\0", "byte 0x00"),
        ] {
            let error = check(url).unwrap_err();
            assert!(error.contains(wanted), "{url}: {error}");
        }
        assert!(check(&"a".repeat(MAX_URL_LEN + 1)).is_err());
    }
}
