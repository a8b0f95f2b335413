//! A hash prints back to itself in every notation; so does a content address.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_verify::nix::content_address::ContentAddress;
use nix_verify::nix::hash::{Hash, HashAlgorithm, NarHash};

fuzz_target!(|text: &str| {
    for expected in HashAlgorithm::ALL.into_iter().map(Some).chain([None]) {
        let Ok(hash) = Hash::parse(text, expected) else { continue };
        let algorithm = hash.algorithm();
        assert!(expected.is_none_or(|expected| expected == algorithm));
        let base16 = hash.base16();
        for notation in [
            hash.to_string(),
            hash.sri(),
            format!("{algorithm}:{base16}"),
            hash.sri().replace('-', ":"),
        ] {
            assert_eq!(Hash::parse(&notation, None), Ok(hash), "{notation}");
        }
        // The text is one of the notations, or upper-case base16.
        let digits = text.split_once([':', '-']).map_or(text, |(_, digits)| digits);
        let base64 = hash.sri().split_off(algorithm.name().len() + 1);
        assert!(
            digits == hash.nix32() || digits == base64 || digits.eq_ignore_ascii_case(&base16),
            "{text}"
        );
    }
    if let Ok(hash) = NarHash::parse(text) {
        assert_eq!(NarHash::parse(&hash.to_string()), Ok(hash));
    }
    if let Ok(ca) = text.parse::<ContentAddress>() {
        assert_eq!(ca.to_string().parse(), Ok(ca));
    }
});
