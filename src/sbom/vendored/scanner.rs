//! The visitor: takes one file after another and keeps what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use super::detect::{self, CRATE, Format};
use super::package::{Digest, DigestKind, Ecosystem, Package, Scope};
use super::statement::{MAX_STATEMENT, ReadError, Statements, string};
use super::{
    Evidence, Inventory, LookedAt, Technique, Unread, Vendored, go_program, maven, rust_program,
};
use crate::nix::json;

/// Bytes of a program, which is held whole while it is looked into. The
/// largest genuine ones of Go and Rust have some 200 million.
pub const MAX_PROGRAM: u64 = 512 << 20;

/// Dependencies of one object. The largest genuine trees have some ten
/// thousand.
const MAX_FOUND: usize = 500_000;

/// Statements kept for each dependency, those first by name: a repository of a
/// thousand projects names its common ones a thousand times.
const MAX_EVIDENCE: usize = 64;

/// Files that could not be read and are named.
const MAX_UNREAD: usize = 10_000;

/// Where a file lies.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The archives around it as they are shown: empty, or ending in `!/`.
    pub outer: &'a str,
    /// Its path within the object or the innermost archive.
    pub path: &'a str,
    /// How many archives lie around it; one that is the object itself does not
    /// count.
    pub nested: usize,
}

impl Place<'_> {
    /// As it is shown.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{}{}", self.outer, self.path)
    }
}

/// What makes two statements be about the same dependency.
type Key = (Ecosystem, String, Option<String>, Option<String>);

/// What is known of a dependency so far.
struct Gathered {
    package: Package,
    evidence: BTreeSet<Evidence>,
}

/// Collects what files say. See [`super`].
#[derive(Default)]
pub struct Scanner {
    found: BTreeMap<Key, Gathered>,
    unread: BTreeSet<Unread>,
    looked_at: LookedAt,
    /// Directories with a `.cargo-checksum.json`, and the crate's digest.
    crate_directories: BTreeMap<String, Option<Digest>>,
    /// `Cargo.toml`s whose directory may turn out to be one of those.
    crates: BTreeMap<String, (String, Result<Package, ReadError>)>,
    full: bool,
}

impl Scanner {
    /// One that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at a file. What is not wanted is not read; `source` may be left
    /// anywhere. `size` is how long the file is said to be.
    ///
    /// # Errors
    /// Those of `source`.
    pub fn file(&mut self, place: &Place<'_>, size: u64, source: &mut dyn Read) -> io::Result<()> {
        self.looked_at.files = self.looked_at.files.saturating_add(1);
        if let Some(package) = maven::in_repository(place.path) {
            self.add(place, "Maven repository", Technique::Present, package);
        }
        let name = place.path.rsplit('/').next().unwrap_or_default();
        if name == ".cargo-checksum.json" {
            return self.crate_directory(place, source);
        }
        match detect::format_of(place.path, place.nested) {
            Some(format) if detect::is_second_hand(format, place.path, place.nested) => {
                self.looked_at.second_hand = self.looked_at.second_hand.saturating_add(1);
                Ok(())
            }
            Some(format) => self.statement(place, format, size, source),
            None => self.program(place, size, source),
        }
    }

    /// Notes that something should have been read and was not.
    pub fn unread(&mut self, place: String, format: &'static str, reason: String) {
        if self.unread.len() < MAX_UNREAD {
            self.unread.insert(Unread { place, format, reason });
        }
    }

    /// Notes that an archive is looked into.
    pub const fn archive(&mut self) {
        self.looked_at.archives = self.looked_at.archives.saturating_add(1);
    }

    fn statement(
        &mut self,
        place: &Place<'_>,
        format: &'static Format,
        size: u64,
        source: &mut dyn Read,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        source.take(MAX_STATEMENT.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() > usize::try_from(MAX_STATEMENT).unwrap_or(usize::MAX) {
            let reason = format!("it has {size} bytes (read are at most {MAX_STATEMENT})");
            self.unread(place.shown(), format.name, reason);
            return Ok(());
        }
        let mut out = Statements::new(format.technique);
        let read = (format.read)(&bytes, &mut out);
        if std::ptr::eq(format, &raw const CRATE) {
            self.crate_manifest(place, read.map(|()| out.packages.pop()));
            return Ok(());
        }
        self.looked_at.statements = self.looked_at.statements.saturating_add(1);
        let foreign = format.ambiguous && out.packages.is_empty();
        self.take(place, format.name, out, if foreign { Ok(()) } else { read });
        Ok(())
    }

    /// Takes what was read, and what was wrong with it.
    fn take(
        &mut self,
        place: &Place<'_>,
        format: &'static str,
        out: Statements,
        read: Result<(), ReadError>,
    ) {
        for flaw in out.flaws.into_iter().chain(read.err()) {
            self.unread(place.shown(), format, flaw.to_string());
        }
        for package in out.packages {
            self.add(place, format, out.technique, package);
        }
    }

    fn program(&mut self, place: &Place<'_>, size: u64, source: &mut dyn Read) -> io::Result<()> {
        let mut head = Vec::new();
        source.take(4).read_to_end(&mut head)?;
        if !is_program(&head) {
            return Ok(());
        }
        self.looked_at.binaries = self.looked_at.binaries.saturating_add(1);
        let mut bytes = head;
        source.take(MAX_PROGRAM).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_PROGRAM {
            let reason = format!("it has {size} bytes (read are at most {MAX_PROGRAM})");
            self.unread(place.shown(), "program", reason);
            return Ok(());
        }
        let mut out = Statements::new(Technique::Embedded);
        let read = rust_program::read(&bytes, &mut out).map(drop);
        self.take(place, "cargo-auditable", out, read);
        let mut out = Statements::new(Technique::Embedded);
        let read = go_program::read(&bytes, &mut out).map(drop);
        self.take(place, "Go build information", out, read);
        Ok(())
    }

    fn add(
        &mut self,
        place: &Place<'_>,
        format: &'static str,
        technique: Technique,
        package: Package,
    ) {
        let unpinned = technique == Technique::Locked && package.version.is_none();
        let technique = if unpinned { Technique::Declared } else { technique };
        let confidence = technique.confidence();
        let aside = technique != Technique::Embedded && detect::is_aside(place.path);
        let evidence = Evidence {
            place: place.shown(),
            format,
            technique,
            confidence: if aside { confidence.aside() } else { confidence },
        };
        let origin = package.vcs.clone().or_else(|| package.registry.clone());
        let key = (package.ecosystem, package.name.clone(), package.version.clone(), origin);
        if !self.found.contains_key(&key) && self.found.len() >= MAX_FOUND {
            if !self.full {
                self.full = true;
                let reason = format!("more than {MAX_FOUND} dependencies (a limit of this tool)");
                self.unread(place.shown(), format, reason);
            }
            return;
        }
        let gathered = self.found.entry(key).or_insert_with(|| Gathered {
            package: Package { scope: Scope::Unstated, ..package.clone() },
            evidence: BTreeSet::new(),
        });
        gathered.package.scope = gathered.package.scope.max(package.scope);
        gathered.package.digests.extend(package.digests);
        gathered.package.sources.extend(package.sources);
        gathered.evidence.insert(evidence);
        if gathered.evidence.len() > MAX_EVIDENCE {
            gathered.evidence.pop_last();
        }
    }

    /// A directory that `cargo vendor` made.
    fn crate_directory(&mut self, place: &Place<'_>, source: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        source.take(MAX_STATEMENT).read_to_end(&mut bytes)?;
        let root = json::parse(&bytes).map(|document| document.root).ok();
        let digits = root.as_ref().and_then(|root| string(root, "package"));
        let digest = digits.and_then(|digits| Digest::from_hex(DigestKind::Sha256, digits));
        if self.crate_directories.len() < MAX_FOUND {
            self.crate_directories.insert(directory_of(&place.shown()).to_owned(), digest);
        }
        Ok(())
    }

    /// A `Cargo.toml`, which counts at the top of a crate's archive, else once
    /// its directory turns out to be one that `cargo vendor` made.
    fn crate_manifest(&mut self, place: &Place<'_>, read: Result<Option<Package>, ReadError>) {
        let read = match read {
            Ok(Some(package)) => Ok(package),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        if place.nested > 0 {
            let Ok(package) = read else { return };
            let version = package.version.as_deref().unwrap_or_default();
            let top = format!("{}-{version}/Cargo.toml", package.name);
            if place.path == top {
                self.looked_at.statements = self.looked_at.statements.saturating_add(1);
                self.add(place, CRATE.name, CRATE.technique, package);
            }
            return;
        }
        if self.crates.len() < MAX_FOUND {
            let directory = directory_of(&place.shown()).to_owned();
            self.crates.insert(directory, (place.shown(), read));
        }
    }

    /// What all files together said.
    #[must_use]
    pub fn finish(mut self) -> Inventory {
        for (directory, (shown, read)) in std::mem::take(&mut self.crates) {
            let Some(digest) = self.crate_directories.get(&directory) else { continue };
            self.looked_at.statements = self.looked_at.statements.saturating_add(1);
            match read {
                Ok(mut package) => {
                    package.digests.extend(digest.clone());
                    let place = Place { outer: "", path: &shown, nested: 0 };
                    self.add(&place, CRATE.name, CRATE.technique, package);
                }
                Err(error) => self.unread(shown, CRATE.name, error.to_string()),
            }
        }
        let directories = std::mem::take(&mut self.crate_directories);
        let second_hand = |evidence: &Evidence| {
            !matches!(evidence.technique, Technique::Present | Technique::Embedded)
                && lies_below(&evidence.place, &directories)
        };
        let mut second_hand_places = BTreeSet::new();
        let mut found: Vec<Vendored> = Vec::new();
        for gathered in self.found.into_values() {
            let (dropped, evidence): (Vec<_>, Vec<_>) = gathered
                .evidence
                .into_iter()
                .partition(|evidence| !directories.is_empty() && second_hand(evidence));
            second_hand_places.extend(dropped.into_iter().map(|evidence| evidence.place));
            if !evidence.is_empty() {
                found.push(vendored(gathered.package, evidence));
            }
        }
        let places = u64::try_from(second_hand_places.len()).unwrap_or(u64::MAX);
        self.looked_at.second_hand = self.looked_at.second_hand.saturating_add(places);
        let unread = self.unread.into_iter().filter(|unread| {
            !detect::is_of_projects(unread.format) || !lies_below(&unread.place, &directories)
        });
        Inventory { found, unread: unread.collect(), looked_at: self.looked_at }
    }
}

fn vendored(package: Package, evidence: Vec<Evidence>) -> Vendored {
    Vendored {
        purl: package.purl(),
        ecosystem: package.ecosystem,
        name: package.name,
        version: package.version,
        digests: package.digests,
        sources: package.sources,
        scope: package.scope,
        evidence,
    }
}

/// Whether a file lies in a directory that `cargo vendor` made.
fn lies_below(place: &str, directories: &BTreeMap<String, Option<Digest>>) -> bool {
    place
        .match_indices('/')
        .any(|(at, _)| place.get(..at).is_some_and(|directory| directories.contains_key(directory)))
}

/// What stands before the last slash.
fn directory_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// Whether a file begins as programs and libraries do: ELF, PE, Mach-O of
/// either byte order and width, and Mach-O of several processors.
fn is_program(head: &[u8]) -> bool {
    const MACH_O: [&[u8]; 5] = [
        b"\xfe\xed\xfa\xce",
        b"\xfe\xed\xfa\xcf",
        b"\xce\xfa\xed\xfe",
        b"\xcf\xfa\xed\xfe",
        b"\xca\xfe\xba\xbe",
    ];
    head == b"\x7fELF" || head.starts_with(b"MZ") || MACH_O.contains(&head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(files: &[(&str, usize, &[u8])]) -> Inventory {
        let mut scanner = Scanner::new();
        for (path, nested, bytes) in files {
            let place = Place { outer: "", path, nested: *nested };
            let size = u64::try_from(bytes.len()).unwrap();
            scanner.file(&place, size, &mut &**bytes).unwrap();
        }
        scanner.finish()
    }

    fn shown(inventory: &Inventory) -> Vec<(String, u8)> {
        let one = |one: &Vendored| (one.purl.clone().unwrap(), one.confidence().percent());
        inventory.found.iter().map(one).collect()
    }

    const LOCK: &[u8] =
        br#"{"lockfileVersion":3,"packages":{"node_modules/a":{"version":"1.0.0"}}}"#;

    #[test]
    fn statements_about_one_dependency_are_joined() {
        let inventory = scan(&[
            ("package-lock.json", 0, LOCK),
            ("tests/package-lock.json", 0, LOCK),
            ("node_modules/a/package.json", 0, br#"{"name":"a","version":"1.0.0"}"#),
            ("node_modules/b/yarn.lock", 0, b"nonsense"),
            ("README", 0, b"text"),
        ]);
        assert_eq!(shown(&inventory), [("pkg:npm/a@1.0.0".to_owned(), 90)]);
        let confidence: Vec<_> =
            inventory.found[0].evidence.iter().map(|one| one.confidence.percent()).collect();
        assert_eq!(confidence, [90, 80, 40]);
        assert!(inventory.is_complete());
        let expected = LookedAt { files: 5, statements: 3, second_hand: 1, ..Default::default() };
        assert_eq!(inventory.looked_at, expected);
    }

    #[test]
    fn vendored_crates_count_and_their_own_locks_do_not() {
        let sum = "a".repeat(64);
        let checksum = format!(r#"{{"files":{{}},"package":"{sum}"}}"#);
        let manifest = b"[package]\nname='a'\nversion='1.0.0'\n";
        let lock = b"[[package]]\nname='b'\nversion='1.0.0'\nsource='registry+https://github.com/rust-lang/crates.io-index'\n";
        let inventory = scan(&[
            ("vendor/a/Cargo.toml", 0, manifest),
            ("vendor/a/.cargo-checksum.json", 0, checksum.as_bytes()),
            ("vendor/a/Cargo.lock", 0, lock),
            ("vendor/a/sub/yarn.lock", 0, b"nonsense"),
            ("own/Cargo.toml", 0, manifest),
            ("template/Cargo.toml", 0, b"{{nonsense}}"),
        ]);
        assert_eq!(shown(&inventory), [("pkg:cargo/a@1.0.0".to_owned(), 90)]);
        assert_eq!(inventory.found[0].digests.first().unwrap().value, sum);
        assert!(inventory.is_complete(), "{:?}", inventory.unread);
        let packed = scan(&[("a-1.0.0/Cargo.toml", 1, manifest), ("b/Cargo.toml", 1, manifest)]);
        assert_eq!(packed.found.len(), 1);
        assert_eq!(packed.found[0].evidence.len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let inventory = scan(&[
            ("Cargo.lock", 0, b"<<<<<<< HEAD"),
            ("a/package-lock.json", 0, b"{"),
            ("requirements.txt", 0, b"These are the requirements: none.\n"),
        ]);
        let places: Vec<_> = inventory.unread.iter().map(|one| one.place.as_str()).collect();
        assert_eq!(places, ["Cargo.lock", "a/package-lock.json"]);
        assert!(!inventory.is_complete());
    }

    #[test]
    fn the_order_of_files_does_not_matter() {
        let files: Vec<(String, Vec<u8>)> =
            (0..100).map(|n| (format!("p{n}/package-lock.json"), LOCK.to_vec())).collect();
        let borrowed: Vec<(&str, usize, &[u8])> =
            files.iter().map(|(path, bytes)| (path.as_str(), 0, bytes.as_slice())).collect();
        let backwards: Vec<_> = borrowed.iter().rev().copied().collect();
        assert_eq!(scan(&borrowed), scan(&backwards));
        assert_eq!(scan(&borrowed).found[0].evidence.len(), MAX_EVIDENCE);
    }
}
