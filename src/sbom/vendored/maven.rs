//! Java with Maven: `pom.xml`, the `pom.properties` that Maven puts into jars,
//! the `lockfile.json` of the maven-lockfile plugin, and the layout of
//! repositories.
//!
//! Follows <https://maven.apache.org/pom.html> as far as one file goes: what a
//! parent or an imported bill of materials says of versions stands elsewhere,
//! so that such a dependency has none here.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::package::{Digest, DigestKind, Ecosystem, Package, Scope};
use super::statement::{ReadError, Statements, string, text};
use crate::nix::json::{Node, Value};

/// Deepest nesting of a `pom.xml`; plugins' configuration nests a few levels.
const MAX_DEPTH: usize = 64;

/// Properties within properties that are followed.
const MAX_PROPERTIES: usize = 8;

/// Bytes that a text may grow to when properties are put in.
const MAX_TEXT: usize = 1024;

/// The elements of a dependency, as they stand.
#[derive(Default, Clone)]
struct Declared {
    group: String,
    artifact: String,
    version: Option<String>,
    scope: Option<String>,
    optional: bool,
}

/// What of a `pom.xml` counts.
#[derive(Default)]
struct Project {
    properties: BTreeMap<String, String>,
    dependencies: Vec<Declared>,
    managed: BTreeMap<(String, String), Declared>,
}

/// Reads a `pom.xml`: what it depends on directly.
///
/// # Errors
/// See [`ReadError`].
pub fn project(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    let project = parse(text(bytes)?)?;
    for declared in &project.dependencies {
        let group = project.resolve(&declared.group);
        let artifact = project.resolve(&declared.artifact);
        let (Some(group), Some(artifact)) = (group, artifact) else {
            let at = format!("the dependency {}:{}", declared.group, declared.artifact);
            out.flaws.push(ReadError::Missing { at, what: "value for its property in this file" });
            continue;
        };
        let managed = project.managed.get(&(declared.group.clone(), declared.artifact.clone()));
        let version = declared.version.as_ref();
        let version = version.or_else(|| managed?.version.as_ref());
        let version = version.and_then(|version| project.resolve(version));
        // '[1,2)' is a range, '[1]' is not.
        let version = version.and_then(|version| exact(&version));
        let scope = declared.scope.as_ref().or_else(|| managed?.scope.as_ref());
        let mut package =
            Package::new(Ecosystem::Maven, &format!("{group}:{artifact}"), version.as_deref());
        package.scope = match scope.map(String::as_str) {
            Some("test") => Scope::Development,
            Some("provided" | "system") => Scope::Build,
            _ if declared.optional => Scope::Optional,
            _ => Scope::Required,
        };
        out.push(package)?;
    }
    Ok(())
}

/// The version of a requirement, if it allows only one.
fn exact(version: &str) -> Option<String> {
    let inner = version.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let version = inner.unwrap_or(version).trim();
    (!version.contains(['[', ']', '(', ')', ','])).then(|| version.to_owned())
}

impl Project {
    /// A text with its `${properties}` put in, if all are known here.
    fn resolve(&self, text: &str) -> Option<String> {
        let mut text = text.to_owned();
        for _ in 0..MAX_PROPERTIES {
            let Some((before, rest)) = text.split_once("${") else { return Some(text) };
            let (name, after) = rest.split_once('}')?;
            text = format!("{before}{}{after}", self.properties.get(name)?);
            (text.len() <= MAX_TEXT).then_some(())?;
        }
        None
    }

    /// Takes the text of an element by the names that lead to it.
    fn take(&mut self, path: &[String], text: &str, current: &mut Declared) {
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        let mut own = |names: &[&str]| {
            for name in names {
                self.properties.insert((*name).to_owned(), text.to_owned());
            }
        };
        match names.as_slice() {
            ["project", "properties", name] => own(&[name]),
            ["project", "version"] => own(&["project.version", "pom.version", "version"]),
            ["project", "groupId"] => own(&["project.groupId", "pom.groupId", "groupId"]),
            ["project", "artifactId"] => own(&["project.artifactId"]),
            ["project", "parent", part @ ("version" | "groupId")] => {
                own(&[&format!("project.parent.{part}")]);
                // Inherited unless the project says otherwise.
                let inherited = format!("project.{part}");
                self.properties.entry(inherited).or_insert_with(|| text.to_owned());
            }
            [.., "dependencies", "dependency", part] => match *part {
                "groupId" => text.clone_into(&mut current.group),
                "artifactId" => text.clone_into(&mut current.artifact),
                "version" => current.version = Some(text.to_owned()),
                "scope" => current.scope = Some(text.to_owned()),
                "optional" => current.optional = text == "true",
                _ => {}
            },
            _ => {}
        }
    }

    /// Takes a dependency whose element ends.
    fn end(&mut self, path: &[String], declared: Declared) {
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        match names.as_slice() {
            ["project", "dependencies", "dependency"] => self.dependencies.push(declared),
            ["project", "dependencyManagement", "dependencies", "dependency"] => {
                let key = (declared.group.clone(), declared.artifact.clone());
                self.managed.insert(key, declared);
            }
            _ => {} // Of a plugin or a profile.
        }
    }
}

fn parse(text: &str) -> Result<Project, ReadError> {
    let mut reader = Reader::from_str(text);
    let mut project = Project::default();
    let mut path: Vec<String> = Vec::new();
    let mut content = String::new();
    let mut current = Declared::default();
    loop {
        let event = reader.read_event();
        let offset = reader.buffer_position();
        let bad = |what: &str| ReadError::Xml { offset, what: what.to_owned() };
        match event.map_err(|error| bad(&error.to_string()))? {
            Event::Start(element) => {
                if path.len() >= MAX_DEPTH {
                    return Err(bad("deeper nesting than any project has"));
                }
                let name = element.local_name();
                path.push(name.as_ref().to_owned());
                if path.last().is_some_and(|name| name == "dependency") {
                    current = Declared::default();
                }
                content.clear();
            }
            Event::Text(text) => content.push_str(&text),
            Event::CData(text) => content.push_str(&text),
            Event::End(_) => {
                project.take(&path, content.trim(), &mut current);
                if path.last().is_some_and(|name| name == "dependency") {
                    project.end(&path, std::mem::take(&mut current));
                }
                path.pop();
                content.clear();
            }
            // Entities of one's own could stand for anything; no project has any.
            Event::DocType(_) => return Err(bad("a document type, which no project has")),
            Event::Eof if path.is_empty() => return Ok(project),
            Event::Eof => return Err(bad("the file ends within an element")),
            _ => {}
        }
    }
}

/// Reads the `pom.properties` of a jar: the artifact itself, and each one that
/// was put into the same jar.
///
/// # Errors
/// See [`ReadError`].
pub fn properties(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    let text = text(bytes)?;
    let value = |key: &'static str| {
        let found = text.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == key).then(|| value.trim())
        });
        found.ok_or_else(|| ReadError::Missing { at: "the file".to_owned(), what: key })
    };
    let name = format!("{}:{}", value("groupId")?, value("artifactId")?);
    out.push(Package::new(Ecosystem::Maven, &name, Some(value("version")?)))
}

/// Reads the `lockfile.json` of the maven-lockfile plugin
/// (<https://github.com/chains-project/maven-lockfile>).
///
/// # Errors
/// See [`ReadError`].
pub fn lock(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    let root = out.json(bytes)?;
    let (Some(dependencies), Some(_)) = (
        root.member("dependencies"),
        root.member("lockFileVersion").or(root.member("lockfileVersion")),
    ) else {
        return Err(ReadError::Missing { at: "the file".to_owned(), what: "'lockFileVersion'" });
    };
    let mut open: Vec<&Node> = vec![dependencies];
    while let Some(Value::Array(nodes)) = open.pop().map(|node| &node.value) {
        for node in nodes {
            open.extend(node.member("children"));
            let part = |key: &'static str| {
                let missing = || ReadError::Missing { at: "a dependency".to_owned(), what: key };
                string(node, key).ok_or_else(missing)
            };
            let name = format!("{}:{}", part("groupId")?, part("artifactId")?);
            let mut package = Package::new(Ecosystem::Maven, &name, Some(part("version")?));
            let kind = string(node, "checksumAlgorithm").and_then(DigestKind::from_name);
            package
                .digests
                .extend(kind.and_then(|kind| Digest::from_hex(kind, string(node, "checksum")?)));
            package
                .sources
                .extend(string(node, "resolved").filter(|url| !url.is_empty()).map(str::to_owned));
            package.scope = match string(node, "scope") {
                Some("test") => Scope::Development,
                Some("provided" | "system") => Scope::Build,
                _ => Scope::Required,
            };
            // Of versions of one artifact Maven takes the one it met first.
            if string(node, "selectedVersion")
                .is_none_or(|selected| Some(selected) == package.version.as_deref())
            {
                out.push(package)?;
            }
        }
    }
    Ok(())
}

/// The artifact that a path in a repository names:
/// `org/slf4j/slf4j-api/2.0.9/slf4j-api-2.0.9.jar` behind `from`.
#[must_use]
pub fn in_repository(path: &str) -> Option<Package> {
    let from = path
        .find(".m2/repository/")
        .map(|at| at.saturating_add(".m2/repository/".len()))
        .or_else(|| path.find("maven-repo/").map(|at| at.saturating_add("maven-repo/".len())))
        .or_else(|| path.starts_with(".m2/").then_some(".m2/".len()))?;
    let (directory, file) = path.get(from..)?.rsplit_once('/')?;
    let (directory, version) = directory.rsplit_once('/')?;
    let (group, artifact) = directory.rsplit_once('/')?;
    let stem = file.strip_suffix(".jar")?;
    let rest = stem.strip_prefix(artifact)?.strip_prefix('-')?.strip_prefix(version)?;
    // A classifier may follow: sources, a platform.
    if !(rest.is_empty() || rest.starts_with('-')) {
        return None;
    }
    let name = format!("{}:{artifact}", group.replace('/', "."));
    Some(Package::new(Ecosystem::Maven, &name, Some(version)))
}

#[cfg(test)]
mod tests {
    use super::super::Technique;
    use super::*;

    fn read(text: &str) -> (Vec<(String, Scope)>, usize) {
        let mut out = Statements::new(Technique::Declared);
        project(text.as_bytes(), &mut out).unwrap();
        let found = out.packages.iter().map(|one| (one.purl().unwrap(), one.scope));
        (found.collect(), out.flaws.len())
    }

    #[test]
    fn direct_dependencies_with_their_properties() {
        let (found, flaws) = read(
            "<?xml version='1.0'?><project xmlns='http://maven.apache.org/POM/4.0.0'><parent><groupId>p</groupId><version>7</version></parent>
             <properties><v>${w}</v><w>1.2</w><loop>${loop}</loop></properties>
             <dependencyManagement><dependencies><dependency><groupId>m</groupId><artifactId>m</artifactId><version>3</version><scope>test</scope></dependency></dependencies></dependencyManagement>
             <dependencies>
               <dependency><groupId>a</groupId><artifactId>b</artifactId><version>${v}</version><exclusions><exclusion><groupId>x</groupId><artifactId>y</artifactId></exclusion></exclusions></dependency>
               <dependency><groupId>${project.groupId}</groupId><artifactId>c</artifactId><version>${project.version}</version><optional>true</optional></dependency>
               <dependency><groupId>m</groupId><artifactId>m</artifactId></dependency>
               <dependency><groupId>r</groupId><artifactId>r</artifactId><version>[1,2)</version><scope>provided</scope></dependency>
               <dependency><groupId>l</groupId><artifactId>l</artifactId><version>${loop}</version></dependency>
               <dependency><groupId>${unknown}</groupId><artifactId>u</artifactId></dependency>
             </dependencies>
             <build><plugins><plugin><dependencies><dependency><groupId>q</groupId><artifactId>q</artifactId></dependency></dependencies></plugin></plugins></build></project>",
        );
        let expected = [
            ("pkg:maven/a/b@1.2".to_owned(), Scope::Required),
            ("pkg:maven/p/c@7".to_owned(), Scope::Optional),
            ("pkg:maven/m/m@3".to_owned(), Scope::Development),
            ("pkg:maven/r/r".to_owned(), Scope::Build),
            ("pkg:maven/l/l".to_owned(), Scope::Required),
        ];
        assert_eq!(found, expected);
        assert_eq!(flaws, 1);
    }

    #[test]
    fn hostile_projects_are_refused() {
        let deep = "<a>".repeat(100);
        for bad in ["<!DOCTYPE p [<!ENTITY a 'b'>]><project/>", "<project>", "<a></b>", &deep] {
            let mut out = Statements::new(Technique::Declared);
            assert!(project(bad.as_bytes(), &mut out).is_err(), "{bad}");
        }
    }

    #[test]
    fn jars_say_what_is_in_them_and_repositories_by_their_layout() {
        let mut out = Statements::new(Technique::Present);
        properties(b"#x\nversion=1\ngroupId=g\nartifactId=a\n", &mut out).unwrap();
        assert_eq!(out.packages[0].purl().unwrap(), "pkg:maven/g/a@1");
        let found = in_repository(".m2/org/x/y/1.0/y-1.0-sources.jar").unwrap();
        assert_eq!(found.purl().unwrap(), "pkg:maven/org.x/y@1.0");
        for other in
            ["org/x/y/1.0/y-1.0.jar", ".m2/x/y/1.0/z-1.0.jar", ".m2/x/y/1/y-10.jar", ".m2/y.jar"]
        {
            assert_eq!(in_repository(other), None, "{other}");
        }
    }

    #[test]
    fn locks_with_children() {
        let mut out = Statements::new(Technique::Locked);
        let text = br#"{"lockFileVersion":1,"dependencies":[{"groupId":"a","artifactId":"b","version":"1","checksumAlgorithm":"SHA-1","checksum":"da39a3ee5e6b4b0d3255bfef95601890afd80709","scope":"test","children":[{"groupId":"c","artifactId":"d","version":"2","scope":"compile","children":[]}]}]}"#;
        lock(text, &mut out).unwrap();
        let found: Vec<_> = out.packages.iter().map(|one| one.purl().unwrap()).collect();
        assert_eq!(found, ["pkg:maven/a/b@1", "pkg:maven/c/d@2"]);
        assert_eq!(out.packages[0].digests.len(), 1);
    }
}
