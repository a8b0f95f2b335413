//! `nix-cache-info`: what a binary cache says about itself.
//!
//! Follows `src/libstore/binary-cache-store.cc`: lines `Name: value`, values
//! trimmed, unknown names ignored. A page that is no such file (a login form,
//! an error page) is refused.

use super::store_path::{StoreDir, StorePathError};

/// The file's name at the root of a cache.
pub const CACHE_INFO_NAME: &str = "nix-cache-info";

/// Longest file that is read; genuine ones have some sixty bytes.
pub const MAX_CACHE_INFO_LEN: usize = 64 << 10;

/// The priority of a cache that names none; lower is asked first.
pub const DEFAULT_PRIORITY: u64 = 0;

/// What a cache says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheInfo {
    /// The store directory its objects are made for, if it says.
    pub store_dir: Option<StoreDir>,
    /// Whether it is fast at many questions.
    pub want_mass_query: Option<bool>,
    /// Its place among other caches; lower is asked first.
    pub priority: Option<u64>,
}

/// Why a file is no `nix-cache-info`, or a cache cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CacheInfoError {
    /// Too long.
    #[error("{CACHE_INFO_NAME} has {0} bytes (expected at most {MAX_CACHE_INFO_LEN})")]
    TooLong(usize),
    /// No text.
    #[error("{CACHE_INFO_NAME} is not UTF-8 text: first bad byte at offset {0}")]
    NotText(usize),
    /// A line without a colon.
    #[error("line {0} of {CACHE_INFO_NAME} is not '<name>: <value>'")]
    NotAField(usize),
    /// A field twice.
    #[error("line {line} of {CACHE_INFO_NAME} gives {field} again (expected it once)")]
    Doubled {
        /// The line.
        line: usize,
        /// The field.
        field: &'static str,
    },
    /// A value that is neither 0 nor 1, or no number.
    #[error("line {line} of {CACHE_INFO_NAME}: {field} is not {expected}")]
    Value {
        /// The line.
        line: usize,
        /// The field.
        field: &'static str,
        /// What it may be.
        expected: &'static str,
    },
    /// A bad store directory.
    #[error("line {line} of {CACHE_INFO_NAME}: {source}")]
    StoreDir {
        /// The line.
        line: usize,
        /// What is wrong.
        source: StorePathError,
    },
    /// The cache serves another store.
    #[error("the cache is made for the store directory '{found}' (expected '{expected}')")]
    OtherStore {
        /// The cache's.
        found: StoreDir,
        /// Ours.
        expected: StoreDir,
    },
}

impl CacheInfo {
    /// Reads the file.
    ///
    /// # Errors
    /// Says which line is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, CacheInfoError> {
        if bytes.len() > MAX_CACHE_INFO_LEN {
            return Err(CacheInfoError::TooLong(bytes.len()));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|error| CacheInfoError::NotText(error.valid_up_to()))?;
        let mut info = Self::default();
        for (index, text) in text.lines().enumerate() {
            let line = index.saturating_add(1);
            if text.trim().is_empty() {
                continue;
            }
            let (name, value) = text.split_once(':').ok_or(CacheInfoError::NotAField(line))?;
            let value = value.trim();
            match name {
                "StoreDir" => once(&mut info.store_dir, line, "StoreDir", || {
                    StoreDir::new(value).map_err(|source| CacheInfoError::StoreDir { line, source })
                })?,
                "WantMassQuery" => {
                    once(&mut info.want_mass_query, line, "WantMassQuery", || match value {
                        "0" => Ok(false),
                        "1" => Ok(true),
                        _ => Err(CacheInfoError::Value {
                            line,
                            field: "WantMassQuery",
                            expected: "0 or 1",
                        }),
                    })?
                }
                "Priority" => once(&mut info.priority, line, "Priority", || {
                    value.parse().map_err(|_| CacheInfoError::Value {
                        line,
                        field: "Priority",
                        expected: "a number",
                    })
                })?,
                _ => {}
            }
        }
        Ok(info)
    }

    /// Checks that the cache serves this store directory; one that names none
    /// is taken to.
    ///
    /// # Errors
    /// It names another one.
    pub fn check_store_dir(&self, expected: &StoreDir) -> Result<(), CacheInfoError> {
        match &self.store_dir {
            Some(found) if found != expected => {
                Err(CacheInfoError::OtherStore { found: found.clone(), expected: expected.clone() })
            }
            _ => Ok(()),
        }
    }

    /// The file as Nix writes it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        if let Some(dir) = &self.store_dir {
            text.push_str(&format!("StoreDir: {dir}\n"));
        }
        if let Some(wanted) = self.want_mass_query {
            text.push_str(&format!("WantMassQuery: {}\n", u8::from(wanted)));
        }
        if let Some(priority) = self.priority {
            text.push_str(&format!("Priority: {priority}\n"));
        }
        text
    }
}

/// Fills a slot that must be empty.
fn once<T>(
    slot: &mut Option<T>,
    line: usize,
    field: &'static str,
    value: impl FnOnce() -> Result<T, CacheInfoError>,
) -> Result<(), CacheInfoError> {
    if slot.is_some() {
        return Err(CacheInfoError::Doubled { line, field });
    }
    *slot = Some(value()?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_caches_serve_is_read() {
        let text = "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 40\n";
        let info = CacheInfo::parse(text.as_bytes()).unwrap();
        assert_eq!(info.to_text(), text);
        assert_eq!((info.want_mass_query, info.priority), (Some(true), Some(40)));
        assert!(info.check_store_dir(&StoreDir::default()).is_ok());
        let loose = "StoreDir:/nix/store \r\n\r\nPriority:   40\r\nNew: x";
        assert_eq!(CacheInfo::parse(loose.as_bytes()).unwrap().priority, Some(40));
        assert_eq!(CacheInfo::parse(b""), Ok(CacheInfo::default()));
    }

    #[test]
    fn another_store_is_refused() {
        let info = CacheInfo::parse(b"StoreDir: /gnu/store\n").unwrap();
        let error = info.check_store_dir(&StoreDir::default()).unwrap_err().to_string();
        assert!(error.contains("'/gnu/store' (expected '/nix/store')"), "{error}");
    }

    #[test]
    fn bad_files_are_named() {
        for (text, wanted) in [
            (&b"<html>login</html>"[..], "line 1 of nix-cache-info is not"),
            (b"StoreDir: /nix/store\nStoreDir: /nix/store\n", "line 2 of nix-cache-info gives"),
            (b"StoreDir: nix\n", "not an absolute store directory"),
            (b"WantMassQuery: yes\n", "WantMassQuery is not 0 or 1"),
            (b"Priority: -1\n", "Priority is not a number"),
            (b"Priority: \xff\n", "offset 10"),
        ] {
            let error = CacheInfo::parse(text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
        assert!(CacheInfo::parse(&vec![b'\n'; MAX_CACHE_INFO_LEN + 1]).is_err());
    }
}
