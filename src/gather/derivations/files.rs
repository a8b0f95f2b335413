//! Derivations by store path: from directories the user named, the local
//! store, or caches. A file counts only if its bytes make the path it was asked
//! by.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::gather::derivations::cache::{DrvCache, Served};
use crate::gather::store::local::LocalStore;
use crate::nix::content_address::ContentAddressError;
use crate::nix::derivation::aterm::MAX_DRV_LEN;
use crate::nix::derivation::{Derivation, DerivationError, Output, name_of};
use crate::nix::store_path::{StoreDir, StorePath};

/// Why a derivation could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DrvFileError {
    /// It is in none of the places.
    #[error("{path} is in none of: {places} (name its directory with --drv-dir)")]
    Missing {
        /// The path asked for.
        path: StorePath,
        /// Where it was looked for.
        places: String,
    },
    /// The file.
    #[error("{}: {source}", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that is no regular file.
    #[error("{} is not a regular file", .0.display())]
    NotRegular(PathBuf),
    /// The content is not what Nix would write.
    #[error("{}: {source}", .file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: DerivationError,
    },
    /// The content makes another path.
    #[error("{} has the content of {computed}, not of {asked}", .file.display())]
    OtherPath {
        /// The file.
        file: PathBuf,
        /// The path asked for.
        asked: StorePath,
        /// The path its bytes make.
        computed: StorePath,
    },
    /// The name does not end in `.drv`, or the path cannot be computed.
    #[error("{}: the name is not that of a derivation (expected NAME.drv)", .0.display())]
    Name(PathBuf),
    /// No path can be made of the content.
    #[error("{}: no store path can be made: {source}", .file.display())]
    Path {
        /// The file.
        file: PathBuf,
        /// Why.
        source: ContentAddressError,
    },
}

impl DrvFileError {
    /// Whether a file that is there could not be read, so that nothing is known
    /// about what it says.
    #[must_use]
    pub const fn is_unreadable(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::NotRegular(_) | Self::Name(_))
    }

    /// Whether the content is of a kind that Nix knows as an experiment and
    /// that is unsupported.
    #[must_use]
    pub const fn is_experimental(&self) -> bool {
        matches!(self, Self::Malformed { source, .. } if source.is_experimental())
    }
}

/// Where derivations are looked for.
#[derive(Debug, Clone)]
pub struct DrvFiles<'a> {
    store_dir: StoreDir,
    directories: Vec<PathBuf>,
    local: Option<Arc<LocalStore>>,
    caches: Option<&'a DrvCache<'a>>,
}

impl<'a> DrvFiles<'a> {
    /// Nowhere yet.
    #[must_use]
    pub const fn new(store_dir: StoreDir) -> Self {
        Self { store_dir, directories: Vec::new(), local: None, caches: None }
    }

    /// Also looks in `directory`, after those added before.
    pub fn add_directory(&mut self, directory: &Path) {
        if !self.directories.iter().any(|known| known == directory) {
            self.directories.push(directory.to_owned());
        }
    }

    /// Also looks in caches, last.
    pub const fn add_caches(&mut self, caches: &'a DrvCache<'a>) {
        self.caches = Some(caches);
    }

    /// Also looks in the local store, after all directories.
    pub fn add_local_store(&mut self, store: Arc<LocalStore>) {
        self.local = Some(store);
    }

    /// Reads the derivation whose file has this path.
    ///
    /// # Errors
    /// When it is nowhere, or where it is found it is not that derivation.
    pub fn load(&self, path: &StorePath) -> Result<Derivation, DrvFileError> {
        let base = path.to_string();
        let local = self.local.iter().map(|store| store.host_path(path));
        for file in self.directories.iter().map(|directory| directory.join(&base)).chain(local) {
            let bytes = match read(&file) {
                Ok(bytes) => bytes,
                Err(DrvFileError::Io { source, .. })
                    if matches!(
                        source.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                    ) =>
                {
                    continue;
                }
                Err(error) => return Err(error),
            };
            return self.check(&file, path, &bytes);
        }
        let mut places = self.places();
        if let Some(caches) = self.caches {
            let parse = |served: &Served| {
                let file = Path::new(&served.cache).join(&base);
                self.check(&file, path, &served.bytes).map_err(|error| error.to_string())
            };
            match caches.load(path, parse) {
                Ok(derivation) => return Ok(derivation),
                Err(tried) => places.extend(tried),
            }
        }
        let places =
            if places.is_empty() { "no directory at all".to_owned() } else { places.join(", ") };
        Err(DrvFileError::Missing { path: path.clone(), places })
    }

    /// The derivations in `directories` that state an output of that path,
    /// whatever else they say. For when nobody knows what made an output.
    #[must_use]
    pub fn stating(
        &self,
        outputs: &BTreeSet<StorePath>,
        directories: &[PathBuf],
    ) -> BTreeMap<StorePath, StorePath> {
        let mut found = BTreeMap::new();
        let listed = directories.iter().filter_map(|directory| directory.read_dir().ok());
        let mut names: Vec<PathBuf> =
            listed.flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
        names.sort();
        for file in names {
            let Some(Ok(path)) =
                file.file_name().and_then(|name| name.to_str()).map(str::parse::<StorePath>)
            else {
                continue;
            };
            if !path.is_derivation() {
                continue;
            }
            let Ok(derivation) = read(&file).and_then(|bytes| self.parse(&file, &bytes)) else {
                continue;
            };
            for output in derivation.outputs.values().filter_map(Output::path) {
                if outputs.contains(output) {
                    found.entry(output.clone()).or_insert_with(|| path.clone());
                }
            }
        }
        found
    }

    /// Reads a file that the user named. Named as in a store, its content must
    /// make that path; named `NAME.drv` otherwise, its path is computed.
    ///
    /// # Errors
    /// When it cannot be read, is malformed, or is of another path.
    pub fn load_file(&self, file: &Path) -> Result<(StorePath, Derivation), DrvFileError> {
        let bytes = read(file)?;
        let base = file.file_name().and_then(|name| name.to_str());
        let base = base.ok_or_else(|| DrvFileError::Name(file.to_owned()))?;
        if let Ok(path) = base.parse::<StorePath>() {
            let derivation = self.check(file, &path, &bytes)?;
            return Ok((path, derivation));
        }
        let name = base.strip_suffix(".drv");
        let name = name.ok_or_else(|| DrvFileError::Name(file.to_owned()))?;
        let derivation = self.parse(file, &bytes)?;
        let path = self.path_of(file, &derivation, name)?;
        Ok((path, derivation))
    }

    fn parse(&self, file: &Path, bytes: &[u8]) -> Result<Derivation, DrvFileError> {
        Derivation::parse(bytes, &self.store_dir)
            .map_err(|source| DrvFileError::Malformed { file: file.to_owned(), source })
    }

    fn path_of(
        &self,
        file: &Path,
        derivation: &Derivation,
        name: &str,
    ) -> Result<StorePath, DrvFileError> {
        derivation
            .drv_path(name, &self.store_dir)
            .map_err(|source| DrvFileError::Path { file: file.to_owned(), source })
    }

    fn check(
        &self,
        file: &Path,
        asked: &StorePath,
        bytes: &[u8],
    ) -> Result<Derivation, DrvFileError> {
        let name = name_of(asked).ok_or_else(|| DrvFileError::Name(file.to_owned()))?;
        let derivation = self.parse(file, bytes)?;
        let computed = self.path_of(file, &derivation, name)?;
        if computed != *asked {
            let (file, asked) = (file.to_owned(), asked.clone());
            return Err(DrvFileError::OtherPath { file, asked, computed });
        }
        Ok(derivation)
    }

    fn places(&self) -> Vec<String> {
        let local =
            self.local.iter().map(|store| format!("the store at {}", store.root().display()));
        self.directories
            .iter()
            .map(|directory| directory.display().to_string())
            .chain(local)
            .collect()
    }
}

/// Reads one file, up to what a derivation may have.
fn read(file: &Path) -> Result<Vec<u8>, DrvFileError> {
    let failed = |source| DrvFileError::Io { file: file.to_owned(), source };
    // Without blocking: opening a fifo would wait for a writer.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let opened = File::options().read(true).custom_flags(flags).open(file).map_err(failed)?;
    if !opened.metadata().map_err(failed)?.is_file() {
        return Err(DrvFileError::NotRegular(file.to_owned()));
    }
    // One byte more, so that the parser says that it is too long.
    let cap = u64::try_from(MAX_DRV_LEN).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    opened.take(cap).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked example A of the formats: two derivations by their real names.
    const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/quickstart");

    fn files() -> (DrvFiles<'static>, StorePath, PathBuf) {
        let mut files = DrvFiles::new(StoreDir::default());
        files.add_directory(Path::new(DIRECTORY));
        let file = std::fs::read_dir(DIRECTORY)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|extension| extension == "drv"))
            .unwrap();
        let path = file.file_name().unwrap().to_str().unwrap().parse().unwrap();
        (files, path, file)
    }

    #[test]
    fn genuine_files_are_read() {
        let (files, path, file) = files();
        let derivation = files.load(&path).unwrap();
        assert_eq!(files.load_file(&file).unwrap(), (path.clone(), derivation.clone()));
        let other = tempfile::tempdir().unwrap();
        let renamed = other.path().join(path.name());
        std::fs::copy(&file, &renamed).unwrap();
        assert_eq!(files.load_file(&renamed).unwrap(), (path, derivation));
    }

    #[test]
    fn another_content_under_the_name_is_refused() {
        let (_, path, file) = files();
        let directory = tempfile::tempdir().unwrap();
        let mut files = DrvFiles::new(StoreDir::default());
        files.add_directory(directory.path());
        let error = files.load(&path).unwrap_err();
        assert!(matches!(error, DrvFileError::Missing { .. }), "{error}");

        let target = directory.path().join(path.to_string());
        let text = String::from_utf8(std::fs::read(&file).unwrap()).unwrap();
        std::fs::write(&target, text.replacen("x86_64-linux", "i686-linux", 1)).unwrap();
        let error = files.load(&path).unwrap_err();
        assert!(matches!(error, DrvFileError::OtherPath { .. }), "{error}");
        std::fs::write(&target, format!("{text}\n")).unwrap();
        let error = files.load(&path).unwrap_err();
        assert!(matches!(error, DrvFileError::Malformed { .. }), "{error}");

        std::fs::remove_file(&target).unwrap();
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &target, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let error = files.load(&path).unwrap_err();
        assert!(matches!(error, DrvFileError::NotRegular(_)), "{error}");
        assert!(matches!(files.load_file(Path::new("/etc/passwd")), Err(DrvFileError::Name(_))));
    }
}
