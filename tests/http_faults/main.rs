//! A server that does everything wrong that a server can do: each fault ends
//! in time, with a reason of its own, and takes little memory.
//!
//! Faults of single answers are tried on narinfos, faults of what is packed on
//! NARs. The patience is shortened, nothing else is.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "tests state what they expect and may stop at the first surprise"
)]

mod bombs;
#[path = "../gather_support/mod.rs"]
mod gather_support;
mod narinfos;
mod nars;

use std::collections::BTreeSet;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gather_support::{Seen, Server, Stream, classify_for_tests, respond};
use nix_verify::gather::cache::{CacheClient, CacheUrl};
use nix_verify::gather::http::credentials::Netrc;
use nix_verify::gather::http::{HttpClient, HttpOptions, Patience};
use nix_verify::nix::store_path::{StoreDir, StorePath};

/// The longest that any fault may take; the patience below adds up to less
/// than a tenth of it.
const IN_TIME: Duration = Duration::from_secs(180);

/// The most memory for all of them together, those that run at once included.
const PEAK: u64 = 160 << 20;

/// One thing a server does wrong.
pub struct Fault {
    /// What it does.
    pub name: &'static str,
    /// What must be said about it.
    pub wanted: &'static str,
    /// Meets it and says what was found out.
    pub meet: Box<dyn Fn() -> String + Send + Sync>,
}

/// Deadlines short enough for a test, and long enough for a busy machine.
pub fn patience() -> Patience {
    Patience {
        connect: Duration::from_secs(5),
        idle: Duration::from_secs(3),
        small_total: Duration::from_secs(4),
        large_base: Duration::from_secs(6),
        large_rate: 1 << 20,
        tries: 2,
        retry_base: Duration::from_millis(1),
        retry_cap: Duration::from_millis(20),
        retry_after_cap: Duration::from_secs(1),
    }
}

/// How the client of these tests is set up.
pub fn http_options() -> HttpOptions {
    HttpOptions { patience: patience(), classify: classify_for_tests, ..HttpOptions::default() }
}

/// A client for caches.
pub fn client(options: HttpOptions) -> CacheClient {
    CacheClient::new(HttpClient::new(options), Netrc::default(), StoreDir::default())
}

/// The cache that a server is.
pub fn cache(server: &Server) -> CacheUrl {
    CacheUrl::parse(server.url("").as_str()).unwrap()
}

/// The path that is asked for.
pub fn path() -> StorePath {
    StorePath::new([3; 20], "x").unwrap()
}

/// A server that is a cache as far as `nix-cache-info` goes.
pub fn cache_server(
    answer: impl Fn(&Seen, &mut dyn Stream) -> io::Result<()> + Send + Sync + 'static,
) -> Server {
    Server::start(move |seen, stream| {
        if seen.target.ends_with("/nix-cache-info") {
            respond(stream, 200, &[], b"StoreDir: /nix/store\n")
        } else {
            answer(seen, stream)
        }
    })
}

/// The most memory this process had at once.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn every_fault_ends_in_time_with_a_reason_of_its_own() {
    let faults: Vec<Fault> = narinfos::faults().into_iter().chain(nars::faults()).collect();
    assert!(faults.len() >= 40, "{}", faults.len());
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let since = Instant::now();
                    let said = (fault.meet)();
                    let took = since.elapsed();
                    found.lock().unwrap().push((fault.name, fault.wanted, said, took));
                }
            });
        }
    });
    let mut wrong = Vec::new();
    let mut found = found.into_inner().unwrap();
    found.sort();
    for (name, wanted, said, took) in &found {
        println!("{name}: {said} ({took:.1?})");
        if !said.contains(wanted) || *took > IN_TIME {
            wrong.push(format!("{name}: wanted '{wanted}', got '{said}' in {took:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let reasons: BTreeSet<&str> = found.iter().map(|(_, wanted, ..)| *wanted).collect();
    assert!(reasons.len() >= 25, "{} reasons", reasons.len());
    println!("{} faults, {} reasons, peak {} MiB", found.len(), reasons.len(), peak() >> 20);
    assert!(peak() < PEAK, "{} bytes", peak());
}
