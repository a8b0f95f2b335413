//! Which repository a URL means: two URLs of one repository have one name.
//!
//! The scheme, a user and a password, a port that the scheme implies, slashes
//! at the end and `.git` do not count; the case of the host does not, and on
//! the hosts that pay no heed to it the case of the path does not either.

use std::fmt;

/// Hosts that do not tell upper from lower case in owners and repositories.
const CASELESS: [&str; 5] =
    ["github.com", "gitlab.com", "codeberg.org", "bitbucket.org", "gitea.com"];

/// The name of a repository: `host/path`, or a path of this machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName(String);

impl RepositoryName {
    /// The repository that a URL, `user@host:path` or a path means; `None` if
    /// it means none.
    #[must_use]
    pub fn of_url(url: &str) -> Option<Self> {
        let url = url.strip_prefix("git+").unwrap_or(url);
        let url = url.split(['?', '#']).next().unwrap_or(url);
        if let Some(path) = url.strip_prefix("file://") {
            return Self::of_path(path);
        }
        if let Some((scheme, rest)) = url.split_once("://") {
            let (authority, path) = rest.split_once('/')?;
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            let implied = match scheme {
                "https" => ":443",
                "http" => ":80",
                "ssh" => ":22",
                "git" => ":9418",
                _ => return None,
            };
            return Self::of_host(host.strip_suffix(implied).unwrap_or(host), path);
        }
        if url.starts_with('/') {
            return Self::of_path(url);
        }
        // As scp writes it; a slash before the colon makes it a path.
        let (host, path) = url.split_once(':')?;
        if host.contains('/') {
            return None;
        }
        Self::of_host(host.rsplit_once('@').map_or(host, |(_, host)| host), path)
    }

    /// The repository of that path on a host.
    #[must_use]
    pub fn of_host(host: &str, path: &str) -> Option<Self> {
        let host = host.to_ascii_lowercase();
        let mut path = trimmed(path.trim_start_matches('/'));
        if host.is_empty() || path.is_empty() || path.split('/').any(|part| part == "..") {
            return None;
        }
        if CASELESS.contains(&host.as_str()) {
            path.make_ascii_lowercase();
        }
        Some(Self(format!("{host}/{path}")))
    }

    fn of_path(path: &str) -> Option<Self> {
        let path = trimmed(path);
        let path = path.strip_suffix("/.git").unwrap_or(&path);
        (path.starts_with('/') && path.len() > 1).then(|| Self(path.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn trimmed(path: &str) -> String {
    let path = path.trim_end_matches('/');
    let bare = path.strip_suffix(".git").filter(|bare| !bare.is_empty() && !bare.ends_with('/'));
    bare.unwrap_or(path).to_owned()
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_one_repository_have_one_name() {
        for url in [
            "https://github.com/NixOS/nix",
            "https://github.com/nixos/nix.git",
            "https://user:pw@GitHub.com:443/NixOS/nix/",
            "ssh://git@github.com:22/NixOS/nix.git",
            "git+ssh://git@github.com/NixOS/nix",
            "git@github.com:NixOS/nix.git",
            "git://github.com/NixOS/nix?ref=x",
        ] {
            assert_eq!(
                RepositoryName::of_url(url).unwrap().as_str(),
                "github.com/nixos/nix",
                "{url}"
            );
        }
        let name = |url| RepositoryName::of_url(url).unwrap().to_string();
        assert_eq!(name("https://git.sr.ht/~a/B"), "git.sr.ht/~a/B");
        assert_eq!(name("https://host:8443/a"), "host:8443/a");
        assert_eq!(name("file:///home/a/.git"), "/home/a");
        assert_eq!(name("/home/a/b.git/"), "/home/a/b");
    }

    #[test]
    fn others_have_none() {
        for url in ["", "x", "https://host", "https://host/", "./a", "ftp://h/a", "https://h/../a"]
        {
            assert_eq!(RepositoryName::of_url(url), None, "{url}");
        }
    }
}
