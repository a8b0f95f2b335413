//! Package URLs from the URLs that sources are fetched from.
//!
//! Only forms that say name and version beyond doubt are read: a forge's
//! archive of a revision, a registry's file. Any other download gives
//! `pkg:generic` with its URL.
//! <https://github.com/package-url/purl-spec>

use packageurl::PackageUrl;

use super::bill::{Purl, PurlOrigin, Source, SourceHash};

/// Beginnings of registries' download URLs, and what follows them.
const CRATES: [&str; 2] = ["https://crates.io/api/v1/crates/", "https://static.crates.io/crates/"];

/// The package URL of something that was fetched from there.
#[must_use]
pub fn of_source(source: &Source, name: &str, version: Option<&str>) -> Option<Purl> {
    let known = source.urls.iter().find_map(|url| known(url, source.revision.as_deref()));
    let purl = match known {
        Some(purl) => purl,
        None => generic(source, name, version)?,
    };
    Some(Purl { text: purl, origin: PurlOrigin::Fetcher })
}

/// The draft type `nix`: a name and a version in nixpkgs' name space.
#[must_use]
pub fn draft(name: &str, version: Option<&str>) -> Option<Purl> {
    let text = make("nix", Some("nixpkgs"), name, version, &[])?;
    Some(Purl { text, origin: PurlOrigin::Draft })
}

/// What forges and registries serve.
fn known(url: &str, revision: Option<&str>) -> Option<String> {
    forge(url, revision).or_else(|| registry(url))
}

/// `https://HOST/OWNER/REPOSITORY/archive/REVISION.tar.gz` and the like.
fn forge(url: &str, revision: Option<&str>) -> Option<String> {
    let (kind, rest) = [
        ("github", "https://github.com/"),
        ("github", "git://github.com/"),
        ("bitbucket", "https://bitbucket.org/"),
    ]
    .into_iter()
    .find_map(|(kind, prefix)| Some((kind, url.strip_prefix(prefix)?)))?;
    let mut parts = rest.splitn(3, '/');
    let (owner, repository) = (parts.next()?, parts.next()?);
    let repository = repository.split(['?', '#']).next()?.trim_end_matches(".git");
    let inside = parts.next().unwrap_or_default();
    let version = match inside {
        "" => revision?.to_owned(),
        inside => {
            let named = inside
                .strip_prefix("archive/refs/tags/")
                .or_else(|| inside.strip_prefix("archive/"))
                .or_else(|| inside.strip_prefix("get/"))
                .map(without_suffix);
            let released = || inside.strip_prefix("releases/download/")?.split('/').next();
            named.or_else(released)?.to_owned()
        }
    };
    let version = version.strip_prefix("refs/tags/").unwrap_or(&version);
    if owner.is_empty() || repository.is_empty() || version.is_empty() || version.contains('/') {
        return None;
    }
    // Both forges take names in any letter case, and the specification small.
    let (owner, repository) = (owner.to_ascii_lowercase(), repository.to_ascii_lowercase());
    make(kind, Some(&owner), &repository, Some(version), &[])
}

/// The files of package registries.
fn registry(url: &str) -> Option<String> {
    if let Some(rest) = CRATES.iter().find_map(|prefix| url.strip_prefix(prefix)) {
        let mut parts = rest.split('/');
        let (name, second) = (parts.next()?, parts.next()?);
        let file = second.strip_suffix(".crate");
        let version = match file {
            Some(file) => file.strip_prefix(name)?.strip_prefix('-')?,
            None => second,
        };
        return make("cargo", None, name, Some(version), &[]);
    }
    if let Some(rest) = url.strip_prefix("https://registry.npmjs.org/") {
        let (package, file) = rest.split_once("/-/")?;
        let (scope, name) = match package.rsplit_once('/') {
            Some((scope, name)) => (Some(scope), name),
            None => (None, package),
        };
        let version = file.strip_suffix(".tgz")?.strip_prefix(name)?.strip_prefix('-')?;
        return make("npm", scope, name, Some(version), &[]);
    }
    let pypi = ["https://files.pythonhosted.org/packages/", "mirror://pypi/"];
    if pypi.iter().any(|prefix| url.starts_with(prefix)) {
        let file = url.rsplit('/').next()?;
        let (name, version) = match file.strip_suffix(".whl") {
            Some(wheel) => {
                let mut parts = wheel.split('-');
                (parts.next()?, parts.next()?)
            }
            None => without_suffix(file).rsplit_once('-')?,
        };
        let name = name.to_ascii_lowercase().replace(['_', '.'], "-");
        return make("pypi", None, &name, Some(version), &[]);
    }
    if let Some(file) = url.strip_prefix("https://rubygems.org/gems/") {
        let (name, version) = file.strip_suffix(".gem")?.rsplit_once('-')?;
        return make("gem", None, name, Some(version), &[]);
    }
    if let Some(rest) = ["https://hackage.haskell.org/package/", "mirror://hackage/"]
        .iter()
        .find_map(|prefix| url.strip_prefix(prefix))
    {
        let package = without_suffix(rest.split('/').next()?);
        let (name, version) = package.rsplit_once('-')?;
        return make("hackage", None, name, Some(version), &[]);
    }
    None
}

/// A download of which no more is known than where it is.
fn generic(source: &Source, name: &str, version: Option<&str>) -> Option<String> {
    let http = |url: &&String| url.starts_with("https://") || url.starts_with("http://");
    let url = source.urls.iter().find(http)?;
    let mut qualifiers = vec![("download_url", url.clone())];
    if let Some(SourceHash::File(hash)) = &source.hash {
        let algorithm = hash.algorithm().name();
        qualifiers.push(("checksum", format!("{algorithm}:{}", hash.base16())));
    }
    make("generic", None, name, version, &qualifiers)
}

fn make(
    kind: &str,
    namespace: Option<&str>,
    name: &str,
    version: Option<&str>,
    qualifiers: &[(&str, String)],
) -> Option<String> {
    let mut purl = PackageUrl::new(kind.to_owned(), name.to_owned()).ok()?;
    if let Some(namespace) = namespace {
        purl.with_namespace(namespace.to_owned()).ok()?;
    }
    if let Some(version) = version {
        purl.with_version(version.to_owned()).ok()?;
    }
    for (key, value) in qualifiers {
        purl.add_qualifier((*key).to_owned(), value.clone()).ok()?;
    }
    Some(purl.to_string())
}

/// A file's name without what says that it is an archive.
fn without_suffix(file: &str) -> &str {
    [".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar.lz", ".tgz", ".tar", ".zip"]
        .iter()
        .find_map(|suffix| file.strip_suffix(suffix))
        .unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_say_what_they_serve() {
        for (url, revision, wanted) in [
            (
                "https://github.com/NixOS/nix/archive/2.18.1.tar.gz",
                None,
                "pkg:github/nixos/nix@2.18.1",
            ),
            ("https://github.com/a/b/archive/refs/tags/v1.tar.gz", None, "pkg:github/a/b@v1"),
            (
                "https://github.com/a/b/releases/download/1.2/b-1.2.tar.xz",
                None,
                "pkg:github/a/b@1.2",
            ),
            ("https://github.com/a/b.git", Some("abc"), "pkg:github/a/b@abc"),
            ("https://crates.io/api/v1/crates/libc/0.2.1/download", None, "pkg:cargo/libc@0.2.1"),
            (
                "https://static.crates.io/crates/serde/serde-1.0.0.crate",
                None,
                "pkg:cargo/serde@1.0.0",
            ),
            (
                "https://registry.npmjs.org/left-pad/-/left-pad-1.3.0.tgz",
                None,
                "pkg:npm/left-pad@1.3.0",
            ),
            ("https://registry.npmjs.org/@a/b/-/b-1.0.0.tgz", None, "pkg:npm/%40a/b@1.0.0"),
            ("mirror://pypi/r/requests/requests-2.31.0.tar.gz", None, "pkg:pypi/requests@2.31.0"),
            ("https://rubygems.org/gems/rake-13.0.6.gem", None, "pkg:gem/rake@13.0.6"),
            ("mirror://hackage/aeson-2.1.tar.gz", None, "pkg:hackage/aeson@2.1"),
        ] {
            assert_eq!(known(url, revision).as_deref(), Some(wanted), "{url}");
        }
        for url in [
            "https://github.com/a/b/archive/x/y.tar.gz",
            "https://github.com/a",
            "https://github.com/a/b",
            "https://crates.io/api/v1/crates/",
            "https://example.org/a-1.tar.gz",
            "",
        ] {
            assert_eq!(known(url, None), None, "{url}");
        }
    }

    #[test]
    fn other_downloads_keep_their_url() {
        let source = Source {
            variable: None,
            store_path: String::new(),
            urls: vec!["mirror://gnu/x".into(), "https://example.org/x 1.tar".into()],
            hash: None,
            revision: None,
        };
        let purl = of_source(&source, "x", Some("1")).unwrap().text;
        assert_eq!(purl, "pkg:generic/x@1?download_url=https:%2F%2Fexample.org%2Fx%201.tar");
        assert_eq!(draft("x", None).unwrap().text, "pkg:nix/nixpkgs/x");
    }
}
