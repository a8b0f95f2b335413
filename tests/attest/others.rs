//! What others make of it: OpenSSL checks our signatures and makes keys, Nix
//! takes the signatures that are for it.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use nix_verify::attest::dsse::encoded;
use serde_json::Value;

use super::scene::{DATED, GREETING, Scene, fixtures, key};

fn run(program: &str, directory: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program).args(arguments).current_dir(directory).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn openssl_checks_what_we_sign_with_its_own_key() {
    let scene = Scene::with_report();
    let openssl = |arguments: &[&str]| run("openssl", &scene.path(""), arguments);
    assert!(openssl(&["genpkey", "-algorithm", "ed25519", "-out", "key.pem"]).0);
    assert!(openssl(&["pkey", "-in", "key.pem", "-pubout", "-out", "key.pub"]).0);
    assert!(run("chmod", &scene.path(""), &["600", "key.pem"]).0);
    let made = scene.verify(&[
        "attest",
        "make",
        "rebuild.json",
        "--key",
        "key.pem",
        "--key-name",
        "release-1",
    ]);
    assert_eq!(made.code, 0, "{}", made.err);
    let envelope: Value = serde_json::from_str(&made.out).unwrap();
    let bytes = |value: &Value| BASE64.decode(value.as_str().unwrap()).unwrap();
    let message = encoded(envelope["payloadType"].as_str().unwrap(), &bytes(&envelope["payload"]));
    scene.write("message", &message);
    scene.write("sig", bytes(&envelope["signatures"][0]["sig"]));
    let check = [
        "pkeyutl", "-verify", "-pubin", "-inkey", "key.pub", "-rawin", "-in", "message",
        "-sigfile", "sig",
    ];
    let (good, said) = openssl(&check);
    assert!(good, "{said}");
    scene.write("message", &message[1..]);
    assert!(!openssl(&check).0, "a check that cannot fail is none");

    // And we check with the public half as OpenSSL writes it.
    scene.write("a.jsonl", &made.out);
    let verify = |named: &str| {
        let ran = scene.verify(&[
            "attest",
            "verify",
            "a.jsonl",
            "--subject",
            GREETING,
            "--trusted-pem",
            named,
        ]);
        ran.code
    };
    assert_eq!(verify("release-1=key.pub"), 0);
    assert_eq!(verify("release-2=key.pub"), 3, "the envelope names release-1");
    assert_eq!(verify("key.pem"), 2, "a secret key is no public one");
}

/// `nix store verify --sigs-needed` over what `nix store copy-sigs` took.
#[test]
fn nix_takes_our_signatures() {
    let scene = Scene::with_report();
    scene.write_key("second.secret", &key("ci-2", 2));
    let make = |secret: &str| {
        let ran = scene.verify(&[
            "attest",
            "make",
            "rebuild.json",
            "--key",
            secret,
            "--nix-cache",
            "sigs",
            "--quiet",
        ]);
        assert_eq!(ran.code, 0, "{}", ran.err);
    };
    make("ci.secret");
    make("ci.secret");
    make("second.secret");
    let file = |path: &str| {
        let hash = path.trim_start_matches("/nix/store/").split('-').next().unwrap();
        scene.path("sigs").join(format!("{hash}.narinfo"))
    };
    let signed = std::fs::read_to_string(file(GREETING)).unwrap();
    assert_eq!(signed.matches("\nSig: ci-").count(), 2, "{signed}");
    assert!(!file(DATED).exists(), "what differs is not signed");

    let place = scene.path("");
    let nix = |arguments: &[&str]| {
        let root = place.join("root");
        let store = format!("local?root={}", root.display());
        let mut all = vec!["--extra-experimental-features", "nix-command", "--store", &store];
        all.extend(arguments);
        run("nix", &place, &all)
    };
    let cache = format!("file://{}", fixtures().join("cache").display());
    let (copied, said) = nix(&["copy", "--no-check-sigs", "--from", &cache, GREETING]);
    assert!(copied, "{said}");
    let one = key("ci-1", 1).public_key().to_string();
    let both = format!("{one} {}", key("ci-2", 2).public_key());
    let needed = |count: &str, keys: &str| {
        nix(&["store", "verify", "--sigs-needed", count, "--trusted-public-keys", keys, GREETING]).0
    };
    assert!(!needed("1", &one), "nothing is signed by us yet");
    let sigs = format!("file://{}", place.join("sigs").display());
    let (took, said) = nix(&["store", "copy-sigs", "--substituter", &sigs, GREETING]);
    assert!(took, "{said}");
    assert!(needed("1", &one));
    assert!(!needed("2", &one));
    assert!(needed("2", &both));
}

#[test]
fn a_directory_of_something_else_is_left_alone() {
    let scene = Scene::with_report();
    std::fs::create_dir(scene.path("sigs")).unwrap();
    scene.write("sigs/nix-cache-info", "StoreDir: /nix/store\n");
    let ran = scene.verify(&[
        "attest",
        "make",
        "rebuild.json",
        "--key",
        "ci.secret",
        "--nix-cache",
        "sigs",
    ]);
    assert_eq!(ran.code, 2);
    assert_eq!(scene.path("sigs").read_dir().unwrap().count(), 1);
}
