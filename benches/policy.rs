//! How long a judgement takes, from the bytes of a bill of materials to the
//! verdict.
//!
//! `cargo bench --bench policy`: 5,000 components against 50 rules are to take
//! less than half a second, schema validation included.

#![allow(
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench measures and prints"
)]

use std::fmt::Write as _;
use std::time::Instant;

use nix_verify::check::{Level, Verdict};
use nix_verify::policy::{Material, Policy, Setting, judge};

/// Milliseconds that the whole may take.
const LIMIT: f64 = 500.0;

/// A bill of so many components, each as full as those of a real one.
fn bill(count: usize) -> String {
    let mut text = String::from(r#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":["#);
    for at in 0..count {
        if at > 0 {
            text.push(',');
        }
        write!(
            text,
            r#"{{"type":"library","bom-ref":"c{at}","name":"package-{at}","version":"1.{}.{}",
            "purl":"pkg:cargo/package-{at}@1.{}.{}","supplier":{{"name":"nixpkgs"}},
            "licenses":[{{"expression":"MIT OR (Apache-2.0 AND BSD-3-Clause)"}}],
            "hashes":[{{"alg":"SHA-512","content":"{:0128x}"}}],
            "externalReferences":[{{"type":"source-distribution","url":"https://example.org/{at}.tar.gz",
              "hashes":[{{"alg":"SHA-256","content":"{:064x}"}}]}}],
            "properties":[{{"name":"nix:store_path","value":"/nix/store/{at:032}-package-{at}"}}]}}"#,
            at % 30,
            at % 7,
            at % 30,
            at % 7,
            at,
            at,
        )
        .unwrap();
    }
    text.push_str(r#"],"dependencies":["#);
    for at in 0..count {
        if at > 0 {
            text.push(',');
        }
        let on: Vec<String> = (1..=6).map(|n| format!("\"c{}\"", (at + n * 7) % count)).collect();
        write!(text, r#"{{"ref":"c{at}","dependsOn":[{}]}}"#, unique(on).join(",")).unwrap();
    }
    text.push_str("]}");
    text
}

fn unique(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list.dedup();
    list
}

/// Fifty rules: half in CEL, half built in.
fn policy() -> String {
    let kinds = [
        "require = 'component.name != \"evil\" && component.version != \"0\"'",
        "allowed-licences = [\"MIT\", \"Zlib\"]",
        "require = 'component.hashes.exists(hash, hash.startsWith(\"sha512:\"))'",
        "banned = [{ name = \"xz\", versions = [\"< 5.6.2\"] }, { name = \"log4j*\" }]",
        "require = 'spdx_ok(component.licence, [\"MIT\"])'",
        "source-hosts = [\"example.org\"]",
        "require = 'version_cmp(component.version, \"0.9\") > 0'",
        "denied-licences = [\"AGPL-3.0-only\"]",
        "require = 'component.paths.all(path, path.contains(\"-package-\"))'",
        "source-hashes = [\"sha256\"]",
    ];
    let mut text = String::from("format = 1\nname = \"bench\"\ndescription = \"fifty rules\"\n");
    for at in 0..50 {
        let kind = kinds[at % kinds.len()];
        writeln!(
            text,
            "[[rule]]\nid = \"rule-{at}\"\nscope = \"runtime\"\nreason = \"a bench\"\n{kind}"
        )
        .unwrap();
    }
    text
}

fn main() {
    let (bill, policy) = (bill(5_000), policy());
    let policy = Policy::parse("bench.toml", policy.as_bytes()).unwrap();
    let mut best = (f64::MAX, 0.0, 0.0);
    for _ in 0..10 {
        let begun = Instant::now();
        let material = Material::read("bill.json", bill.as_bytes());
        let read = begun.elapsed().as_secs_f64() * 1000.0;
        let judgement = judge(
            std::slice::from_ref(&policy),
            std::slice::from_ref(&material),
            &Setting::default(),
        );
        let all = begun.elapsed().as_secs_f64() * 1000.0;
        assert_eq!(
            judgement.verdict(Level::Error),
            Verdict::Pass,
            "{:?}",
            judgement.findings.first()
        );
        assert_eq!(judgement.coverage.answered, 250_000);
        if all < best.0 {
            best = (all, read, all - read);
        }
    }
    let verdict = if best.0 < LIMIT { "ok" } else { "TOO SLOW" };
    println!(
        "5000 components ({:.1} MB), 50 rules: {:.0} ms (reading {:.0} ms, judging {:.0} ms; limit {LIMIT} ms) {verdict}",
        bill.len() as f64 / 1e6,
        best.0,
        best.1,
        best.2
    );
}
