//! Whether the URL of one archive is what another's may have been answered
//! with: Nix locks the immutable link that a server gives
//! (`src/libfetchers/tarball.cc`), whatever place that names.

use super::UrlParts;

/// Hosts that send to another of the same owner: all that 22,792 lock files
/// had. From, to.
const REDIRECTS: [(&str, &str); 3] = [
    ("flakehub.com", "api.flakehub.com"),
    ("channels.nixos.org", "releases.nixos.org"),
    ("nixos.org", "releases.nixos.org"),
];

/// Parameters of a URL that pin or describe, and do not say which thing is
/// meant; they are compared by themselves.
const NO_PLACE: [&str; 15] = [
    "ref",
    "rev",
    "dir",
    "narHash",
    "lastModified",
    "revCount",
    "submodules",
    "shallow",
    "lfs",
    "allRefs",
    "exportIgnore",
    "archive",
    "name",
    "unpack",
    "verifyCommit",
];

/// The parameters that say which thing is meant, sorted.
pub(super) fn parameters(url: UrlParts<'_>) -> Vec<(&str, &str)> {
    let pairs = url.query.split('&').filter(|pair| !pair.is_empty());
    let mut found: Vec<(&str, &str)> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(name, _)| !NO_PLACE.contains(name))
        .collect();
    found.sort_unstable();
    found
}

/// Whether one archive is what another's URL may have been answered with: by
/// itself, or by an immutable link to the same project.
pub(super) fn archive_is_one(asked: UrlParts<'_>, got: UrlParts<'_>) -> bool {
    let (from, to) = (asked.host.to_ascii_lowercase(), got.host.to_ascii_lowercase());
    let redirected = from != to;
    if redirected && !REDIRECTS.contains(&(from.as_str(), to.as_str())) {
        return false;
    }
    // A secure address that was answered from an insecure one.
    if asked.scheme == "https" && got.scheme != "https" {
        return false;
    }
    if is_api(asked) || is_api(got) {
        return !redirected && is_one_of_gitlab(asked, got);
    }
    if !redirected && asked.path == got.path {
        return parameters(asked) == parameters(got);
    }
    // Programs differ in where such a path leads.
    if is_twisted(got.path) {
        return false;
    }
    let wanted = parameters(asked);
    let contradicts = |(name, value): &(&str, &str)| {
        wanted.iter().any(|(other, _)| other == name)
            && !wanted.iter().any(|(other, wanted)| other == name && wanted == value)
    };
    if parameters(got).iter().any(contradicts) {
        return false;
    }
    if to == "releases.nixos.org" {
        return is_release_of(asked, got);
    }
    // Where the path names an owner and a repository, they stay.
    match project(asked) {
        None => true,
        Some(project_asked) => {
            project(got).is_some_and(|project_got| project_got.eq_ignore_ascii_case(&project_asked))
        }
    }
}

/// Where the API of GitLab lies, in whose paths owner and repository do not
/// stand where they stand elsewhere.
const API: &str = "/api/v4/";

/// What can stand behind the name of an archive of GitLab's API.
const FORMATS: [&str; 8] = ["", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tb2", ".tar", ".zip"];

fn is_api(url: UrlParts<'_>) -> bool {
    url.path.starts_with(API)
}

/// The project of which GitLab's API is asked for an archive, as written: its
/// path with `%2F` between the names, or its number.
pub(super) fn api_project(path: &str) -> Option<&str> {
    let (project, rest) = path.strip_prefix(API)?.strip_prefix("projects/")?.split_once('/')?;
    let format = rest.strip_prefix("repository/archive")?;
    (!project.is_empty() && FORMATS.contains(&format)).then_some(project)
}

/// The names that lead to a project, as [`api_project`] writes them: at least
/// a group and the project itself.
pub(super) fn api_names(project: &str) -> Option<Vec<&str>> {
    let is_name = |name: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        !name.is_empty() && name != "." && name != ".." && name.bytes().all(plain)
    };
    let names: Vec<&str> = project.split("%2F").flat_map(|part| part.split("%2f")).collect();
    (names.len() > 1 && names.iter().all(|name| is_name(name))).then_some(names)
}

/// Whether two addresses, of which one at least is of GitLab's API, are one
/// place: the same, or archives of one project. Which commit is in them is
/// compared by itself, as it is in [`NO_PLACE`].
fn is_one_of_gitlab(asked: UrlParts<'_>, got: UrlParts<'_>) -> bool {
    let place = |url: UrlParts<'_>| {
        if !is_api(url) {
            return if is_twisted(url.path) { None } else { project(url) };
        }
        let id = api_project(url.path)?;
        if id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(id.to_owned());
        }
        Some(api_names(id)?.join("/"))
    };
    let (mut wanted, mut found) = (parameters(asked), parameters(got));
    let (Some(asked_project), Some(got_project)) = (place(asked), place(got)) else {
        return asked.path == got.path && wanted == found;
    };
    wanted.retain(|(name, _)| *name != "sha");
    found.retain(|(name, _)| *name != "sha");
    asked_project.eq_ignore_ascii_case(&got_project) && wanted == found
}

/// Whether a path has parts that mean another place than they name.
fn is_twisted(path: &str) -> bool {
    path.contains(|character: char| {
        character == '\\' || character.is_ascii_control() || character == ' '
    }) || path.split('/').any(|part| {
        let plain = part.to_ascii_lowercase().replace("%2e", ".");
        matches!(plain.as_str(), "." | "..") || plain.contains("%2f") || plain.contains("%5c")
    })
}

/// Whether an address below releases.nixos.org is a release of the channel
/// that was asked for: `nixos-24.11-small` lies below `nixos/24.11-small/`, and
/// `nixpkgs-unstable` below `nixpkgs/`, in directories `nixpkgs-…`.
fn is_release_of(asked: UrlParts<'_>, got: UrlParts<'_>) -> bool {
    let mut parts = asked.segments();
    let Some(first) = parts.next() else { return false };
    let channel = if first == "channels" { parts.next() } else { Some(first) };
    let Some((family, rest)) = channel.and_then(|channel| channel.split_once('-')) else {
        return false;
    };
    let mut parts = got.segments();
    parts.next() == Some(family)
        && parts.next().is_some_and(|part| {
            part == rest
                || (family == "nixpkgs" && rest == "unstable" && part.starts_with("nixpkgs-"))
        })
}

/// `owner/repository` (with groups, where there are some) of the archive of a
/// code host, by the shapes that these hosts use.
fn project(url: UrlParts<'_>) -> Option<String> {
    let parts: Vec<&str> = url.segments().collect();
    let host = url.host.to_ascii_lowercase();
    let pair =
        |owner: &str, repo: &str| format!("{owner}/{}", repo.strip_suffix(".git").unwrap_or(repo));
    if host.ends_with("flakehub.com") {
        return match parts.as_slice() {
            ["f", "pinned", owner, repo, ..] | ["f", owner, repo, ..] => Some(pair(owner, repo)),
            _ => None,
        };
    }
    match parts.as_slice() {
        // Gitea and Forgejo; GitHub.
        ["api", "v1" | "v3", "repos", owner, repo, ..] => return Some(pair(owner, repo)),
        ["repos", owner, repo, ..] if host == "api.github.com" => return Some(pair(owner, repo)),
        _ => {}
    }
    // GitLab, whose projects lie in groups.
    if let Some(end) = parts.iter().position(|part| *part == "-") {
        return parts.get(..end).filter(|path| path.len() > 1).map(|path| path.join("/"));
    }
    let known = matches!(
        host.as_str(),
        "github.com"
            | "codeload.github.com"
            | "raw.githubusercontent.com"
            | "gitlab.com"
            | "codeberg.org"
            | "bitbucket.org"
            | "git.sr.ht"
    );
    match parts.as_slice() {
        [owner, repo, kind, ..] if known || matches!(*kind, "archive" | "get" | "releases") => {
            Some(pair(owner, repo))
        }
        _ => None,
    }
}
