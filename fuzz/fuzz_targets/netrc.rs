//! A netrc file is read or refused; a cache's URL prints back without its
//! credentials.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_verify::gather::cache::url::CacheUrl;
use nix_verify::gather::http::credentials::Netrc;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(netrc) = Netrc::parse(bytes) {
        let _ = netrc.find("cache.example");
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(cache) = CacheUrl::parse(text)
    {
        let again = CacheUrl::parse(&cache.to_string()).expect("what is printed is read");
        assert_eq!(again, cache);
        assert_eq!(again.credentials(&Netrc::default()), None);
    }
});
