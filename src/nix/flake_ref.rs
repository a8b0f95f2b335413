//! Where a flake reference points, and whether two point to the same place.
//!
//! Follows `src/libfetchers/`: `git.cc`, `github.cc`, `tarball.cc`, `path.cc`,
//! `indirect.cc`, `mercurial.cc`.

mod archive;

use super::flake_lock::{Attr, Attribute, Attributes};
use super::flake_secrets::brief;
use super::json::Span;
use archive::{api_names, api_project, archive_is_one, parameters};

/// Attributes that every scheme takes.
const EVERYWHERE: [&str; 3] = ["type", "dir", "narHash"];

/// The attributes that Nix (up to 2.36) takes for a type; others it refuses.
/// `None` for a type that it does not know.
#[must_use]
pub fn known_attributes(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "github" | "gitlab" | "sourcehut" => {
            &["owner", "repo", "ref", "rev", "lastModified", "host", "treeHash"]
        }
        "git" => &[
            "url",
            "ref",
            "rev",
            "shallow",
            "submodules",
            "lfs",
            "exportIgnore",
            "lastModified",
            "revCount",
            "allRefs",
            "name",
            "dirtyRev",
            "dirtyShortRev",
            "verifyCommit",
            "keytype",
            "publicKey",
            "publicKeys",
        ],
        "tarball" | "file" => &["url", "name", "unpack", "rev", "revCount", "lastModified"],
        "path" => &["path", "rev", "revCount", "lastModified"],
        "hg" => &["url", "ref", "rev", "revCount", "name"],
        "indirect" => &["id", "ref", "rev"],
        _ => return None,
    })
}

/// The attributes without which a type is nothing.
#[must_use]
pub fn required_attributes(kind: &str) -> &'static [&'static str] {
    match kind {
        "github" | "gitlab" | "sourcehut" => &["owner", "repo"],
        "git" | "hg" | "tarball" | "file" => &["url"],
        "path" => &["path"],
        "indirect" => &["id"],
        _ => &[],
    }
}

/// Whether Nix takes an attribute for a type.
#[must_use]
pub fn is_known(kind: &str, attribute: &str) -> bool {
    EVERYWHERE.contains(&attribute)
        || known_attributes(kind).is_none_or(|known| known.contains(&attribute))
}

/// A reference: `locked` or `original` of a node.
#[derive(Debug, Clone, Copy)]
pub struct FlakeRef<'l>(pub &'l Attributes<'l>);

/// A URL in its parts, as far as references need them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UrlParts<'l> {
    /// `https`, without `git+` or `tarball+` before it; empty for none.
    pub scheme: &'l str,
    /// Host and port, without user; empty for none.
    pub host: &'l str,
    /// The path, from its slash on.
    pub path: &'l str,
    /// What is behind the question mark.
    pub query: &'l str,
}

/// Takes a URL apart.
#[must_use]
pub fn url_parts(url: &str) -> UrlParts<'_> {
    let url = url.split('#').next().unwrap_or_default();
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, rest) = match base.split_once("://") {
        Some((scheme, rest)) => (scheme, Some(rest)),
        None => match base.split_once(':') {
            Some((scheme, _)) if !scheme.contains('/') => (scheme, None),
            _ => ("", None),
        },
    };
    let plain = scheme.rsplit('+').next().unwrap_or(scheme);
    match rest {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            UrlParts { scheme: plain, host, path, query }
        }
        None => {
            let path = if scheme.is_empty() {
                base
            } else {
                base.get(scheme.len() + 1..).unwrap_or_default()
            };
            UrlParts { scheme: plain, host: "", path, query }
        }
    }
}

impl<'l> UrlParts<'l> {
    /// The value of a parameter, as written.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&'l str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// The parts of the path, without empty ones.
    pub fn segments(&self) -> impl Iterator<Item = &'l str> + use<'l> {
        self.path.split('/').filter(|part| !part.is_empty())
    }
}

/// How two references compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// They point to one place.
    Same,
    /// They cannot be compared: one asks a registry.
    Open,
    /// They differ, in this attribute.
    Differs(&'static str),
}

impl<'l> FlakeRef<'l> {
    /// An attribute.
    #[must_use]
    pub fn attribute(self, name: &str) -> Option<&'l Attr<'l>> {
        self.0.get(name)
    }

    /// The text of an attribute.
    #[must_use]
    pub fn text(self, name: &str) -> Option<&'l str> {
        self.0.get(name)?.text()
    }

    /// A number that fits 64 bits.
    #[must_use]
    pub fn number(self, name: &str) -> Option<i64> {
        match &self.0.get(name)?.value {
            Attribute::Number(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// Whether a switch is on, in its attribute or in the URL.
    #[must_use]
    pub fn switch(self, name: &str) -> bool {
        match self.0.get(name).map(|attr| &attr.value) {
            Some(Attribute::Bool(value)) => *value,
            _ => self.url().is_some_and(|url| url.parameter(name) == Some("1")),
        }
    }

    /// Where the value of an attribute stands.
    #[must_use]
    pub fn span(self, name: &str) -> Option<Span> {
        Some(self.0.get(name)?.span)
    }

    /// Its type; empty for none.
    #[must_use]
    pub fn kind(self) -> &'l str {
        self.text("type").unwrap_or_default()
    }

    /// Its URL, taken apart.
    #[must_use]
    pub fn url(self) -> Option<UrlParts<'l>> {
        self.text("url").map(url_parts)
    }

    /// The branch or tag, from its attribute or the URL.
    #[must_use]
    pub fn git_ref(self) -> Option<&'l str> {
        self.text("ref").or_else(|| self.url()?.parameter("ref"))
    }

    /// The revision, from its attribute or the URL of a git repository.
    #[must_use]
    pub fn rev(self) -> Option<&'l str> {
        self.text("rev").or_else(|| match self.kind() {
            "git" | "hg" => self.url()?.parameter("rev"),
            _ => None,
        })
    }

    /// The host of one of the three forges, lower case.
    fn forge_host(self) -> String {
        let default = match self.kind() {
            "github" => "github.com",
            "gitlab" => "gitlab.com",
            _ => "git.sr.ht",
        };
        self.text("host").unwrap_or(default).to_ascii_lowercase()
    }

    /// The host it is fetched from, lower case, without the port; `None` for
    /// what is local or asks a registry.
    #[must_use]
    pub fn host(self) -> Option<String> {
        let host = match self.kind() {
            "github" | "gitlab" | "sourcehut" => self.forge_host(),
            _ => {
                let url = self.url()?;
                if url.host.is_empty() {
                    // git@host:path
                    let (front, _) = self.text("url")?.split_once(':')?;
                    front.rsplit_once('@')?.1.to_owned()
                } else {
                    url.host.to_owned()
                }
            }
        };
        let host = host.to_ascii_lowercase();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name.to_owned(),
            _ => host,
        };
        Some(name)
    }

    /// Who owns it and what it is called there, both as written, if its place
    /// says so: attributes of a forge, or the first two parts of a URL's path.
    #[must_use]
    pub fn owner_and_repo(self) -> Option<(&'l str, &'l str)> {
        match self.kind() {
            "github" | "gitlab" | "sourcehut" => Some((self.text("owner")?, self.text("repo")?)),
            "git" | "hg" | "tarball" | "file" => {
                let url = self.url()?;
                if let Some(project) = api_project(url.path) {
                    let names = api_names(project)?;
                    return Some((*names.first()?, *names.last()?));
                }
                let mut parts = url.segments();
                let first = parts.next()?;
                let first = match (first, url.host) {
                    // https://flakehub.com/f/owner/name, and pinned/ before it
                    ("f", _) => parts.next()?,
                    _ => first,
                };
                let first = if first == "pinned" { parts.next()? } else { first };
                let repo = parts.next()?;
                Some((first, repo.strip_suffix(".git").unwrap_or(repo)))
            }
            _ => None,
        }
    }

    /// Whether it is on this machine: a path, or a `file:` URL.
    #[must_use]
    pub fn is_local(self) -> bool {
        match self.kind() {
            "path" => true,
            "git" | "hg" | "tarball" | "file" => self.text("url").is_some_and(|text| {
                url_parts(text).scheme == "file" || text.starts_with(['/', '.', '~'])
            }),
            _ => false,
        }
    }

    /// Whether it is a path that counts from another input's directory.
    #[must_use]
    pub fn is_relative(self) -> bool {
        self.kind() == "path" && self.text("path").is_some_and(|path| !path.starts_with('/'))
    }

    /// As Nix writes it, without secrets and without what pins it.
    #[must_use]
    pub fn show(self) -> String {
        let text = |name| brief(self.text(name).unwrap_or_default());
        let mut shown = match self.kind() {
            kind @ ("github" | "gitlab" | "sourcehut") => {
                let mut shown = format!("{kind}:{}/{}", text("owner"), text("repo"));
                if let Some(name) = self.text("ref") {
                    shown.push('/');
                    shown.push_str(&brief(name));
                }
                shown
            }
            kind @ ("git" | "hg") => {
                let url = text("url");
                let scheme = format!("{kind}+");
                if url.starts_with(&scheme) { url } else { format!("{scheme}{url}") }
            }
            "path" => format!("path:{}", text("path")),
            "indirect" => {
                let id = text("id");
                match self.text("ref") {
                    Some(name) => format!("flake:{id}/{}", brief(name)),
                    None => format!("flake:{id}"),
                }
            }
            "tarball" => text("url"),
            "file" => format!("file+{}", text("url")),
            "" => "nothing".to_owned(),
            other => format!("{other}:{}", text("url")),
        };
        let mut separator = if shown.contains('?') { '&' } else { '?' };
        let mut parameters: Vec<(&str, String)> = Vec::new();
        if matches!(self.kind(), "github" | "gitlab" | "sourcehut")
            && let Some(host) = self.text("host")
        {
            parameters.push(("host", brief(host)));
        }
        if matches!(self.kind(), "git" | "hg")
            && let Some(name) = self.text("ref")
        {
            parameters.push(("ref", brief(name)));
        }
        if let Some(dir) = self.text("dir") {
            parameters.push(("dir", brief(dir)));
        }
        for (name, value) in parameters {
            shown.push(separator);
            shown.push_str(name);
            shown.push('=');
            shown.push_str(&value);
            separator = '&';
        }
        shown
    }

    /// Whether `self`, what was asked for, and `locked` are one place. Letter
    /// case of hosts, owners and repositories, `.git` at the end and the known
    /// redirects of tarballs make no difference; what is asked of a registry
    /// is open.
    #[must_use]
    pub fn compare(self, locked: Self) -> Comparison {
        let (asked, got) = (self.kind(), locked.kind());
        if asked.is_empty() || got.is_empty() || asked == "indirect" {
            return Comparison::Open;
        }
        let is_archive = |kind| matches!(kind, "tarball" | "file");
        if asked != got && !(is_archive(asked) && is_archive(got)) {
            return Comparison::Differs("type");
        }
        let place = match asked {
            "github" | "gitlab" | "sourcehut" => self.compare_forge(locked),
            "git" | "hg" => self.compare_repository(locked),
            "tarball" | "file" => self.compare_archive(locked),
            "path" => {
                let clean = |path: &'l str| path.trim_start_matches("./").trim_end_matches('/');
                let path = |of: Self| of.text("path").map(clean);
                // Nix before 2.26 wrote the store path of a relative one.
                if path(self) == path(locked) || (self.is_relative() && in_store(locked)) {
                    Comparison::Same
                } else {
                    Comparison::Differs("path")
                }
            }
            _ => Comparison::Open,
        };
        if place == Comparison::Same && self.directory() != locked.directory() {
            return Comparison::Differs("dir");
        }
        place
    }

    fn directory(self) -> &'l str {
        let dir = self.text("dir").or_else(|| self.url()?.parameter("dir")).unwrap_or_default();
        dir.trim_matches('/')
    }

    fn compare_forge(self, locked: Self) -> Comparison {
        let same = |name| match (self.text(name), locked.text(name)) {
            (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
            (a, b) => a == b,
        };
        if self.forge_host() != locked.forge_host() {
            Comparison::Differs("host")
        } else if !same("owner") {
            Comparison::Differs("owner")
        } else if !same("repo") {
            Comparison::Differs("repo")
        } else {
            Comparison::Same
        }
    }

    fn compare_repository(self, locked: Self) -> Comparison {
        let place = |of: Self| {
            let text = of.text("url").unwrap_or_default();
            let url = url_parts(text);
            let path = url.path.trim_end_matches('/');
            let path = path.strip_suffix(".git").unwrap_or(path).to_owned();
            (url.scheme.to_ascii_lowercase(), url.host.to_ascii_lowercase(), path)
        };
        let ((scheme, host, path), (other_scheme, other_host, other_path)) =
            (place(self), place(locked));
        // On the big forges letter case is no difference.
        let forge = matches!(host.as_str(), "github.com" | "gitlab.com" | "codeberg.org");
        let same_path = path == other_path || (forge && path.eq_ignore_ascii_case(&other_path));
        let parameters = |of: Self| of.url().map(parameters).unwrap_or_default();
        if scheme != other_scheme
            || host != other_host
            || !same_path
            || parameters(self) != parameters(locked)
        {
            return Comparison::Differs("url");
        }
        // Their contents are part of the tree.
        let other = ["submodules", "lfs"]
            .into_iter()
            .find(|name| self.kind() == "git" && self.switch(name) != locked.switch(name));
        other.map_or(Comparison::Same, Comparison::Differs)
    }

    fn compare_archive(self, locked: Self) -> Comparison {
        let (Some(asked), Some(got)) = (self.url(), locked.url()) else {
            return Comparison::Open;
        };
        if archive_is_one(asked, got) { Comparison::Same } else { Comparison::Differs("url") }
    }
}

fn in_store(locked: FlakeRef<'_>) -> bool {
    locked.text("path").is_some_and(|path| path.starts_with("/nix/store/"))
}

/// Digits of a revision of git: SHA-1 or SHA-256.
#[must_use]
pub fn is_rev(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The revisions that stand in a text, such as the path of an archive.
pub fn revs_in(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_ascii_alphanumeric()).filter(|part| is_rev(part))
}

/// The beginning of a revision, as people read it.
#[must_use]
pub fn short_rev(rev: &str) -> &str {
    if is_rev(rev) { rev.get(..12).unwrap_or(rev) } else { rev }
}

#[cfg(test)]
mod tests;
