//! The names of compressions, as a narinfo's `Compression` field has them.
//!
//! Follows `src/libutil/compression.cc`; the decoders are in
//! [`crate::gather::nar::compression`].

use std::fmt;

/// How a NAR is compressed in a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// xz.
    Xz,
    /// bzip2: also what a narinfo without the field means.
    Bzip2,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// lzip.
    Lzip,
    /// LZ4 frames.
    Lz4,
    /// Brotli.
    Brotli,
}

impl Compression {
    /// All of them, as listed in the manual.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::Xz,
        Self::Bzip2,
        Self::Gzip,
        Self::Zstd,
        Self::Lzip,
        Self::Lz4,
        Self::Brotli,
    ];

    /// The name as narinfos have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lzip => "lzip",
            Self::Lz4 => "lz4",
            Self::Brotli => "br",
        }
    }

    /// The compression of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|compression| compression.name() == name)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for compression in Compression::ALL {
            assert_eq!(Compression::from_name(compression.name()), Some(compression));
        }
        assert_eq!(Compression::from_name("XZ"), None);
        assert_eq!(Compression::from_name(""), None);
    }
}
