//! Java with Gradle: `gradle.lockfile`, `gradle/verification-metadata.xml`, and
//! the list of files that nixpkgs fetches for Gradle.
//!
//! Follows <https://docs.gradle.org/current/userguide/dependency_locking.html>,
//! `.../dependency_verification.html` and nixpkgs' `doc/languages-frameworks/gradle.section.md`.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::package::{Digest, DigestKind, Ecosystem, Package, Scope};
use super::statement::{ReadError, Statements, string, text};

/// Reads a `gradle.lockfile`: `group:artifact:version=configuration,...`.
///
/// # Errors
/// See [`ReadError`].
pub fn lock(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    for (at, line) in text(bytes)?.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || line.starts_with("empty=") {
            continue;
        }
        // In the older form a file stands for one configuration.
        let (coordinates, configurations) = line.split_once('=').unwrap_or((line, ""));
        let Some(mut package) = artifact(coordinates) else {
            let expected = "'group:artifact:version=configurations'";
            return Err(ReadError::Line { line: at.saturating_add(1), expected });
        };
        let mut names = configurations.split(',').map(str::to_ascii_lowercase);
        let tests = |name: String| name.contains("test");
        package.scope = match configurations {
            "" => Scope::Unstated,
            _ if names.all(tests) => Scope::Development,
            _ => Scope::Required,
        };
        out.push(package)?;
    }
    Ok(())
}

/// `group:artifact:version`.
fn artifact(coordinates: &str) -> Option<Package> {
    let (name, version) = coordinates.rsplit_once(':')?;
    let (group, artifact) = name.split_once(':')?;
    let whole = !group.is_empty() && !artifact.is_empty() && !artifact.contains(':');
    (whole && !version.is_empty()).then(|| Package::new(Ecosystem::Maven, name, Some(version)))
}

/// Reads `gradle/verification-metadata.xml`: checksums of all that was ever
/// resolved, plugins and tests included.
///
/// # Errors
/// See [`ReadError`].
pub fn verification(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    let mut reader = Reader::from_str(text(bytes)?);
    let mut known = false;
    let mut current: Option<Package> = None;
    let mut depth = 0_usize;
    loop {
        let event = reader.read_event();
        let offset = reader.buffer_position();
        let bad = |what: String| ReadError::Xml { offset, what };
        let event = event.map_err(|error| bad(error.to_string()))?;
        match &event {
            Event::DocType(_) => {
                return Err(bad("a document type, which no such file has".to_owned()));
            }
            Event::Start(_) => depth = depth.saturating_add(1),
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Eof if depth > 0 => {
                return Err(bad("the file ends within an element".to_owned()));
            }
            Event::Eof if known => return Ok(()),
            Event::Eof => {
                let at = "the file".to_owned();
                return Err(ReadError::Missing { at, what: "'verification-metadata'" });
            }
            _ => {}
        }
        match &event {
            Event::Start(element) | Event::Empty(element) => match element.local_name().as_ref() {
                "verification-metadata" => known = true,
                "component" => {
                    let part = |key: &'static str| {
                        let at = "a component".to_owned();
                        attribute(element, key).ok_or(ReadError::Missing { at, what: key })
                    };
                    let name = format!("{}:{}", part("group")?, part("name")?);
                    let version = part("version")?;
                    let package = Package::new(Ecosystem::Maven, &name, Some(&version));
                    match &event {
                        Event::Empty(_) => out.push(package)?,
                        _ => current = Some(package),
                    }
                }
                name => {
                    let kind = DigestKind::from_name(name);
                    if let (Some(kind), Some(package)) = (kind, &mut current) {
                        let value = attribute(element, "value");
                        package
                            .digests
                            .extend(value.and_then(|value| Digest::from_hex(kind, &value)));
                    }
                }
            },
            Event::End(element) if element.local_name().as_ref() == "component" => {
                current.take().map_or(Ok(()), |package| out.push(package))?;
            }
            _ => {}
        }
    }
}

fn attribute(element: &BytesStart<'_>, key: &str) -> Option<String> {
    let attribute = element.try_get_attribute(key).ok()??;
    Some(attribute.value.into_owned())
}

/// Reads the `deps.json` of nixpkgs' `gradle.fetchDeps`: by the URL of a
/// repository, files by `group#artifact/version`.
///
/// # Errors
/// See [`ReadError`].
pub fn fetched(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    let root = out.json(bytes)?;
    let comment = string(&root, "!comment").unwrap_or_default();
    if !comment.contains("nixpkgs Gradle dependency lockfile") {
        return Ok(()); // Another program's file of that name.
    }
    for repository in root.members().unwrap_or_default() {
        for entry in repository.value.members().unwrap_or_default() {
            let Some((path, files)) = entry.key.split_once('#').and_then(|(group, rest)| {
                let (artifact, version) = rest.split_once('/')?;
                let name = format!("{}:{artifact}", group.replace('/', "."));
                Some((Package::new(Ecosystem::Maven, &name, Some(version)), &entry.value))
            }) else {
                continue;
            };
            let mut package = path;
            for file in files.members().unwrap_or_default() {
                let integrity = file.value.string().unwrap_or_default();
                package.digests.extend(Digest::from_integrity(integrity));
            }
            out.push(package)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Technique;
    use super::*;

    type Read = fn(&[u8], &mut Statements) -> Result<(), ReadError>;

    fn read(read: Read, text: &str) -> Vec<(String, Scope, usize)> {
        let mut out = Statements::new(Technique::Locked);
        read(text.as_bytes(), &mut out).unwrap();
        let one = |one: &Package| (one.purl().unwrap(), one.scope, one.digests.len());
        out.packages.iter().map(one).collect()
    }

    #[test]
    fn locks_with_and_without_configurations() {
        let found = read(
            lock,
            "# note\norg.a:b:1.0=compileClasspath,testRuntimeClasspath\nc:d:2=testCompileClasspath\ne:f:3\nempty=annotationProcessor\n",
        );
        let expected = [
            ("pkg:maven/org.a/b@1.0".to_owned(), Scope::Required, 0),
            ("pkg:maven/c/d@2".to_owned(), Scope::Development, 0),
            ("pkg:maven/e/f@3".to_owned(), Scope::Unstated, 0),
        ];
        assert_eq!(found, expected);
        let mut out = Statements::new(Technique::Locked);
        for bad in ["a:b=x\n", "a::1=x\n", "text\n", "a:b:c:d=x\n"] {
            assert!(lock(bad.as_bytes(), &mut out).is_err(), "{bad}");
        }
    }

    #[test]
    fn verification_with_checksums() {
        let sum = "a".repeat(64);
        let found = read(
            verification,
            &format!(
                "<?xml version='1.0'?><verification-metadata><components><component group='g' name='a' version='1'><artifact name='a.jar'><sha256 value='{sum}' origin='x'/></artifact></component><component group='g' name='b' version='2'/></components></verification-metadata>"
            ),
        );
        let expected = [
            ("pkg:maven/g/a@1".to_owned(), Scope::Unstated, 1),
            ("pkg:maven/g/b@2".to_owned(), Scope::Unstated, 0),
        ];
        assert_eq!(found, expected);
        let mut out = Statements::new(Technique::Mentioned);
        for bad in ["<a/>", "<verification-metadata>", "<!DOCTYPE a><a/>"] {
            assert!(verification(bad.as_bytes(), &mut out).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_of_nixpkgs() {
        let found = read(
            fetched,
            r#"{"!comment":"This is a nixpkgs Gradle dependency lockfile. For more details, refer to the Gradle section in the nixpkgs manual.","!version":1,"https://repo.example.org/maven2":{"com/x#y/1.0":{"jar":"sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","pom":"x"}}}"#,
        );
        assert_eq!(found, [("pkg:maven/com.x/y@1.0".to_owned(), Scope::Unstated, 1)]);
    }
}
