//! Envelopes, statements and keys in PEM: what is taken prints back to the very
//! bytes, and nothing passes that no trusted key has signed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_verify::attest::dsse::Envelope;
use nix_verify::attest::judge::judge;
use nix_verify::attest::pem;
use nix_verify::attest::pool::{Line, Pool, Trust};
use nix_verify::attest::rebuild::Rebuild;
use nix_verify::attest::statement::Statement;
use nix_verify::check::Verdict;
use nix_verify::check::operators::Operators;
use nix_verify::nix::signature::{SecretKey, TrustedKeys};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(envelope) = Envelope::parse(bytes) {
        let line = envelope.to_line();
        assert_eq!(Envelope::parse(line.trim_end().as_bytes()).unwrap(), envelope);
    }
    // As if a trusted key had signed it.
    if let Ok(statement) = Statement::parse(bytes) {
        if let Ok(rebuild) = Rebuild::from_statement(&statement) {
            assert_eq!(rebuild.statement().unwrap().subjects, statement.subjects);
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = pem::secret_key(text, None);
        if let Ok(key) = pem::public_key(text, None) {
            assert_eq!(pem::public_key(&pem::public_text(&key), None).unwrap(), key);
        }
    }
    let mut keys = TrustedKeys::new();
    keys.insert(SecretKey::from_seed("ci-1".parse().unwrap(), &[7; 32]).public_key()).unwrap();
    let operators = Operators::default();
    let trust = Trust { keys: &keys, operators: &operators };
    let pool = Pool::collect([Line { file: "f", number: 1, bytes }], trust);
    let passes = judge(&pool, &[], 1).answers.iter().any(|one| one.verdict == Verdict::Pass);
    assert!(!passes);
});
