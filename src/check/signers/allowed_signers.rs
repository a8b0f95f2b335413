//! Files of allowed signers, after ALLOWED SIGNERS of ssh-keygen(1).
//!
//! Each line has principals, perhaps options, a key and perhaps a comment.
//! Certificate authorities are not supported: their lines are errors, for to
//! pass them over would be to know fewer signers than the file says. A time
//! without `Z` is taken as UTC.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::ssh::SshKey;
use crate::nix::git::wildmatch;

/// Most lines that are read.
const MAX_LINES: usize = 100_000;

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct AllowedSignersError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Allowed {
    principals: Vec<String>,
    key: Vec<u8>,
    namespaces: Option<Vec<String>>,
    after: Option<i64>,
    before: Option<i64>,
}

/// The keys of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedSigners(Vec<Allowed>);

/// Whether a key may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// No line has it.
    Unknown,
    /// Lines have it, for other namespaces.
    OtherNamespace,
    /// Lines have it, for other times.
    Expired,
    /// It may.
    Valid,
}

impl AllowedSigners {
    /// Reads a file.
    ///
    /// # Errors
    /// The first line that is malformed or not supported.
    pub fn parse(text: &[u8]) -> Result<Self, AllowedSignersError> {
        let mut allowed = Vec::new();
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let error = |problem: &str| AllowedSignersError {
                line: index.saturating_add(1),
                problem: problem.to_owned(),
            };
            if index >= MAX_LINES {
                return Err(error("the file has too many lines"));
            }
            let line = std::str::from_utf8(line).map_err(|_| error("this is not UTF-8"))?.trim();
            if !line.is_empty() && !line.starts_with('#') {
                allowed.push(read(line).map_err(|problem| error(&problem))?);
            }
        }
        Ok(Self(allowed))
    }

    /// Whether it has no keys.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the keys of another file.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Whether a key may sign for a namespace at a time, and whose it is.
    pub(super) fn standing(&self, key: &[u8], space: &str, time: i64) -> (Standing, Vec<String>) {
        let mut best = Standing::Unknown;
        let mut names = Vec::new();
        for line in self.0.iter().filter(|line| line.key == key) {
            let standing = line.standing(space, time);
            if standing > best {
                best = standing;
                names.clear();
            }
            if standing == best {
                names.extend(line.principals.iter().cloned());
            }
        }
        names.sort();
        names.dedup();
        (best, names)
    }
}

impl Allowed {
    fn standing(&self, space: &str, time: i64) -> Standing {
        let named = self.namespaces.as_ref().is_none_or(|patterns| {
            let matches = |pattern: &str| {
                wildmatch::matches(pattern.as_bytes(), space.as_bytes()).unwrap_or(false)
            };
            patterns.iter().any(|pattern| matches(pattern))
                && !patterns.iter().any(|p| p.strip_prefix('!').is_some_and(matches))
        });
        if !named {
            return Standing::OtherNamespace;
        }
        let early = self.after.is_some_and(|after| time < after);
        let late = self.before.is_some_and(|before| time > before);
        if early || late { Standing::Expired } else { Standing::Valid }
    }
}

fn read(line: &str) -> Result<Allowed, String> {
    let (principals, rest) = word(line).ok_or("the principals end in an open quote")?;
    let mut allowed = Allowed {
        principals: principals.trim_matches('"').split(',').map(str::to_owned).collect(),
        key: Vec::new(),
        namespaces: None,
        after: None,
        before: None,
    };
    if allowed.principals.iter().all(String::is_empty) {
        return Err("the principals are empty".to_owned());
    }
    let (mut kind, mut rest) = word(rest).ok_or("the options end in an open quote")?;
    if !is_kind(kind) {
        for option in split_options(kind) {
            take_option(&mut allowed, option)?;
        }
        (kind, rest) = word(rest).ok_or("the key is missing")?;
    }
    if !is_kind(kind) {
        return Err(format!("'{}' is no kind of key (expected such as ssh-ed25519)", start(kind)));
    }
    let (base64, _comment) = word(rest).ok_or("the key is missing")?;
    let key = STANDARD.decode(base64).map_err(|_| "the key is not base64")?;
    let length = u32::try_from(kind.len()).unwrap_or(u32::MAX).to_be_bytes();
    if !key.starts_with(&[length.as_slice(), kind.as_bytes()].concat()) {
        return Err(format!("the key is not of the kind '{kind}' that stands before it"));
    }
    // A key that can never verify anything is still one: a signature by it
    // is then said to be of a kind that is not supported.
    let _supported = SshKey::read(&key);
    allowed.key = key;
    Ok(allowed)
}

fn start(text: &str) -> String {
    text.chars().take(40).collect()
}

fn is_kind(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"].iter().any(|prefix| word.starts_with(prefix))
}

/// The first word, in which quotes keep spaces together, and the rest.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let mut quoted = false;
    for (at, letter) in text.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            ' ' | '\t' if !quoted => return Some((text.get(..at)?, text.get(at..)?)),
            _ => {}
        }
    }
    (!quoted && !text.is_empty()).then_some((text, ""))
}

/// Options between commas that are not quoted.
fn split_options(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |letter| {
        quoted ^= letter == '"';
        letter == ',' && !quoted
    })
}

fn take_option(allowed: &mut Allowed, option: &str) -> Result<(), String> {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    let value = value.trim_matches('"');
    match name.to_ascii_lowercase().as_str() {
        "namespaces" => {
            allowed.namespaces = Some(value.split(',').map(str::to_owned).collect());
        }
        "valid-after" => allowed.after = Some(time(value)?),
        "valid-before" => allowed.before = Some(time(value)?),
        "cert-authority" => {
            return Err("certificate authorities are not supported: name the keys".to_owned());
        }
        _ => return Err(format!("the option '{}' is not known", start(name))),
    }
    Ok(())
}

/// `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, perhaps with `Z`.
fn time(text: &str) -> Result<i64, String> {
    let wrong = || format!("'{}' is no time (expected YYYYMMDD or YYYYMMDDHHMM[SS])", start(text));
    let digits = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || ![8, 12, 14].contains(&digits.len()) {
        return Err(wrong());
    }
    let part = |from: usize, to: usize| match digits.get(from..to) {
        None => Ok(0),
        Some(part) => part.parse::<i64>().map_err(|_| wrong()),
    };
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    let valid = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    if !valid {
        return Err(wrong());
    }
    // Days since 1970 of a day in the Gregorian calendar, years from March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        y * 365 + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day
            - 1
            - 719_468;
    Ok(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJKzGRnbSzEXSxBCVJeSDdkyqF0WC2VPgXGVEv0b6AHt";

    fn key() -> Vec<u8> {
        STANDARD.decode(KEY.split(' ').nth(1).unwrap()).unwrap()
    }

    #[test]
    fn lines_are_read() {
        let text = format!(
            "# comment\n\na@example.org,b@example.org {KEY} words\n\"with space\" namespaces=\"git,file\",valid-before=\"20200101\" {KEY}\n"
        );
        let signers = AllowedSigners::parse(text.as_bytes()).unwrap();
        let (standing, names) = signers.standing(&key(), "git", 0);
        assert_eq!(standing, Standing::Valid);
        assert_eq!(names, ["a@example.org", "b@example.org", "with space"]);
        assert_eq!(signers.standing(b"other", "git", 0).0, Standing::Unknown);
    }

    #[test]
    fn options_limit_a_key() {
        let standing = |options: &str, time| {
            let text = format!("a {options} {KEY}");
            AllowedSigners::parse(text.as_bytes()).unwrap().standing(&key(), "git", time).0
        };
        assert_eq!(standing("namespaces=\"file\"", 0), Standing::OtherNamespace);
        assert_eq!(standing("namespaces=\"g*\"", 0), Standing::Valid);
        assert_eq!(standing("namespaces=\"*,!git\"", 0), Standing::OtherNamespace);
        assert_eq!(standing("valid-after=\"20200101Z\"", 1_577_836_799), Standing::Expired);
        assert_eq!(standing("valid-after=\"20200101Z\"", 1_577_836_800), Standing::Valid);
        assert_eq!(standing("valid-before=\"197001020304\"", 97_440), Standing::Valid);
        assert_eq!(standing("valid-before=\"19700102030405\"", 97_446), Standing::Expired);
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for (line, wanted) in [
            ("a", "open quote"),
            ("a ssh-ed25519", "key is missing"),
            ("a ssh-ed25519 ***", "not base64"),
            ("a ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAA", "not of the kind"),
            ("a cert-authority ssh-ed25519 AAAA", "certificate authorities"),
            ("a valid-after=\"2020\" ssh-ed25519 AAAA", "no time"),
            ("a other ssh-ed25519 AAAA", "not known"),
        ] {
            let error = AllowedSigners::parse(format!("\n{line}").as_bytes()).unwrap_err();
            assert_eq!(error.line, 2);
            assert!(error.problem.contains(wanted), "{line}: {error}");
        }
    }
}
