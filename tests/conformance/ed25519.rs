//! Edge cases of Ed25519 (C2SP/CCTV): accepted is exactly what the libsodium
//! of Nix accepts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use nix_verify::nix::signature::PublicKey;

use crate::fixtures;

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
            .is_ok_and(|key| key.verify_strict(message.as_bytes(), &signature));
        assert_eq!(ours, libsodium == "accepts", "vector {number}");
        accepted += usize::from(ours);
    }
    assert_eq!(accepted, 43);
}
