//! Nix's values as text in JSON.

/// A NAR hash in Nix's notation, as reports write it.
pub mod nar_hash {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::nix::hash::NarHash;

    pub fn serialize<S: Serializer>(hash: &NarHash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(hash)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NarHash, D::Error> {
        let text = String::deserialize(deserializer)?;
        let hash = NarHash::parse(&text).map_err(serde::de::Error::custom)?;
        if hash.to_string() == text {
            Ok(hash)
        } else {
            Err(serde::de::Error::custom("a NAR hash is written as sha256:<Nix32>"))
        }
    }
}

/// A store path with its store directory.
pub mod object {
    use std::fmt;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::nix::store_path::{StoreDir, StorePath};

    /// A store object by its whole path: store paths of different store
    /// directories are different paths.
    #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct ObjectPath {
        /// The store directory.
        pub dir: StoreDir,
        /// The path in it.
        pub path: StorePath,
    }

    impl ObjectPath {
        /// Reads a whole path of any store directory.
        #[must_use]
        pub fn parse(text: &str) -> Option<Self> {
            let (dir, _) = text.rsplit_once('/')?;
            let dir = StoreDir::new(dir).ok()?;
            let path = dir.parse(text).ok()?;
            Some(Self { dir, path })
        }
    }

    impl fmt::Display for ObjectPath {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&self.dir.full(&self.path))
        }
    }

    impl Serialize for ObjectPath {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }

    impl<'de> Deserialize<'de> for ObjectPath {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = String::deserialize(deserializer)?;
            Self::parse(&text)
                .ok_or_else(|| serde::de::Error::custom(format!("'{text}' is no store path")))
        }
    }
}

/// A verdict in its word.
pub mod verdict {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::check::Verdict;

    pub fn serialize<S: Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(verdict.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Verdict, D::Error> {
        let text = String::deserialize(deserializer)?;
        [Verdict::Pass, Verdict::Inconclusive, Verdict::Fail]
            .into_iter()
            .find(|verdict| verdict.name() == text)
            .ok_or_else(|| serde::de::Error::custom("expected pass, inconclusive or fail"))
    }
}

/// A level in its word.
pub mod level {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::check::Level;

    pub fn serialize<S: Serializer>(level: &Level, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(level.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Level, D::Error> {
        let text = String::deserialize(deserializer)?;
        [Level::Note, Level::Warning, Level::Error]
            .into_iter()
            .find(|level| level.name() == text)
            .ok_or_else(|| serde::de::Error::custom("expected note, warning or error"))
    }
}

/// Contents that are there as a whole or not at all.
pub mod whole {
    use std::collections::BTreeSet;

    use serde::{Deserialize, Deserializer, Serialize as _, Serializer};

    use super::super::rebuild::Contents;
    use super::nar_hash;
    use super::object::ObjectPath;
    use crate::nix::hash::NarHash;

    #[derive(Deserialize)]
    struct Hash(#[serde(with = "nar_hash")] NarHash);

    #[derive(Deserialize)]
    struct Parts {
        nar_hash: Option<Hash>,
        nar_size: Option<u64>,
        references: Option<BTreeSet<ObjectPath>>,
    }

    pub fn serialize<S: Serializer>(
        contents: &Option<Contents>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        contents.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Contents>, D::Error> {
        let Parts { nar_hash, nar_size, references } = Parts::deserialize(deserializer)?;
        match (nar_hash, nar_size, references) {
            (Some(Hash(nar_hash)), Some(nar_size), Some(references)) => {
                Ok(Some(Contents { nar_hash, nar_size, references }))
            }
            (None, None, None) => Ok(None),
            _ => Err(serde::de::Error::custom(
                "nar_hash, nar_size and references stand together or not at all",
            )),
        }
    }
}
