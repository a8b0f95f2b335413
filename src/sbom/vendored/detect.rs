//! Which files say what is in an object, told by their names.

use super::statement::{ReadError, Statements};
use super::{Technique, cargo, go, gradle, maven, npm, others, pnpm, python, requirements, yarn};

/// A kind of file that names packages.
pub(super) struct Format {
    /// Its usual name.
    pub(super) name: &'static str,
    /// What kind of statements it makes.
    pub(super) technique: Technique,
    /// Reads it.
    pub(super) read: fn(&[u8], &mut Statements) -> Result<(), ReadError>,
    /// Whether its name is in other use too, so that one that cannot be read
    /// was not meant.
    pub(super) ambiguous: bool,
}

impl Format {
    const fn new(
        name: &'static str,
        technique: Technique,
        read: fn(&[u8], &mut Statements) -> Result<(), ReadError>,
    ) -> Self {
        Self { name, technique, read, ambiguous: false }
    }

    const fn ambiguous(mut self) -> Self {
        self.ambiguous = true;
        self
    }
}

use Technique::{Declared, Locked, Mentioned, Present};

/// Files that are known by their whole name.
static NAMED: [Format; 22] = [
    Format::new("Cargo.lock", Locked, cargo::lock),
    Format::new("package-lock.json", Locked, npm::lock),
    Format::new("npm-shrinkwrap.json", Locked, npm::lock),
    Format::new(".package-lock.json", Present, npm::lock),
    Format::new("yarn.lock", Locked, yarn::lock),
    Format::new("pnpm-lock.yaml", Locked, pnpm::lock),
    Format::new("go.mod", Locked, go::module_file),
    Format::new("go.sum", Mentioned, go::sums),
    Format::new("poetry.lock", Locked, python::lock),
    Format::new("uv.lock", Locked, python::lock),
    Format::new("pdm.lock", Locked, python::lock),
    Format::new("pylock.toml", Locked, python::lock),
    Format::new("Pipfile.lock", Locked, python::pipfile_lock),
    Format::new("pom.xml", Declared, maven::project),
    Format::new("lockfile.json", Locked, maven::lock).ambiguous(),
    Format::new("gradle.lockfile", Locked, gradle::lock),
    Format::new("buildscript-gradle.lockfile", Locked, gradle::lock),
    Format::new("deps.json", Locked, gradle::fetched).ambiguous(),
    Format::new("composer.lock", Locked, others::composer),
    Format::new("Gemfile.lock", Locked, others::bundler),
    Format::new("packages.lock.json", Locked, others::nuget),
    Format::new("pubspec.lock", Locked, others::dart),
];

static PYLOCK: Format = Format::new("pylock.toml", Locked, python::lock);
static REQUIREMENTS: Format =
    Format::new("requirements.txt", Locked, requirements::read).ambiguous();
static MODULES: Format = Format::new("vendor/modules.txt", Present, go::vendored);
static VERIFICATION: Format =
    Format::new("verification-metadata.xml", Mentioned, gradle::verification);
static DEPENDENCY_LOCKS: Format = Format::new("gradle.lockfile", Locked, gradle::lock);
static GEMS: Format = Format::new("Gemfile.lock", Locked, others::bundler);
static NODE_MODULE: Format = Format::new("package.json", Present, npm::manifest);
static DISTRIBUTION: Format = Format::new("METADATA", Present, python::metadata);
static JAR: Format = Format::new("pom.properties", Present, maven::properties);
/// Counts only beside a `.cargo-checksum.json`, or at the top of an archive.
pub(super) static CRATE: Format = Format::new("Cargo.toml", Present, cargo::manifest).ambiguous();

/// The format of the file at a path within an object or an archive in it.
/// `nested` is how many archives lie around it, the object itself apart.
pub(super) fn format_of(path: &str, nested: usize) -> Option<&'static Format> {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = directory.rsplit('/').next().unwrap_or_default();
    match name {
        "package.json" => {
            let packed = nested > 0 && directory == "package";
            return (packed || is_node_module(directory)).then_some(&NODE_MODULE);
        }
        "Cargo.toml" => return Some(&CRATE),
        "METADATA" if parent.ends_with(".dist-info") => return Some(&DISTRIBUTION),
        "PKG-INFO" if parent.ends_with(".egg-info") => return Some(&DISTRIBUTION),
        "pom.properties" if directory.contains("META-INF/maven/") => return Some(&JAR),
        // What a jar was made from, not what is in it.
        "pom.xml" if directory.contains("META-INF/maven/") => return None,
        "modules.txt" if parent == "vendor" || path == name => return Some(&MODULES),
        "verification-metadata.xml" if parent == "gradle" => return Some(&VERIFICATION),
        "gems.locked" => return Some(&GEMS),
        _ => {}
    }
    if name.ends_with(".egg-info") && parent == "site-packages" {
        return Some(&DISTRIBUTION);
    }
    if name.ends_with(".lockfile") && parent == "dependency-locks" {
        return Some(&DEPENDENCY_LOCKS);
    }
    if name.starts_with("pylock.") && name.ends_with(".toml") {
        return Some(&PYLOCK);
    }
    let text = name.strip_suffix(".txt");
    if text.is_some_and(|stem| {
        stem.starts_with("requirements")
            || stem.ends_with("requirements")
            || parent == "requirements"
    }) {
        return Some(&REQUIREMENTS);
    }
    NAMED.iter().find(|format| format.name == name)
}

/// Whether a directory is that of an installed package:
/// `node_modules/name` or `node_modules/@scope/name`.
fn is_node_module(directory: &str) -> bool {
    let mut parts = directory.rsplit('/');
    let (name, above, further) = (parts.next(), parts.next(), parts.next());
    let Some(name) = name.filter(|name| !name.starts_with(['.', '@'])) else { return false };
    match above {
        Some("node_modules") => !name.is_empty(),
        Some(scope) if scope.starts_with('@') => further == Some("node_modules"),
        _ => false,
    }
}

/// Whether a file says what a dependency was itself developed with: nobody who
/// installs the dependency reads that.
pub(super) fn is_second_hand(format: &Format, path: &str, nested: usize) -> bool {
    if format.technique == Present {
        return false;
    }
    let within = |directory: &str| path.split('/').rev().skip(1).any(|part| part == directory);
    let go = format.name.starts_with("go.");
    nested > 0 || within("node_modules") || within("site-packages") || (go && within("vendor"))
}

/// Whether a format is one that a project says with what it depends on.
pub(super) fn is_of_projects(name: &str) -> bool {
    let named = NAMED.iter().filter(|format| format.technique != Present);
    named.chain([&REQUIREMENTS, &VERIFICATION]).any(|format| format.name == name)
}

/// Whether a path leads among tests, examples or documentation.
pub(super) fn is_aside(path: &str) -> bool {
    const ASIDE: [&str; 18] = [
        "test",
        "tests",
        "testdata",
        "test-data",
        "test_data",
        "__tests__",
        "fixtures",
        "fixture",
        "e2e",
        "example",
        "examples",
        "sample",
        "samples",
        "demo",
        "bench",
        "benches",
        "doc",
        "docs",
    ];
    path.split('/').rev().skip(1).any(|part| ASIDE.contains(&part.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(path: &str, nested: usize) -> Option<&'static str> {
        format_of(path, nested).map(|format| format.name)
    }

    #[test]
    fn files_are_told_by_name_and_place() {
        for (path, expected) in [
            ("Cargo.lock", Some("Cargo.lock")),
            ("src/Cargo.lock", Some("Cargo.lock")),
            ("Cargo.lock.orig", None),
            ("package.json", None),
            ("node_modules/a/package.json", Some("package.json")),
            ("x/node_modules/@s/a/package.json", Some("package.json")),
            ("node_modules/a/lib/package.json", None),
            ("node_modules/@s/package.json", None),
            ("node_modules/.bin/package.json", None),
            ("modules.txt", Some("vendor/modules.txt")),
            ("a/vendor/modules.txt", Some("vendor/modules.txt")),
            ("a/modules.txt", None),
            ("x-1.dist-info/METADATA", Some("METADATA")),
            ("METADATA", None),
            ("dev-requirements.txt", Some("requirements.txt")),
            ("requirements/base.txt", Some("requirements.txt")),
            ("base.txt", None),
            ("pylock.dev.toml", Some("pylock.toml")),
            ("META-INF/maven/g/a/pom.xml", None),
            ("META-INF/maven/g/a/pom.properties", Some("pom.properties")),
        ] {
            assert_eq!(name(path, 0), expected, "{path}");
        }
        assert_eq!(name("package/package.json", 1), Some("package.json"));
        assert_eq!(name("package/package.json", 0), None);
    }

    #[test]
    fn what_dependencies_were_developed_with_is_second_hand() {
        let second =
            |path: &str, nested| is_second_hand(format_of(path, nested).unwrap(), path, nested);
        assert!(!second("a/yarn.lock", 0));
        assert!(second("a/yarn.lock", 1));
        assert!(second("node_modules/a/yarn.lock", 0));
        assert!(!second("node_modules/.package-lock.json", 0));
        assert!(second("vendor/h/x/go.mod", 0));
        assert!(!second("vendor/x/Cargo.lock", 0));
        assert!(is_aside("a/Tests/x/go.mod") && !is_aside("tests") && !is_aside("contest/go.mod"));
    }
}
