//! Lock files that take a few lines each: PHP's `composer.lock`, Ruby's
//! `Gemfile.lock`, .NET's `packages.lock.json`, Dart's `pubspec.lock`.

use super::package::{Digest, DigestKind, Ecosystem, Package, Scope};
use super::statement::{ReadError, Statements, string, text, vcs_url};
use super::yaml;
use crate::nix::json::Value;

/// Reads a `composer.lock`
/// (<https://getcomposer.org/doc/01-basic-usage.md#commit-your-composer-lock-file-to-version-control>).
///
/// # Errors
/// See [`ReadError`].
pub fn composer(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    let root = out.json(bytes)?;
    if root.member("packages").is_none() {
        return Err(ReadError::Missing { at: "the file".to_owned(), what: "'packages'" });
    }
    for (key, scope) in [("packages", Scope::Required), ("packages-dev", Scope::Development)] {
        let Some(Value::Array(packages)) = root.member(key).map(|node| &node.value) else {
            continue;
        };
        for node in packages {
            let missing = |what| ReadError::Missing { at: "a package".to_owned(), what };
            let name = string(node, "name").ok_or_else(|| missing("'name'"))?;
            let version = string(node, "version").ok_or_else(|| missing("'version'"))?;
            let mut package = Package::new(Ecosystem::Composer, name, Some(version)).needed(scope);
            if let Some(dist) = node.member("dist") {
                if string(dist, "type") == Some("path") {
                    continue;
                }
                package.sources.extend(string(dist, "url").map(str::to_owned));
                let sum = string(dist, "shasum");
                package.digests.extend(sum.and_then(|sum| Digest::from_hex(DigestKind::Sha1, sum)));
            }
            out.push(package)?;
        }
    }
    Ok(())
}

/// Reads a `Gemfile.lock` (`lib/bundler/lockfile_parser.rs` of Bundler).
///
/// # Errors
/// See [`ReadError`].
pub fn bundler(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    let text = text(bytes)?;
    let mut section = "";
    let (mut remote, mut revision) = ("", "");
    let mut known = false;
    for line in text.lines() {
        let content = line.trim_start_matches(' ');
        let indent = line.len().saturating_sub(content.len());
        if indent == 0 {
            section = content.trim_end();
            (remote, revision) = ("", "");
            known |= ["GEM", "GIT", "PATH", "DEPENDENCIES"].contains(&section);
            continue;
        }
        if let (2, Some((key, value))) = (indent, content.split_once(": ")) {
            match key {
                "remote" => remote = value.trim(),
                "revision" => revision = value.trim(),
                _ => {}
            }
        }
        if !(indent == 4 && matches!(section, "GEM" | "GIT")) {
            continue;
        }
        let Some((name, version)) =
            content.trim_end().strip_suffix(')').and_then(|line| line.split_once(" ("))
        else {
            continue;
        };
        // A platform may follow the version: 1.15.0-x86_64-linux.
        let mut package = Package::new(Ecosystem::Gem, name, Some(version));
        if section == "GIT" {
            package.vcs = Some(vcs_url(remote, revision));
        } else if !["https://rubygems.org/", ""].contains(&remote) {
            package.registry = Some(remote.to_owned());
        }
        out.push(package)?;
    }
    if known {
        Ok(())
    } else {
        Err(ReadError::Missing { at: "the file".to_owned(), what: "'GEM'" })
    }
}

/// Reads a `packages.lock.json` of NuGet
/// (<https://learn.microsoft.com/nuget/consume-packages/package-references-in-project-files#locking-dependencies>).
///
/// # Errors
/// See [`ReadError`].
pub fn nuget(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    let root = out.json(bytes)?;
    let frameworks = root
        .member("dependencies")
        .ok_or_else(|| ReadError::Missing { at: "the file".to_owned(), what: "'dependencies'" })?;
    for framework in frameworks.members().unwrap_or_default() {
        for entry in framework.value.members().unwrap_or_default() {
            if string(&entry.value, "type") == Some("Project") {
                continue;
            }
            let mut package =
                Package::new(Ecosystem::Nuget, &entry.key, string(&entry.value, "resolved"));
            let hash = string(&entry.value, "contentHash");
            package.digests.extend(
                hash.iter().flat_map(|hash| Digest::from_integrity(&format!("sha512-{hash}"))),
            );
            out.push(package.needed(Scope::Required))?;
        }
    }
    Ok(())
}

/// Reads a `pubspec.lock`
/// (<https://dart.dev/tools/pub/pubspec#dependencies>).
///
/// # Errors
/// See [`ReadError`].
pub fn dart(bytes: &[u8], out: &mut Statements) -> Result<(), ReadError> {
    for document in yaml::documents(bytes)? {
        let packages = document
            .member("packages")
            .ok_or_else(|| ReadError::Missing { at: "the file".to_owned(), what: "'packages'" })?;
        for (name, entry) in packages.members() {
            let mut package = Package::new(Ecosystem::Pub, name, entry.string("version"));
            let description = entry.member("description");
            let described = |key| description.and_then(|node: &yaml::Yaml| node.string(key));
            match entry.string("source") {
                Some("hosted") => {
                    let sum = described("sha256");
                    package
                        .digests
                        .extend(sum.and_then(|sum| Digest::from_hex(DigestKind::Sha256, sum)));
                    let usual = ["https://pub.dev", "https://pub.dartlang.org"];
                    package.registry =
                        described("url").filter(|url| !usual.contains(url)).map(str::to_owned);
                }
                Some("git") => {
                    let revision = described("resolved-ref").unwrap_or_default();
                    package.vcs = described("url").map(|url| vcs_url(url, revision));
                }
                // A directory of the project, or a part of the SDK.
                _ => continue,
            }
            package.scope = match entry.string("dependency") {
                Some("direct dev") => Scope::Development,
                Some("direct main") => Scope::Required,
                _ => Scope::Unstated,
            };
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
    fn php() {
        let text = r#"{"packages":[{"name":"a/b","version":"v1.0","dist":{"type":"zip","url":"https://u","shasum":""}},{"name":"own/c","version":"1","dist":{"type":"path","url":"c"}}],"packages-dev":[{"name":"d/e","version":"2"}]}"#;
        let expected = [
            ("pkg:composer/a/b@v1.0".to_owned(), Scope::Required, 0),
            ("pkg:composer/d/e@2".to_owned(), Scope::Development, 0),
        ];
        assert_eq!(read(composer, text), expected);
    }

    #[test]
    fn ruby() {
        let text = "GIT\n  remote: https://h/g.git\n  revision: abc\n  specs:\n    g (1.0)\n      a (>= 1)\n\nPATH\n  remote: .\n  specs:\n    own (0)\n\nGEM\n  remote: https://rubygems.org/\n  specs:\n    a (2.0)\n    n (1.15.0-x86_64-linux)\n\nPLATFORMS\n  ruby\n\nDEPENDENCIES\n  a\n";
        let expected = [
            (
                "pkg:gem/g@1.0?vcs_url=git%2Bhttps:%2F%2Fh%2Fg.git%40abc".to_owned(),
                Scope::Unstated,
                0,
            ),
            ("pkg:gem/a@2.0".to_owned(), Scope::Unstated, 0),
            ("pkg:gem/n@1.15.0-x86_64-linux".to_owned(), Scope::Unstated, 0),
        ];
        assert_eq!(read(bundler, text), expected);
    }

    #[test]
    fn dot_net_and_dart() {
        let text = r#"{"version":1,"dependencies":{"net8.0":{"A.B":{"type":"Direct","resolved":"1.0","contentHash":"z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg=="},"own":{"type":"Project"}}}}"#;
        assert_eq!(read(nuget, text), [("pkg:nuget/A.B@1.0".to_owned(), Scope::Required, 1)]);
        let text = "packages:\n  a:\n    dependency: \"direct dev\"\n    description:\n      name: a\n      sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n      url: \"https://pub.dev\"\n    source: hosted\n    version: \"1.0.0\"\n  f:\n    dependency: \"direct main\"\n    description: flutter\n    source: sdk\n    version: \"0.0.0\"\n";
        assert_eq!(read(dart, text), [("pkg:pub/a@1.0.0".to_owned(), Scope::Development, 1)]);
    }

    #[test]
    fn other_files_are_refused() {
        let readers: [(Read, &str); 4] =
            [(composer, "{}"), (bundler, "text\n"), (nuget, "{}"), (dart, "a: b\n")];
        for (reader, text) in readers {
            let mut out = Statements::new(Technique::Locked);
            assert!(reader(text.as_bytes(), &mut out).is_err(), "{text}");
        }
    }
}
