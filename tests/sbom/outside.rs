//! Documents of every form for validators that are not ours (`.ci/validators`):
//! of a poor and of a rich closure, in every scope, and of what lies inside
//! sources and programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::export;
use super::nix::text;
use super::store::Store;

/// Specification, encoding, and the end of the file's name.
const FORMS: [(&str, &str, &str); 11] = [
    ("cyclonedx-1.3", "json", "cdx-1.3.json"),
    ("cyclonedx-1.3", "xml", "cdx-1.3.xml"),
    ("cyclonedx-1.4", "json", "cdx-1.4.json"),
    ("cyclonedx-1.4", "xml", "cdx-1.4.xml"),
    ("cyclonedx-1.5", "json", "cdx-1.5.json"),
    ("cyclonedx-1.5", "xml", "cdx-1.5.xml"),
    ("cyclonedx-1.6", "json", "cdx-1.6.json"),
    ("cyclonedx-1.6", "xml", "cdx-1.6.xml"),
    ("cyclonedx-1.7", "json", "cdx-1.7.json"),
    ("cyclonedx-1.7", "xml", "cdx-1.7.xml"),
    ("spdx-2.3", "json", "spdx.json"),
];

/// Who makes the documents that are to meet a profile.
const AUTHOR: &str = "Example <sbom@example.org>";

/// What packages say of themselves, with every field that is read.
const META: &str = r#"{
  "library": {"name":"library-1.2.3","pname":"library","version":"1.2.3","system":"x86_64-linux","meta":{
    "license":[{"spdxId":"MIT"},{"spdxId":"GPL-2.0-or-later"}],"description":"a <library> & more",
    "homepage":["https://example.org/library","https://example.com/library"],
    "changelog":"https://example.org/library/changes","identifiers":{
      "cpe":"cpe:2.3:a:example:library:1.2.3:*:*:*:*:*:*:*","purl":"pkg:github/example/library@1.2.3"}}},
  "static": {"name":"static-0.1","pname":"static","version":"0.1","system":"x86_64-linux","meta":{
    "license":{"fullName":"Example's own licence","free":false},"description":"d","homepage":"https://example.org/static"}},
  "twin": {"name":"twin-2.0","pname":"twin","version":"2.0","system":"x86_64-linux","meta":{
    "license":{"spdxId":"Apache-2.0"},"description":"twins"}},
  "program": {"name":"program-3","pname":"program","version":"3","system":"x86_64-linux","meta":{
    "license":[{"spdxId":"BSD-3-Clause"},{"fullName":"Something else"}],"homepage":"https://example.org/program"}},
  "oddly": {"name":"oddly-4","pname":"oddly","version":"4","system":"x86_64-linux","meta":{
    "license":{"spdxId":"Zlib"},"homepage":"https://example.org/oddly"}}
}"#;

/// Writes a document in every form.
fn every_form(directory: &Path, name: &str, words: &[String]) {
    for (spec, encoding, end) in FORMS {
        let path = directory.join(format!("{name}.{end}"));
        let mut command = export(words);
        command.args(["--offline", "--spec", spec, "--encoding", encoding, "--output"]).arg(&path);
        command.env("SOURCE_DATE_EPOCH", "1700000000");
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 3)), "{name} {end}: {error}");
        assert!(path.is_file(), "{name} {end}: {error}");
    }
}

/// A report of the program, as evidence.
fn report(store: &Store, name: &str, words: &[&str]) -> String {
    let path = text(&store.place.path().join(name));
    let output = Command::new(env!("CARGO_BIN_EXE_verify"))
        .args(words)
        .args(["--format", "json", "--output", &path])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", store.place.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{words:?}: {error}");
    path
}

/// `VALIDATORS_DIR` names where they go.
#[test]
#[ignore = "for validators that are not ours; see .ci/validators"]
fn documents() {
    let directory = PathBuf::from(std::env::var_os("VALIDATORS_DIR").expect("VALIDATORS_DIR"));
    std::fs::create_dir_all(&directory).unwrap();
    let store = Store::make().expect("Nix is here");
    let local = store.option();
    let meta = text(&store.place.path().join("meta.json"));
    std::fs::write(&meta, META).unwrap();

    let path = store.output("oddly");
    let drv_path = store.derivation("oddly");
    let cache = store.place.path().join("cache");
    store.nix.publish(&cache, &[]);
    let cache = format!("file://{}", text(&cache));
    let key = store.nix.public_key();
    let caches = ["--cache", &cache, "--trusted-key", &key, "--offline"];
    let asked =
        report(&store, "cache.json", &[&["cache", &path, "--closure"], &caches[..]].concat());
    let rebuilt = report(
        &store,
        "rebuild.json",
        &[&["rebuild", &drv_path, "--closure", &local, "--reproducible"], &caches[..]].concat(),
    );

    for scope in ["runtime", "linked", "build"] {
        let target = if scope == "build" { &drv_path } else { &path };
        let poor = [target.as_str(), &local, "--scope", scope].map(str::to_owned);
        every_form(&directory, &format!("poor.{scope}"), &poor);
        let more = [
            "--meta",
            &meta,
            "--evidence",
            &asked,
            "--evidence",
            &rebuilt,
            "--contents",
            "--author",
            AUTHOR,
            "--supplier",
            "Example <https://example.org>",
        ];
        let rich = [&poor[..], &more.map(str::to_owned)].concat();
        every_form(&directory, &format!("rich.{scope}"), &rich);
    }
    // Narinfos alone.
    let remote = [path.as_str(), "--cache", &cache, "--trusted-key", &key].map(str::to_owned);
    every_form(&directory, "remote.runtime", &remote);

    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/vendored");
    for entry in fixtures.read_dir().unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap().replace(".tar.xz", "");
        if name.ends_with(".txt") || name.ends_with(".md") {
            continue;
        }
        let added = store.nix.run("nix-store", ["--add-fixed", "sha256", &text(&file)]);
        let words = [added.trim(), &local, "--vendored", "--author", AUTHOR].map(str::to_owned);
        every_form(&directory, &format!("inside-{name}.runtime"), &words);
    }
}
