//! Python: the requirements files of pip.
//!
//! Follows <https://pip.pypa.io/en/stable/reference/requirements-file-format/>.
//! Only `==` names a version; what has a range is asked for and no more. Other
//! files that are included are read where they lie.

use super::package::{Digest, Ecosystem, Package, Scope};
use super::statement::{ReadError, Statements, text, vcs_url};

/// Reads a requirements file.
///
/// # Errors
/// See [`ReadError`].
pub fn read(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    let mut joined = String::new();
    let mut started = 1;
    for (at, line) in text(bytes)?.lines().enumerate() {
        if joined.is_empty() {
            started = at.saturating_add(1);
        }
        let line = without_comment(line).trim_end();
        if let Some(unfinished) = line.strip_suffix('\\') {
            joined.push_str(unfinished);
            continue;
        }
        joined.push_str(line);
        requirement(joined.trim(), started, out)?;
        joined.clear();
    }
    requirement(joined.trim(), started, out)
}

/// A `#` begins a comment at the start of a line or behind a blank.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') {
        return "";
    }
    let end = line.find(" #").or_else(|| line.find("\t#")).unwrap_or(line.len());
    line.get(..end).unwrap_or_default()
}

fn requirement(line: &str, number: usize, out: &mut Statements) -> Result<(), ReadError> {
    let mut words = line.split_whitespace();
    let Some(first) = words.next() else { return Ok(()) };
    if first.starts_with('-') {
        // Options, includes and the project itself; a repository may stand
        // behind '-e' and names its project.
        let rest = line.strip_prefix("-e").or_else(|| line.strip_prefix("--editable"));
        let url = rest.map(|rest| rest.trim_start_matches(['=', ' ', '\t']));
        return match url.filter(|url| url.contains("://")) {
            Some(url) => located(url, number, out),
            None => Ok(()),
        };
    }
    let digests = words.filter_map(|word| word.strip_prefix("--hash="));
    let digests: Vec<Digest> = digests.filter_map(Digest::from_prefixed).collect();
    let specification = line.split(" --").next().unwrap_or_default();
    let specification = specification.split(';').next().unwrap_or_default().trim();
    if let Some((name, url)) = specification.split_once(" @ ") {
        return push(name, None, Some(url.trim()), digests, out);
    }
    if specification.contains("://") {
        return located(specification, number, out);
    }
    if specification.starts_with(['.', '/']) || ends_like_a_file(specification) {
        return Ok(()); // A file of the project, which is looked at itself.
    }
    let end = specification.find(['=', '<', '>', '!', '~', ' ', '\t', '(', '@']);
    let (name, range) =
        specification.split_at_checked(end.unwrap_or(specification.len())).unwrap_or_default();
    let exact = range.trim().trim_start_matches('(').trim_end_matches(')');
    let exact = exact.strip_prefix("===").or_else(|| exact.strip_prefix("=="));
    let exact = exact.map(str::trim).filter(|version| !version.contains([',', '*', ' ']));
    let plain = name.split('[').next().unwrap_or_default();
    let good = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let asks = range.trim().is_empty() || range.trim().starts_with(['=', '<', '>', '!', '~', '(']);
    if plain.is_empty() || !plain.chars().all(good) || !asks {
        return Err(ReadError::Line { line: number, expected: "a requirement ('name==version')" });
    }
    push(name, exact, None, digests, out)
}

fn ends_like_a_file(specification: &str) -> bool {
    [".whl", ".tar.gz", ".zip"].iter().any(|suffix| specification.ends_with(suffix))
}

/// A URL with the project's name in `#egg=`, or in the name of a wheel.
fn located(url: &str, number: usize, out: &mut Statements) -> Result<(), ReadError> {
    let (place, fragment) = url.split_once('#').unwrap_or((url, ""));
    let egg = fragment.split('&').find_map(|part| part.strip_prefix("egg="));
    let file = place.rsplit('/').next().unwrap_or_default();
    let wheel = file
        .ends_with(".whl")
        .then(|| file.split('-'))
        .map(|mut parts| (parts.next().unwrap_or_default(), parts.next()));
    let (name, version) = match (egg, wheel) {
        (Some(egg), _) => (egg, None),
        (None, Some(named)) => named,
        (None, None) => {
            let expected = "a URL that names its project ('#egg=name')";
            out.flaws.push(ReadError::Line { line: number, expected });
            return Ok(());
        }
    };
    push(name, version, Some(place), Vec::new(), out)
}

fn push(
    name: &str,
    version: Option<&str>,
    url: Option<&str>,
    digests: Vec<Digest>,
    out: &mut Statements,
) -> Result<(), ReadError> {
    let plain = name.split('[').next().unwrap_or_default().trim();
    let mut package = Package::new(Ecosystem::Pypi, plain, version).needed(Scope::Unstated);
    package.digests.extend(digests);
    if let Some(url) = url {
        if url.starts_with("git+") {
            let slash = url.rfind('/').unwrap_or_default();
            let at = url.rfind('@').filter(|at| *at > slash).unwrap_or(url.len());
            let (repository, revision) = url.split_at_checked(at).unwrap_or((url, ""));
            package.vcs = Some(vcs_url(repository, revision.trim_start_matches('@')));
        } else {
            package.sources.insert(url.to_owned());
        }
    }
    out.push(package)
}

#[cfg(test)]
mod tests {
    use super::super::Technique;
    use super::*;

    fn purls(text: &str) -> Vec<String> {
        let mut out = Statements::new(Technique::Locked);
        read(text.as_bytes(), &mut out).unwrap();
        out.packages.iter().map(|package| package.purl().unwrap()).collect()
    }

    #[test]
    fn versions_ranges_options_and_urls() {
        let sum = "a".repeat(64);
        let text = format!(
            "# head\n-r other.txt\n--index-url https://i\nA_b[x,y]==1.0 ; python_version > '3' \\\n    --hash=sha256:{sum} \\\n    --hash=sha256:{sum}\nc>=1,<2  # note\nd\ne @ https://f/e-2.0.zip\ngit+https://h/g.git@abc#egg=g\n-e git+https://h/h.git#egg=h\nhttps://f/w-3.0-py3-none-any.whl\n./local\n-e .\nz == 4\nw==1.*\n"
        );
        let expected = [
            "pkg:pypi/a-b@1.0",
            "pkg:pypi/c",
            "pkg:pypi/d",
            "pkg:pypi/e",
            "pkg:pypi/g?vcs_url=git%2Bhttps:%2F%2Fh%2Fg.git%40abc",
            "pkg:pypi/h?vcs_url=git%2Bhttps:%2F%2Fh%2Fh.git",
            "pkg:pypi/w@3.0",
            "pkg:pypi/z@4",
            "pkg:pypi/w",
        ];
        assert_eq!(purls(&text), expected);
        let mut out = Statements::new(Technique::Locked);
        read(text.as_bytes(), &mut out).unwrap();
        assert_eq!(out.packages[0].digests.len(), 1);
    }

    #[test]
    fn prose_is_refused() {
        let mut out = Statements::new(Technique::Locked);
        for prose in ["The software shall do things\n", "caf\u{e9}\n", "# a\n\n* item\n"] {
            assert!(read(prose.as_bytes(), &mut out).is_err(), "{prose}");
        }
    }
}
