//! Any bytes as a lock: read, resolved, judged against themselves and shown.
//! Every place must lie inside the file, and nothing may follow out of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_verify::check::Source;
use nix_verify::check::lock::audit::Audit;
use nix_verify::check::lock::config::Config;
use nix_verify::check::lock::judge;
use nix_verify::check::lock::well_known::Tables;
use nix_verify::nix::flake_lock::FlakeLock;
use nix_verify::nix::flake_lock::graph::Graph;
use nix_verify::nix::flake_secrets::hidden_in_file;

fuzz_target!(|data: &[u8]| {
    let mut source = Source::new("flake.lock", data);
    source.hide(hidden_in_file(data));
    let reading = match FlakeLock::read(data) {
        Ok(reading) => reading,
        Err(error) => {
            let place = source.at(error.span());
            assert!(place.span.end <= data.len());
            return;
        }
    };
    let graph = Graph::new(&reading.lock);
    let (config, tables) = (Config::default(), Tables::built_in());
    let audit = Audit::new(&reading.lock, &graph, &source, 1_750_000_000, &config, &tables);
    for finding in judge(&audit, Some(&audit), &reading.defects).findings {
        if let Some(place) = finding.location {
            assert!(place.span.start <= place.span.end && place.span.end <= data.len());
            assert!(place.start <= place.end);
        }
    }
});
