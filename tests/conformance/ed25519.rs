//! Edge cases of Ed25519 (C2SP/CCTV): accepted is exactly what the libsodium
//! of Nix accepts, however often it is asked: many checks under one key are
//! done in another way than a few.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use nix_verify::nix::signature::PublicKey;

use crate::fixtures;

/// More checks than are done before a key's multiples are computed.
const OFTEN: usize = 40;

/// The answer, which has to stay the same.
fn always(key: &PublicKey, message: &[u8], signature: &[u8; 64]) -> bool {
    let first = key.verify_strict(message, signature);
    for _ in 0..OFTEN {
        assert_eq!(key.verify_strict(message, signature), first);
    }
    first
}

#[test]
fn accepts_what_libsodium_accepts() {
    let mut accepted = 0;
    let rows = fixtures::table("ed25519/cctv.tsv");
    assert_eq!(rows.len(), 914);
    for row in rows {
        let [number, key, signature, message, libsodium] = row.try_into().unwrap();
        let signature: [u8; 64] = BASE64.decode(signature).unwrap().try_into().unwrap();
        let ours = format!("vector:{key}")
            .parse::<PublicKey>()
            .is_ok_and(|key| always(&key, message.as_bytes(), &signature));
        assert_eq!(ours, libsodium == "accepts", "vector {number}");
        accepted += usize::from(ours);
    }
    assert_eq!(accepted, 43);
}

#[test]
fn answers_as_wycheproof_demands() {
    let rows = fixtures::table("ed25519/wycheproof.tsv");
    assert_eq!(rows.len(), 151);
    let mut valid = 0;
    for row in rows {
        let [number, key, signature, message, result, comment] = row.try_into().unwrap();
        let signature = <[u8; 64]>::try_from(BASE64.decode(signature).unwrap());
        let message = BASE64.decode(message).unwrap();
        let key = format!("vector:{key}").parse::<PublicKey>();
        let ours = match (key, signature) {
            (Ok(key), Ok(signature)) => always(&key, &message, &signature),
            _ => false,
        };
        assert_eq!(ours, result == "valid", "vector {number}: {comment}");
        valid += usize::from(ours);
    }
    assert!((1..151).contains(&valid), "{valid}");
}
