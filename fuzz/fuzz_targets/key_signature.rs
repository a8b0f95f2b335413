//! There is one text for every key and signature: what is read prints back
//! exactly.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_verify::nix::signature::{KeyName, PublicKey, SecretKey, Signature, TrustedKeys};

fuzz_target!(|text: &str| {
    if let Ok(name) = text.parse::<KeyName>() {
        assert_eq!(name.as_str(), text);
    }
    if let Ok(key) = text.parse::<PublicKey>() {
        assert_eq!(key.to_string(), text);
        // A key of low order would accept almost anything.
        assert!(!key.verify_strict(text.as_bytes(), &[0; 64]));
    }
    if let Ok(signature) = text.parse::<Signature>() {
        assert_eq!(signature.to_string(), text);
    }
    if let Ok(key) = text.parse::<SecretKey>() {
        assert_eq!(key.to_secret_text(), text);
        let signature = key.sign(text.as_bytes());
        assert!(key.public_key().verify_strict(text.as_bytes(), signature.bytes()));
    }
    if let Ok(keys) = TrustedKeys::parse(text) {
        let texts: Vec<String> = keys.iter().map(ToString::to_string).collect();
        assert_eq!(TrustedKeys::parse(&texts.join("\n")), Ok(keys));
    }
});
