//! A store path prints back exactly and is ordered as it is written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_verify::nix::store_path::{StoreDir, StorePath};

fuzz_target!(|text: &str| {
    if let Ok(dir) = StoreDir::new(text) {
        assert_eq!(dir.as_str(), text);
    }
    if let Ok(path) = StoreDir::default().parse(text) {
        assert_eq!(StoreDir::default().full(&path), text);
    }
    let (first, second) = text.split_once('\n').unwrap_or((text, text));
    let (Ok(one), Ok(other)) = (first.parse::<StorePath>(), second.parse::<StorePath>()) else {
        return;
    };
    assert_eq!(one.to_string(), first);
    assert_eq!(one.cmp(&other), first.cmp(second));
});
