//! Names and passwords for hosts, from a netrc file or a URL, and bearer
//! tokens for hosts, from a file of lines `HOST TOKEN`.
//!
//! The netrc grammar is that of curl, which Nix hands the file to, without
//! macros: `machine HOST`, or `default`, followed by `login`, `password` and
//! `account` with a value each; values may be in double quotes. What does not
//! fit is an error with its line, never skipped: a file that is half
//! understood sends requests without the credentials meant for them.

use std::collections::BTreeMap;
use std::fmt;

/// A secret that shows itself to nobody by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself, for the one header it belongs in.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// What is sent in an `Authorization` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A login, maybe empty, and a password.
    Basic {
        /// The login.
        login: String,
        /// The password.
        password: Secret,
    },
    /// A token.
    Bearer(Secret),
}

/// Why a netrc file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetrcError {
    /// More than [`MAX_NETRC`] bytes.
    #[error("the netrc file has {0} bytes (expected at most {MAX_NETRC})")]
    TooLong(usize),
    /// Not text.
    #[error("the netrc file is not UTF-8 text")]
    NotText,
    /// A word that means nothing where it stands.
    #[error(
        "netrc line {line}: unexpected word (expected machine, default, login, password or account)"
    )]
    Word {
        /// The line, from 1.
        line: usize,
    },
    /// A keyword without its value.
    #[error("netrc line {line}: '{keyword}' has no value")]
    NoValue {
        /// The line, from 1.
        line: usize,
        /// The keyword.
        keyword: &'static str,
    },
    /// A login or password before any machine, or twice for one.
    #[error("netrc line {line}: '{keyword}' {problem}")]
    Misplaced {
        /// The line, from 1.
        line: usize,
        /// The keyword.
        keyword: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A quote that is not closed.
    #[error("netrc line {line}: the quoted value does not end on its line")]
    Quote {
        /// The line, from 1.
        line: usize,
    },
    /// A macro, which could only be meant for ftp.
    #[error("netrc line {line}: macros (macdef) are not supported")]
    Macro {
        /// The line, from 1.
        line: usize,
    },
}

/// Why a file of tokens is refused. Never shows a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokensError {
    /// More than [`MAX_NETRC`] bytes.
    #[error("the file of tokens has {0} bytes (expected at most {MAX_NETRC})")]
    TooLong(usize),
    /// Not text.
    #[error("the file of tokens is not UTF-8 text")]
    NotText,
    /// A line of another form.
    #[error("line {line} of the file of tokens is not 'HOST TOKEN'")]
    Line {
        /// The line, from 1.
        line: usize,
    },
    /// A token that cannot stand in a header.
    #[error("line {line} of the file of tokens: the token has characters that no bearer token has")]
    Token {
        /// The line, from 1.
        line: usize,
    },
    /// A host with two tokens.
    #[error("line {line} of the file of tokens: the host has a token already")]
    Twice {
        /// The line, from 1.
        line: usize,
    },
}

/// Longest netrc file read: thousands of machines.
pub const MAX_NETRC: usize = 1 << 20;

/// One machine of a netrc file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// `None`: the default.
    machine: Option<String>,
    login: Option<String>,
    password: Option<Secret>,
}

/// A netrc file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Netrc {
    entries: Vec<Entry>,
    /// Bearer tokens by host, which come before everything else.
    tokens: BTreeMap<String, Secret>,
}

impl Netrc {
    /// Reads a netrc file.
    ///
    /// # Errors
    /// The first line that does not fit; never its content.
    pub fn parse(bytes: &[u8]) -> Result<Self, NetrcError> {
        if bytes.len() > MAX_NETRC {
            return Err(NetrcError::TooLong(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| NetrcError::NotText)?;
        let mut words = words(text)?.into_iter();
        let mut entries: Vec<Entry> = Vec::new();
        while let Some(word) = words.next() {
            let line = word.line;
            if word.quoted {
                return Err(NetrcError::Word { line });
            }
            let mut value = |keyword: &'static str| {
                words.next().map(|word| word.text).ok_or(NetrcError::NoValue { line, keyword })
            };
            match word.text.as_str() {
                "machine" => {
                    let machine = Some(value("machine")?.to_ascii_lowercase());
                    entries.push(Entry { machine, login: None, password: None });
                }
                "default" => {
                    entries.push(Entry { machine: None, login: None, password: None });
                }
                "login" => {
                    let text = value("login")?;
                    set(entries.last_mut().map(|entry| &mut entry.login), text, line, "login")?;
                }
                "password" => {
                    let text = Secret::new(value("password")?);
                    let slot = entries.last_mut().map(|entry| &mut entry.password);
                    set(slot, text, line, "password")?;
                }
                "account" => {
                    value("account")?;
                }
                "macdef" => return Err(NetrcError::Macro { line }),
                _ => return Err(NetrcError::Word { line }),
            }
        }
        Ok(Self { entries, tokens: BTreeMap::new() })
    }

    /// Adds the bearer tokens of a file: lines of a host and its token, empty
    /// ones, and comments from `#` on at the beginning of a line.
    ///
    /// # Errors
    /// The first line that does not fit; never its content.
    pub fn add_tokens(&mut self, bytes: &[u8]) -> Result<(), TokensError> {
        if bytes.len() > MAX_NETRC {
            return Err(TokensError::TooLong(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| TokensError::NotText)?;
        for (index, content) in text.lines().enumerate() {
            let line = index.saturating_add(1);
            let mut words = content.split_whitespace();
            let (host, token) = match (words.next(), words.next(), words.next()) {
                (None, ..) => continue,
                (Some(first), ..) if first.starts_with('#') => continue,
                (Some(host), Some(token), None) => (host, token),
                _ => return Err(TokensError::Line { line }),
            };
            // RFC 6750, section 2.1.
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
            if !token.bytes().all(fits) {
                return Err(TokensError::Token { line });
            }
            let secret = Secret::new(token.to_owned());
            if self.tokens.insert(host.to_ascii_lowercase(), secret).is_some() {
                return Err(TokensError::Twice { line });
            }
        }
        Ok(())
    }

    /// The credentials for a host: its token, else those of the first machine
    /// of that name, else the default's.
    #[must_use]
    pub fn find(&self, host: &str) -> Option<Credentials> {
        let host = host.to_ascii_lowercase();
        if let Some(token) = self.tokens.get(&host) {
            return Some(Credentials::Bearer(token.clone()));
        }
        let entry = self
            .entries
            .iter()
            .find(|entry| entry.machine.as_ref() == Some(&host))
            .or_else(|| self.entries.iter().find(|entry| entry.machine.is_none()))?;
        let password = entry.password.clone()?;
        Some(Credentials::Basic { login: entry.login.clone().unwrap_or_default(), password })
    }
}

fn set<T>(
    slot: Option<&mut Option<T>>,
    value: T,
    line: usize,
    keyword: &'static str,
) -> Result<(), NetrcError> {
    match slot {
        None => Err(NetrcError::Misplaced { line, keyword, problem: "stands before any machine" }),
        Some(Some(_)) => {
            Err(NetrcError::Misplaced { line, keyword, problem: "is given twice for one machine" })
        }
        Some(slot) => {
            *slot = Some(value);
            Ok(())
        }
    }
}

struct Word {
    text: String,
    line: usize,
    quoted: bool,
}

/// Splits into words. A `#` at the beginning of a word starts a comment,
/// unless the word is a value: passwords may begin with it.
fn words(text: &str) -> Result<Vec<Word>, NetrcError> {
    let mut words: Vec<Word> = Vec::new();
    let mut is_value = false;
    for (index, content) in text.lines().enumerate() {
        let line = index.saturating_add(1);
        let mut rest = content.trim_start();
        while !rest.is_empty() {
            if rest.starts_with('#') && !is_value {
                break;
            }
            let (word, after) = match rest.strip_prefix('"') {
                Some(quoted) => {
                    let (text, after) = unquote(quoted).ok_or(NetrcError::Quote { line })?;
                    (Word { text, line, quoted: true }, after)
                }
                None => {
                    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                    let (word, after) = rest.split_at(end);
                    (Word { text: word.to_owned(), line, quoted: false }, after)
                }
            };
            is_value = !is_value
                && !word.quoted
                && matches!(word.text.as_str(), "machine" | "login" | "password" | "account");
            words.push(word);
            rest = after.trim_start();
        }
    }
    Ok(words)
}

/// What stands before the closing quote, and what follows it.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((text, quoted.get(at.saturating_add(1)..)?)),
            '\\' => text.push(match characters.next()?.1 {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                other => other,
            }),
            other => text.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(login: &str, password: &str) -> Option<Credentials> {
        Some(Credentials::Basic {
            login: login.to_owned(),
            password: Secret::new(password.to_owned()),
        })
    }

    #[test]
    fn machines_are_found() {
        let netrc = Netrc::parse(
            b"# caches\nmachine a.example login me password #hash # why\n\
              machine B.example\n  password \"two \\\"words\\\"\"\naccount x\n\
              machine empty.example\ndefault login anonymous password password\n",
        )
        .unwrap();
        assert_eq!(netrc.find("a.example"), basic("me", "#hash"));
        assert_eq!(netrc.find("b.EXAMPLE"), basic("", "two \"words\""));
        assert_eq!(netrc.find("empty.example"), None);
        assert_eq!(netrc.find("sub.a.example"), basic("anonymous", "password"));
        assert_eq!(Netrc::parse(b"machine a password p").unwrap().find("b"), None);
        assert_eq!(Netrc::parse(b"").unwrap(), Netrc::default());
    }

    #[test]
    fn a_keyword_can_be_a_value() {
        let netrc = Netrc::parse(b"machine login login password password #x").unwrap();
        assert_eq!(netrc.find("login"), basic("password", "#x"));
    }

    #[test]
    fn what_does_not_fit_is_named_by_line() {
        for (text, wanted) in [
            (&b"machine a\npasswort p"[..], NetrcError::Word { line: 2 }),
            (b"machine a login", NetrcError::NoValue { line: 1, keyword: "login" }),
            (b"machine", NetrcError::NoValue { line: 1, keyword: "machine" }),
            (
                b"login a",
                NetrcError::Misplaced {
                    line: 1,
                    keyword: "login",
                    problem: "stands before any machine",
                },
            ),
            (
                b"machine a password p\npassword q",
                NetrcError::Misplaced {
                    line: 2,
                    keyword: "password",
                    problem: "is given twice for one machine",
                },
            ),
            (b"machine a password \"p", NetrcError::Quote { line: 1 }),
            (b"macdef init\n", NetrcError::Macro { line: 1 }),
            (b"\xff", NetrcError::NotText),
        ] {
            assert_eq!(Netrc::parse(text), Err(wanted));
        }
        assert!(matches!(Netrc::parse(&vec![b' '; MAX_NETRC + 1]), Err(NetrcError::TooLong(_))));
    }

    #[test]
    fn tokens_come_before_passwords() {
        let mut netrc = Netrc::parse(b"default login l password p").unwrap();
        netrc.add_tokens(b"# tokens\n\nCache.example  abc.DEF-1_2~+/==\n").unwrap();
        let bearer = Credentials::Bearer(Secret::new("abc.DEF-1_2~+/==".to_owned()));
        assert_eq!(netrc.find("cache.EXAMPLE"), Some(bearer));
        assert_eq!(netrc.find("other.example"), basic("l", "p"));
        assert!(!format!("{netrc:?}").contains("abc.DEF"));
        for (text, wanted) in [
            (&b"host"[..], TokensError::Line { line: 1 }),
            (b"a b\n\na hunter2 c", TokensError::Line { line: 3 }),
            (b"a hunter2\x01", TokensError::Token { line: 1 }),
            ("a hunter2\u{e9}".as_bytes(), TokensError::Token { line: 1 }),
            (b"a hunter2\nA hunter3", TokensError::Twice { line: 2 }),
            (b"\xff", TokensError::NotText),
        ] {
            let error = Netrc::default().add_tokens(text).unwrap_err();
            assert_eq!(error, wanted);
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn secrets_stay_out_of_messages() {
        let netrc = Netrc::parse(b"machine a login l password hunter2").unwrap();
        assert!(!format!("{netrc:?} {:?}", netrc.find("a")).contains("hunter2"));
        let error = Netrc::parse(b"machine a hunter2").unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }
}
