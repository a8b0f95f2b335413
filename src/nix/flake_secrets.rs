//! Secrets in the texts of a lock file: passwords and tokens that somebody
//! left in a URL. Found so that they can be reported, and so that no output
//! repeats them.

use std::ops::Range;

use super::json::Span;

/// Parameters of flake references that hold no secrets.
const HARMLESS: [&str; 13] = [
    "ref",
    "rev",
    "dir",
    "narHash",
    "submodules",
    "shallow",
    "lfs",
    "host",
    "lastModified",
    "revCount",
    "archive",
    "allRefs",
    "exportIgnore",
];

/// Parameters whose value is a secret or proves that somebody had one, lower
/// case.
const SECRET_PARAMETERS: [&str; 20] = [
    "token",
    "access_token",
    "private_token",
    "job_token",
    "auth",
    "authorization",
    "auth_token",
    "api_key",
    "apikey",
    "key",
    "sig",
    "signature",
    "secret",
    "password",
    "passwd",
    "pwd",
    "x-amz-signature",
    "x-amz-credential",
    "x-amz-security-token",
    "x-goog-signature",
];

/// How tokens of well-known services begin, and how many characters follow at
/// least. Published by the services so that scanners can find them.
const TOKENS: [(&str, usize); 14] = [
    ("ghp_", 30),
    ("gho_", 30),
    ("ghu_", 30),
    ("ghs_", 30),
    ("ghr_", 30),
    ("github_pat_", 30),
    ("glpat-", 16),
    ("glrt-", 16),
    ("gldt-", 16),
    ("glcbt-", 16),
    ("xoxb-", 16),
    ("xoxp-", 16),
    ("npm_", 30),
    ("AKIA", 16),
];

/// User names that say nothing: those that git hosts prescribe.
const PLAIN_USERS: [&str; 4] = ["git", "anonymous", "hg", "svn"];

/// Something in a text that should not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Where in the text.
    pub range: Range<usize>,
    /// What it is.
    pub kind: SecretKind,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretKind {
    /// A user name that says nothing, such as `git`.
    PlainUser,
    /// A user name, which may be a token.
    User,
    /// A password.
    Password,
    /// A parameter of a URL that is named like a secret.
    Parameter,
    /// A token of a well-known service.
    Token,
}

impl SecretKind {
    /// What it is, in words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PlainUser => "a user name",
            Self::User => "a user name that may be a token",
            Self::Password => "a password",
            Self::Parameter => "a parameter that is named like a secret",
            Self::Token => "a token of a well-known service",
        }
    }
}

/// The secrets of a text, in its order.
#[must_use]
pub fn find(text: &str) -> Vec<Secret> {
    let mut found = Vec::new();
    if !is_suspect(text.as_bytes()) {
        return found;
    }
    for (user, at) in users(text) {
        let (name, password) = user.split_once(':').map_or((user, None), |(n, p)| (n, Some(p)));
        let kind = if password.is_some_and(|password| !password.is_empty()) {
            SecretKind::Password
        } else if PLAIN_USERS.contains(&name) || name.is_empty() {
            SecretKind::PlainUser
        } else {
            SecretKind::User
        };
        found.push(Secret { range: at, kind });
    }
    for (name, value) in parameters(text) {
        let name = name.to_ascii_lowercase();
        if SECRET_PARAMETERS.contains(&name.as_str()) && !value.is_empty() {
            found.push(Secret { range: value, kind: SecretKind::Parameter });
        }
    }
    found.extend(tokens(text).map(|range| Secret { range, kind: SecretKind::Token }));
    found.sort_by_key(|secret| (secret.range.start, secret.range.end));
    found
}

/// A text as it may be shown: without user and password, without tokens, and
/// with the values of unknown parameters of a URL left out, for they may be
/// secrets too.
#[must_use]
pub fn without_secrets(text: &str) -> String {
    let mut shown = String::new();
    let mut at = 0;
    for hidden in hidden(text) {
        if hidden.end <= at {
            continue;
        }
        shown.push_str(text.get(at..hidden.start.max(at)).unwrap_or_default());
        shown.push_str("***");
        at = hidden.end;
    }
    shown.push_str(text.get(at..).unwrap_or_default());
    shown
}

/// Most characters of a value that messages show.
const MAX_SHOWN: usize = 200;

/// A value as messages show it: [`without_secrets`], the end of a long one
/// left out.
#[must_use]
pub fn brief(text: &str) -> String {
    let mut text = without_secrets(text);
    if let Some((end, _)) = text.char_indices().nth(MAX_SHOWN) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// What may not be shown of a text that is read as it stands in a file, in
/// JSON: URLs end at quotes, slashes may be escaped. Offsets are of the text.
#[must_use]
pub fn hidden_in_file(text: &[u8]) -> Vec<Span> {
    let mut found = Vec::new();
    for piece in suspect_pieces(text) {
        // Nobody but who hides something writes plain characters as escapes.
        let raw = text.get(piece.clone()).unwrap_or_default();
        if (0..raw.len()).any(|at| is_plain_escape(raw, at)) {
            found.push(Span::new(piece.start, piece.end));
            continue;
        }
        // Offsets stay as they are: every byte is replaced by one.
        let plain: String = raw
            .iter()
            .map(|byte| if byte.is_ascii() { char::from(*byte) } else { '.' })
            .collect::<String>()
            .replace("\\/", "//");
        let plain = if plain.contains("////") { plain.replace("////", ".://") } else { plain };
        let spans = hidden(&plain).into_iter();
        found.extend(
            spans.map(|range| Span::new(piece.start + range.start, piece.start + range.end)),
        );
    }
    found
}

/// The pieces of a file in which something could be hidden, in its order. A
/// piece lies between quotes: what is outside strings is covered too, for a
/// file that is no JSON has no inside.
fn suspect_pieces(text: &[u8]) -> Vec<Range<usize>> {
    let of = |places: &mut dyn Iterator<Item = usize>| {
        let mut pieces: Vec<Range<usize>> = Vec::new();
        for at in places {
            if pieces.last().is_some_and(|last| at < last.end) || !is_suspect_at(text, at) {
                continue;
            }
            let (before, behind) = text.split_at_checked(at).unwrap_or((text, &[]));
            let start = memchr::memrchr2(b'"', b'\n', before).map_or(0, |quote| quote + 1);
            let length = memchr::memchr2(b'"', b'\n', behind).unwrap_or(behind.len());
            pieces.push(start..at + length);
        }
        pieces
    };
    let mut pieces = of(&mut memchr::memchr3_iter(b'@', b'?', b'_', text));
    pieces.append(&mut of(&mut memchr::memchr3_iter(b'-', b'A', b'\\', text)));
    pieces.sort_unstable_by_key(|piece| piece.start);
    pieces.dedup();
    pieces
}

/// Whether anything could be hidden in it. Nearly nothing is, and this is asked
/// of every text of a file.
fn is_suspect(piece: &[u8]) -> bool {
    (0..piece.len()).any(|at| is_suspect_at(piece, at))
}

/// Whether what stands there begins or ends something that could be hidden.
fn is_suspect_at(text: &[u8], at: usize) -> bool {
    match text.get(at) {
        Some(b'@' | b'?') => true,
        // All prefixes of tokens but one end with one of these.
        Some(b'_' | b'-') => TOKENS.iter().any(|(prefix, _)| {
            text.get(..=at).is_some_and(|begin| begin.ends_with(prefix.as_bytes()))
        }),
        Some(b'A') => text.get(at..).is_some_and(|rest| rest.starts_with(b"AKIA")),
        Some(b'\\') => is_plain_escape(text, at),
        _ => false,
    }
}

/// Whether an escape of JSON stands there for a character that needs none,
/// such as `\u0040` for `@`.
fn is_plain_escape(text: &[u8], at: usize) -> bool {
    let Some(rest) = text.get(at..).and_then(|rest| rest.strip_prefix(b"\\u00")) else {
        return false;
    };
    matches!(rest, [b'2'..=b'7', last, ..] if last.is_ascii_hexdigit())
}

/// What may not be shown, in the order of the text.
fn hidden(text: &str) -> Vec<Range<usize>> {
    if !is_suspect(text.as_bytes()) {
        return Vec::new();
    }
    let mut found: Vec<Range<usize>> = users(text).map(|(_, range)| range).collect();
    found.extend(
        parameters(text).filter(|(name, _)| !HARMLESS.contains(name)).map(|(_, value)| value),
    );
    found.extend(tokens(text));
    found.sort_by_key(|range| (range.start, range.end));
    found
}

/// The part before `@` of every URL in a text.
fn users(text: &str) -> impl Iterator<Item = (&str, Range<usize>)> {
    text.match_indices("://").filter_map(move |(at, _)| {
        let start = at + 3;
        let rest = text.get(start..)?;
        let authority = rest.split(['/', '?', '#', ' ', '\\']).next()?;
        let (user, _) = authority.rsplit_once('@')?;
        Some((user, start..start + user.len()))
    })
}

/// The parameters of a URL: name, and where the value stands.
fn parameters(text: &str) -> impl Iterator<Item = (&str, Range<usize>)> {
    let query = text.find('?').map_or(text.len(), |at| at + 1);
    let query = if text.contains("://") || text.contains(':') { query } else { text.len() };
    let mut at = query;
    text.get(query..).unwrap_or_default().split(['&', '#', ';']).filter_map(move |pair| {
        let start = at;
        at += pair.len() + 1;
        let (name, value) = pair.split_once('=')?;
        let from = start + name.len() + 1;
        Some((name, from..from + value.len()))
    })
}

/// Tokens of well-known services.
fn tokens(text: &str) -> impl Iterator<Item = Range<usize>> {
    TOKENS.iter().flat_map(move |(prefix, least)| {
        text.match_indices(prefix).filter_map(move |(at, _)| {
            let before = text.get(..at)?.chars().next_back();
            if before.is_some_and(|character| character.is_ascii_alphanumeric()) {
                return None;
            }
            let rest = text.get(at + prefix.len()..)?;
            let length = rest
                .bytes()
                .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
                .count();
            (length >= *least).then(|| at..at + prefix.len() + length)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suspect_piece_of_a_file_is_found_once() {
        let text = b"a\"b?c@d\"ghp_x-glpat-AKIA\"sha256-A_-\"\nAKIA\n@";
        let pieces: Vec<&[u8]> =
            suspect_pieces(text).into_iter().map(|piece| &text[piece]).collect();
        assert_eq!(pieces, [&b"b?c@d"[..], b"ghp_x-glpat-AKIA", b"AKIA", b"@"]);
        let split: Vec<&[u8]> = text
            .split(|byte| matches!(byte, b'"' | b'\n'))
            .filter(|piece| is_suspect(piece))
            .collect();
        assert_eq!(pieces, split);
        // One piece of megabytes is looked at once.
        assert!(suspect_pieces(&vec![b'@'; 4 << 20]).into_iter().eq(std::iter::once(0..4 << 20)));
    }

    #[test]
    fn what_is_written_as_escapes_is_hidden_whole() {
        for secret in [
            r"https://user:hunter2\u0040host/x",
            r"https://host/x\u003ftoken=hunter2",
            r"https\u003A//user:hunter2@host",
        ] {
            let text = format!("\"url\": \"{secret}\"");
            assert_eq!(hidden_in_file(text.as_bytes()), [Span::new(8, 8 + secret.len())]);
        }
        assert_eq!(hidden_in_file(br#""a\u001b\nb""#), []);
    }

    #[test]
    fn nothing_is_overlooked_that_could_be_hidden() {
        for (prefix, _) in TOKENS {
            assert!(is_suspect(prefix.as_bytes()), "{prefix}");
            assert!(is_suspect(format!("x/{prefix}a").as_bytes()), "{prefix}");
        }
        assert!(is_suspect(b"https://a@b") && is_suspect(b"a?b=c"));
        assert!(!is_suspect(b"sha256-AKI_A-npm"));
    }

    #[test]
    fn secrets_are_not_shown() {
        let token = format!("ghp_{}", "a1B2".repeat(9));
        let with = |text: &str| text.replace("TOKEN", &token);
        for (url, shown) in [
            ("https://user:pw@host/a?token=abc&ref=x", "https://***@host/a?token=***&ref=x"),
            ("https://host/a@b", "https://host/a@b"),
            ("git+ssh://git@host/a", "git+ssh://***@host/a"),
            ("./local", "./local"),
            ("https://u:p@ss@host/x", "https://***@host/x"),
            ("https://host/TOKEN/x", "https://host/***/x"),
            ("TOKEN", "***"),
            ("https://TOKEN@host", "https://***@host"),
            ("a?b=c", "a?b=c"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(&with(url)), shown);
        }
    }

    #[test]
    fn what_was_found_is_told_apart() {
        let kinds = |text: &str| -> Vec<SecretKind> {
            find(text).into_iter().map(|secret| secret.kind).collect()
        };
        assert_eq!(kinds("https://git@github.com/x"), [SecretKind::PlainUser]);
        assert_eq!(kinds("https://somebody@github.com/x"), [SecretKind::User]);
        assert_eq!(kinds("https://git:x@github.com/x"), [SecretKind::Password]);
        assert_eq!(kinds("https://h/x?Private_Token=1&ref=2"), [SecretKind::Parameter]);
        assert_eq!(kinds("https://h/x?token="), []);
        assert_eq!(kinds("glpat-0123456789abcdefghij"), [SecretKind::Token]);
        assert_eq!(kinds("notghp_0123456789012345678901234567890123"), []);
        assert_eq!(kinds("https://github.com/a/b?ref=main&rev=1"), []);
    }

    #[test]
    fn what_stands_in_a_file_is_hidden() {
        let show = |text: &str| {
            let mut shown = text.as_bytes().to_vec();
            for span in hidden_in_file(text.as_bytes()) {
                shown[span.start..span.end].fill(b'*');
            }
            String::from_utf8_lossy(&shown).into_owned()
        };
        assert_eq!(
            show("{\"é\": \"https://a:b@c/d?x=1\",\n\"url\": \"http://q@r\"}"),
            "{\"é\": \"https://***@c/d?x=*\",\n\"url\": \"http://*@r\"}"
        );
        assert_eq!(show(r#""https:\/\/user:pw@host\/x""#), r#""https:\/\/*******@host\/x""#);
        assert_eq!(show("\"https://user:pw@host"), "\"https://*******@host");
    }
}
