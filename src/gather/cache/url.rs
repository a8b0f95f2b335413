//! Where a binary cache is: `file://`, `http://` or `https://`.

use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;

use crate::gather::http::credentials::{Credentials, Netrc, Secret};
use crate::gather::http::shown;

/// Settings that Nix accepts behind a cache's URL and that change nothing
/// about what it holds.
const IGNORED_SETTINGS: [&str; 4] =
    ["priority", "want-mass-query", "trusted", "parallel-compression"];

/// Why a text names no cache.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CacheUrlError {
    /// Not a URL.
    #[error("'{0}' is not a URL (expected file://DIRECTORY, http://HOST or https://HOST)")]
    NotUrl(String),
    /// A scheme that is not supported.
    #[error(
        "caches of scheme '{0}' are not supported (expected file, http or https; S3 buckets can be read through their https address)"
    )]
    Scheme(String),
    /// A `file://` URL that names a host or no absolute path.
    #[error("'{0}' does not name a directory of this machine (expected file:///DIRECTORY)")]
    NotLocal(String),
    /// A setting that might change the meaning.
    #[error("the setting '{setting}' of the cache '{url}' is not supported (leave it out)")]
    Setting {
        /// The URL.
        url: String,
        /// The setting's name.
        setting: String,
    },
}

/// A cache's URL. What is printed of it holds no credentials.
#[derive(Clone)]
pub struct CacheUrl {
    place: Place,
    text: String,
    credentials: Option<Credentials>,
}

/// Where the files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a directory.
    Directory(PathBuf),
    /// Behind a server; the path ends without a slash, and there is no query.
    Server(Url),
}

impl CacheUrl {
    /// Reads a cache's URL as Nix does; an absolute path stands for `file://`.
    ///
    /// # Errors
    /// Says why the text names no cache.
    pub fn parse(text: &str) -> Result<Self, CacheUrlError> {
        let text = text.trim();
        if text.starts_with('/') {
            return Self::directory(Path::new(text));
        }
        let mut url = Url::parse(text).map_err(|_| CacheUrlError::NotUrl(printable(text)))?;
        for (setting, _) in url.query_pairs() {
            if !IGNORED_SETTINGS.contains(&setting.as_ref()) {
                let setting = printable(&setting);
                return Err(CacheUrlError::Setting { url: shown(&url), setting });
            }
        }
        url.set_query(None);
        url.set_fragment(None);
        match url.scheme() {
            "file" => {
                let path = url.to_file_path();
                Self::directory(&path.map_err(|()| CacheUrlError::NotLocal(shown(&url)))?)
            }
            "http" | "https" if url.has_host() => {
                let path = url.path().trim_end_matches('/').to_owned();
                url.set_path(&path);
                let credentials = credentials_of(&url);
                // Fails only for URLs that can have neither.
                let _ = url.set_username("");
                let _ = url.set_password(None);
                let text = url.as_str().trim_end_matches('/').to_owned();
                Ok(Self { place: Place::Server(url), text, credentials })
            }
            scheme => Err(CacheUrlError::Scheme(scheme.to_owned())),
        }
    }

    /// `.`, `..` and doubled slashes are resolved in the text, as by Nix.
    fn directory(path: &Path) -> Result<Self, CacheUrlError> {
        let not_local = || CacheUrlError::NotLocal(printable(&path.to_string_lossy()));
        let url = Url::from_file_path(path).map_err(|()| not_local())?;
        let url = Url::parse(url.as_str()).map_err(|_| not_local())?;
        let path = url.to_file_path().map_err(|()| not_local())?;
        let text = match url.as_str().trim_end_matches('/') {
            "file:" => "file:///",
            text => text,
        };
        Ok(Self { place: Place::Directory(path), text: text.to_owned(), credentials: None })
    }

    /// Where the files are.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Whether asking it needs the network.
    #[must_use]
    pub const fn is_remote(&self) -> bool {
        matches!(self.place, Place::Server(_))
    }

    /// The origin, for [`crate::gather::http::HttpOptions::named_origins`].
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        match &self.place {
            Place::Directory(_) => None,
            Place::Server(url) => Some(url.origin().ascii_serialization()),
        }
    }

    /// The credentials for it: those in the URL, else those in the netrc file.
    #[must_use]
    pub fn credentials(&self, netrc: &Netrc) -> Option<Credentials> {
        let Place::Server(url) = &self.place else { return None };
        self.credentials.clone().or_else(|| netrc.find(url.host_str()?))
    }

    /// The URL of a file of a cache behind a server; `None` if the name would
    /// lead out of the cache.
    #[must_use]
    pub(super) fn file(base: &Url, name: &str) -> Option<Url> {
        let (path, query) = match name.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (name, None),
        };
        let inside = format!("{}/{path}", base.path().trim_end_matches('/'));
        let mut url = base.clone();
        url.set_path(&inside);
        url.set_query(query);
        // The setter resolves `..` and encodes what paths cannot hold.
        (url.path() == inside).then_some(url)
    }
}

fn credentials_of(url: &Url) -> Option<Credentials> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decode = |text: &str| percent_decode(text);
    Some(Credentials::Basic {
        login: decode(url.username()),
        password: Secret::new(decode(url.password().unwrap_or_default())),
    })
}

/// Undoes `%XX`; what is no such triple stays.
fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match value.filter(|_| byte == b'%') {
            Some(value) => {
                bytes.push(value);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn printable(text: &str) -> String {
    text.escape_default().to_string()
}

impl fmt::Display for CacheUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for CacheUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for CacheUrl {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for CacheUrl {}

impl PartialOrd for CacheUrl {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for CacheUrl {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_named_as_for_nix() {
        for (text, wanted) in [
            ("https://cache.nixos.org/", "https://cache.nixos.org"),
            ("https://cache.nixos.org?priority=10", "https://cache.nixos.org"),
            ("http://H:5000/a/b//", "http://h:5000/a/b"),
            ("file:///srv/cache/", "file:///srv/cache"),
            ("/srv/my cache", "file:///srv/my%20cache"),
            ("file:///srv/my%20cache", "file:///srv/my%20cache"),
            ("/srv/./a/../cache", "file:///srv/cache"),
            ("/..//", "file:///"),
            ("/", "file:///"),
        ] {
            let cache = CacheUrl::parse(text).unwrap();
            assert_eq!(cache.to_string(), wanted);
            assert_eq!(CacheUrl::parse(wanted).unwrap().place(), cache.place());
        }
        let spaced = CacheUrl::parse("file:///srv/my%20cache").unwrap();
        assert_eq!(spaced.place(), &Place::Directory("/srv/my cache".into()));
    }

    #[test]
    fn what_names_no_cache_is_refused() {
        for (text, wanted) in [
            ("cache.nixos.org", "is not a URL"),
            ("s3://bucket", "scheme 's3'"),
            ("ssh://host", "scheme 'ssh'"),
            ("daemon", "is not a URL"),
            ("file://other/srv", "does not name a directory"),
            ("https://h?compression=xz", "setting 'compression'"),
            ("", "is not a URL"),
            ("\x1b[31m", "is not a URL"),
        ] {
            let error = CacheUrl::parse(text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
            assert!(!error.contains('\x1b'));
        }
    }

    #[test]
    fn credentials_are_used_and_not_shown() {
        let cache = CacheUrl::parse("https://me%40x:hunter2@h/c").unwrap();
        assert!(!format!("{cache} {cache:?}").contains("hunter2"));
        let netrc = Netrc::parse(b"machine h password other machine i password p").unwrap();
        assert_eq!(
            cache.credentials(&netrc),
            Some(Credentials::Basic {
                login: "me@x".to_owned(),
                password: Secret::new("hunter2".to_owned())
            })
        );
        let plain = CacheUrl::parse("https://i/").unwrap();
        assert!(plain.credentials(&netrc).is_some());
        assert_eq!(CacheUrl::parse("https://j/").unwrap().credentials(&netrc), None);
    }

    #[test]
    fn names_stay_inside_the_cache() {
        let base = Url::parse("https://h/c").unwrap();
        let file = |name: &str| CacheUrl::file(&base, name).map(String::from);
        assert_eq!(file("nar/a.nar").as_deref(), Some("https://h/c/nar/a.nar"));
        assert_eq!(file("nar/a.nar?hash=x").as_deref(), Some("https://h/c/nar/a.nar?hash=x"));
        assert_eq!(
            file("realisations/sha256:00!out.doi").as_deref(),
            Some("https://h/c/realisations/sha256:00!out.doi")
        );
        for bad in ["../x", "a/../../x", "%2e%2e/x", "a\\..\\x", "./x", "a b"] {
            assert_eq!(file(bad), None, "{bad}");
        }
    }
}
