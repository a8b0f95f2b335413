//! How long an audit of a large lock takes, from bytes to findings.
//!
//! `cargo bench --bench lock`: 1,000 nodes are to take less than 10 ms,
//! 100,000 less than a second; alone and against a base in which everything
//! was another revision. Beside the time that passes stands the time of all
//! processors together, which a machine with other work changes less. `--steps`
//! says what each step takes.

#![allow(
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench measures and prints"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use nix_verify::check::Source;
use nix_verify::check::lock::audit::Audit;
use nix_verify::check::lock::config::Config;
use nix_verify::check::lock::judge;
use nix_verify::check::lock::reading::{Readings, is_large, together};
use nix_verify::check::lock::well_known::Tables;
use nix_verify::nix::flake_lock::FlakeLock;
use nix_verify::nix::flake_lock::graph::Graph;
use nix_verify::nix::flake_secrets::hidden_in_file;

/// Inputs of each node but the leaves.
const WIDTH: usize = 10;

/// A lock of `count` nodes, ten below each, each with an input that follows.
fn lock(count: usize, salt: usize) -> String {
    let mut text = String::from("{\n  \"nodes\": {\n");
    for at in 0..count {
        let first = (at + 1) * WIDTH;
        let mut inputs = String::new();
        for child in first..(first + WIDTH).min(count) {
            writeln!(inputs, "        \"i{child}\": \"n{child}\",").unwrap();
        }
        write!(
            text,
            "    \"n{at}\": {{\n      \"inputs\": {{\n{inputs}        \"nixpkgs\": [\n          \"i0\"\n        ]\n      }},\n      \
             \"locked\": {{\n        \"lastModified\": {},\n        \"narHash\": \"sha256-{:042}8=\",\n        \
             \"owner\": \"owner{at}\",\n        \"repo\": \"repo{at}\",\n        \"rev\": \"{:040x}\",\n        \
             \"type\": \"github\"\n      }},\n      \"original\": {{\n        \"owner\": \"owner{at}\",\n        \
             \"repo\": \"repo{at}\",\n        \"type\": \"github\"\n      }}\n    }},\n",
            1_700_000_000 + salt,
            at * 2 + salt,
            at * 2 + salt,
        )
        .unwrap();
    }
    text.push_str("    \"root\": {\n      \"inputs\": {\n");
    for child in 0..WIDTH.min(count) {
        writeln!(
            text,
            "        \"i{child}\": \"n{child}\"{}",
            if child + 1 < WIDTH { "," } else { "" }
        )
        .unwrap();
    }
    text.push_str("      }\n    }\n  },\n  \"root\": \"root\",\n  \"version\": 7\n}\n");
    text
}

/// Processor time of all threads of this process so far, in seconds.
fn processors() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let of_each = threads.map(|thread| {
        let text = std::fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
        text.split(' ').next().unwrap().parse::<f64>().unwrap()
    });
    of_each.sum::<f64>() / 1e9
}

/// What each step takes.
fn steps(text: &str) {
    let mut since = (Instant::now(), processors());
    let mut step = |name: &str| {
        let (wall, busy) = (since.0.elapsed().as_secs_f64(), processors() - since.1);
        println!("  {name}: {:.1} ms, of processors {:.1} ms", wall * 1000.0, busy * 1000.0);
        since = (Instant::now(), processors());
    };
    let (config, tables) = (Config::default(), Tables::built_in());
    step("tables");
    drop(black_box(nix_verify::nix::json::parse(text.as_bytes())));
    step("JSON alone");
    let reading = FlakeLock::read(text.as_bytes()).unwrap();
    step("read");
    let graph = Graph::new(&reading.lock);
    step("graph");
    let mut source = Source::new("flake.lock", text.as_bytes());
    step("lines");
    source.hide(hidden_in_file(text.as_bytes()));
    step("secrets");
    let head = Audit::new(&reading.lock, &graph, &source, 1_750_000_000, &config, &tables);
    step("inputs");
    drop(black_box(judge(&head, None, &reading.defects)));
    step("rules");
    drop(head);
    drop(graph);
    drop(reading);
    step("freeing");
}

/// Bytes to findings.
fn audit(text: &str, base: Option<&str>) -> usize {
    let (config, tables) = (Config::default(), Tables::built_in());
    let (text, base) = (text.as_bytes(), base.map(str::as_bytes));
    let readings = Readings::of(text, base);
    let (head, before) = (readings.head.unwrap(), readings.base.map(Result::unwrap));
    let (graph, before_graph) = together(
        is_large(text, base),
        || Graph::new(&head.lock),
        || before.as_ref().map(|before| Graph::new(&before.lock)),
    );
    let mut source = Source::new("flake.lock", text);
    source.hide(readings.hidden);
    let base_source = Source::new("base", base.unwrap_or_default());
    let now = Audit::new(&head.lock, &graph, &source, 1_750_000_000, &config, &tables);
    let before = before.as_ref().zip(before_graph.as_ref()).map(|(before, graph)| {
        Audit::new(&before.lock, graph, &base_source, 1_750_000_000, &config, &tables)
    });
    judge(&now, before.as_ref(), &head.defects).findings.len()
}

fn main() {
    for (count, limit) in [(1_000, 10), (100_000, 1000)] {
        let (head, base) = (lock(count, 1), lock(count, 0));
        if std::env::args().any(|argument| argument == "--steps") {
            steps(&head);
        }
        for (what, base) in [("alone", None), ("with a base", Some(base.as_str()))] {
            let (mut wall, mut busy) = (f64::MAX, f64::MAX);
            let rounds = if count > 10_000 { 5 } else { 50 };
            for _ in 0..rounds {
                let start = (Instant::now(), processors());
                let findings = black_box(audit(black_box(&head), base));
                wall = wall.min(start.0.elapsed().as_secs_f64() * 1000.0);
                busy = busy.min((processors() - start.1) * 1000.0);
                assert_eq!(findings, 0);
            }
            println!(
                "{count} nodes, {:.1} MB, {what}: {wall:.1} ms, of processors {busy:.1} ms \
                 (wanted: less than {limit} ms)",
                head.len() as f64 / 1e6
            );
        }
    }
}
