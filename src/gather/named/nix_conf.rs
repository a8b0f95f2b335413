//! What a `nix.conf` says about caches and keys. Read only where the user
//! asks for it with `--nix-conf`, never silently.
//!
//! Follows `src/libutil/config.cc`: `name = value` a line, `#` to the end of a
//! line is a comment, `extra-NAME` appends, `include FILE` reads another file
//! and `!include FILE` does so if it is there. Names that are not about caches
//! are none of our business and are passed over.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Longest file read; real ones have a few KiB.
const MAX_LENGTH: u64 = 1 << 20;

/// How deeply files may include each other, so that a circle ends.
const MAX_DEPTH: usize = 8;

/// The settings read, with the names they had before Nix 2.0.
const SUBSTITUTERS: [&str; 2] = ["substituters", "binary-caches"];
const PUBLIC_KEYS: [&str; 2] = ["trusted-public-keys", "binary-cache-public-keys"];
const NETRC_FILE: &str = "netrc-file";
const CA_FILE: &str = "ssl-cert-file";

/// Why a `nix.conf` is refused.
#[derive(Debug, thiserror::Error)]
pub enum NixConfError {
    /// The file.
    #[error("{}: {source}", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that is too long.
    #[error("{} is longer than {MAX_LENGTH} bytes", .0.display())]
    TooLong(PathBuf),
    /// Not text.
    #[error("{} is not UTF-8 text", .0.display())]
    NotText(PathBuf),
    /// A line of another form.
    #[error("{} line {line}: expected 'NAME = VALUE', 'include FILE' or '!include FILE'", .file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// Files that include each other in a circle, or nearly.
    #[error("{} line {line}: files include each other more than {MAX_DEPTH} deep", .file.display())]
    Depth {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

/// The settings that matter to us; `None` where the file is silent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NixConf {
    /// `substituters`, in order.
    pub substituters: Option<Vec<String>>,
    /// `extra-substituters`, in order.
    pub extra_substituters: Vec<String>,
    /// `trusted-public-keys`.
    pub public_keys: Option<Vec<String>>,
    /// `extra-trusted-public-keys`.
    pub extra_public_keys: Vec<String>,
    /// `netrc-file`.
    pub netrc_file: Option<PathBuf>,
    /// `ssl-cert-file`.
    pub ca_file: Option<PathBuf>,
}

impl NixConf {
    /// Reads a file and what it includes.
    ///
    /// # Errors
    /// The first file or line that cannot be read.
    pub fn read(file: &Path) -> Result<Self, NixConfError> {
        let mut conf = Self::default();
        conf.read_into(file, 0)?;
        Ok(conf)
    }

    fn read_into(&mut self, file: &Path, depth: usize) -> Result<(), NixConfError> {
        let failed = |source| NixConfError::Io { file: file.to_owned(), source };
        let mut bytes = Vec::new();
        let opened = std::fs::File::open(file).map_err(failed)?;
        opened.take(MAX_LENGTH.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_LENGTH {
            return Err(NixConfError::TooLong(file.to_owned()));
        }
        let text = String::from_utf8(bytes).map_err(|_| NixConfError::NotText(file.to_owned()))?;
        for (index, content) in text.lines().enumerate() {
            let line = index.saturating_add(1);
            let content = content.split('#').next().unwrap_or_default();
            let words: Vec<&str> = content.split_whitespace().collect();
            match words.as_slice() {
                [] => {}
                [include @ ("include" | "!include"), other] => {
                    if depth >= MAX_DEPTH {
                        return Err(NixConfError::Depth { file: file.to_owned(), line });
                    }
                    let other = file.parent().unwrap_or(Path::new("/")).join(other);
                    if *include == "include" || other.exists() {
                        self.read_into(&other, depth.saturating_add(1))?;
                    }
                }
                [name, "=", values @ ..] => self.set(name, values),
                _ => return Err(NixConfError::Syntax { file: file.to_owned(), line }),
            }
        }
        Ok(())
    }

    fn set(&mut self, name: &str, values: &[&str]) {
        let owned = || values.iter().map(|value| (*value).to_owned());
        let extra = name.strip_prefix("extra-");
        if SUBSTITUTERS.contains(&name) {
            self.substituters = Some(owned().collect());
        } else if PUBLIC_KEYS.contains(&name) {
            self.public_keys = Some(owned().collect());
        } else if extra.is_some_and(|name| SUBSTITUTERS.contains(&name)) {
            self.extra_substituters.extend(owned());
        } else if extra.is_some_and(|name| PUBLIC_KEYS.contains(&name)) {
            self.extra_public_keys.extend(owned());
        } else if name == NETRC_FILE {
            self.netrc_file = Some(PathBuf::from(values.join(" ")));
        } else if name == CA_FILE {
            self.ca_file = Some(PathBuf::from(values.join(" ")));
        }
    }

    /// All caches, the extra ones last, each once.
    #[must_use]
    pub fn caches(&self) -> Vec<String> {
        joined(self.substituters.as_deref(), &self.extra_substituters)
    }

    /// All keys, the extra ones last, each once.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        joined(self.public_keys.as_deref(), &self.extra_public_keys)
    }
}

fn joined(first: Option<&[String]>, then: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for item in first.unwrap_or_default().iter().chain(then) {
        if !all.contains(item) {
            all.push(item.clone());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> Result<NixConf, NixConfError> {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        NixConf::read(&directory.path().join(files[0].0))
    }

    #[test]
    fn settings_about_caches_are_read() {
        let conf = read(&[
            (
                "nix.conf",
                "# ours\nsandbox = true\nsubstituters = https://a https://b # two\n\
                 extra-substituters = https://c https://a\nextra-substituters = https://d\n\
                 trusted-public-keys = a-1:AAAA=\ninclude more.conf\n!include none.conf\n\
                 experimental-features =\nnetrc-file = /etc/nix/netrc\n",
            ),
            ("more.conf", "binary-caches = https://z\nextra-trusted-public-keys = b-1:BBBB=\n"),
        ])
        .unwrap();
        assert_eq!(conf.caches(), ["https://z", "https://c", "https://a", "https://d"]);
        assert_eq!(conf.keys(), ["a-1:AAAA=", "b-1:BBBB="]);
        assert_eq!(conf.netrc_file.as_deref(), Some(Path::new("/etc/nix/netrc")));
        assert_eq!(conf.ca_file, None);
        assert_eq!(read(&[("nix.conf", "")]).unwrap(), NixConf::default());
    }

    #[test]
    fn what_nix_would_refuse_is_refused() {
        for (content, wanted) in [
            ("substituters https://a", "line 1"),
            ("\nsubstituters", "line 2"),
            ("substituters=https://a", "line 1"),
            ("include none.conf", "none.conf"),
            ("include nix.conf", "deep"),
        ] {
            let error = read(&[("nix.conf", content)]).unwrap_err().to_string();
            assert!(error.contains(wanted), "{content}: {error}");
        }
    }
}
