//! What is read prints back, and nothing is trusted without a signature.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_verify::nix::cache_info::CacheInfo;
use nix_verify::nix::narinfo::NarInfo;
use nix_verify::nix::signature::{CACHE_NIXOS_ORG_KEY, TrustedKeys};
use nix_verify::nix::store_path::StoreDir;

fuzz_target!(|bytes: &[u8]| {
    let dir = StoreDir::default();
    if let Ok(info) = NarInfo::parse(bytes, &dir) {
        let text = info.to_text(&dir);
        let again = NarInfo::parse(text.as_bytes(), &dir).expect("what is printed is read");
        assert_eq!(again, info);
        assert_eq!(again.to_text(&dir), text);
        assert!(info.verify(&dir, &TrustedKeys::new()).verified().is_none());
        let trusted = TrustedKeys::parse(CACHE_NIXOS_ORG_KEY).expect("the key is one");
        let report = info.verify(&dir, &trusted);
        if let Some(verified) = report.verified() {
            assert!(!verified.keys().is_empty() && report.bad().is_empty());
            assert_eq!(verified.path_info(), &info.path_info());
        }
        if let Ok(url) = info.check_url() {
            assert!(!url.starts_with('/') && !url.contains(':'));
            assert!(url.split('/').all(|component| !matches!(component, "" | "." | "..")));
        }
    }
    if let Ok(info) = CacheInfo::parse(bytes) {
        assert_eq!(CacheInfo::parse(info.to_text().as_bytes()), Ok(info));
    }
});
