//! Signatures by real `ssh-keygen` and `gpg` over real commits and tags.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix_verify::check::lock::evidence::{
    Answer, LockedFacts, PinEvidence, PinQuestion, PinSource, Signed, VoidReason,
};
use nix_verify::check::signers::{AllowedSigners, Keyring, Signers};
use nix_verify::gather::git::answer::answer;
use nix_verify::gather::git::mirrors::Mirrors;
use nix_verify::nix::git::ObjectId;

use crate::repository::{EPOCH, TestFile, TestRepository, installed, text};

const URL: &str = "https://example.org/owner/repo";

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

struct Signing {
    made: TestRepository,
    tree: String,
    dir: tempfile::TempDir,
}

impl Signing {
    fn new() -> Self {
        let mut made = TestRepository::new();
        made.clone_of(URL);
        let first = made.commit("refs/heads/main", None, &[TestFile::new("a", "b")]);
        let tree = made.git(&["rev-parse", &format!("{first}^{{tree}}")]);
        Self { made, tree, dir: tempfile::tempdir().unwrap() }
    }

    /// A signed commit on `main`, made with this configuration.
    fn commit(&self, configuration: &[&str], environment: &[(&str, &Path)]) -> ObjectId {
        let mut arguments: Vec<&str> = configuration.iter().flat_map(|c| ["-c", c]).collect();
        arguments.extend(["commit-tree", "-S", &self.tree, "-m", "signed", "-p", "main"]);
        let mut command = self.made.command(&arguments);
        command.envs(environment.iter().copied());
        let id = run(&mut command);
        self.made.git(&["update-ref", "refs/heads/main", &id]);
        ObjectId::parse(&id).unwrap()
    }

    /// The same commit with another message, and the old signature.
    fn tamper(&self, commit: ObjectId) -> ObjectId {
        let raw = self.made.git(&["cat-file", "commit", &commit.to_string()]);
        let file = self.dir.path().join("tampered");
        fs::write(&file, raw.replace("\n\nsigned", "\n\nSigned") + "\n").unwrap();
        let id = self.made.git(&["hash-object", "-t", "commit", "-w", text(&file)]);
        self.made.git(&["update-ref", "refs/heads/main", &id]);
        ObjectId::parse(&id).unwrap()
    }

    fn ask(&self, rev: ObjectId, signers: &Signers, required: &[&str]) -> PinEvidence {
        self.ask_on(rev, signers, required, "main")
    }

    fn ask_on(&self, rev: ObjectId, signers: &Signers, required: &[&str], on: &str) -> PinEvidence {
        let question = PinQuestion {
            input: "a".to_owned(),
            source: PinSource::Git { url: URL.to_owned() },
            locked: LockedFacts { rev: Some(rev), ..LockedFacts::default() },
            original_ref: Some(on.to_owned()),
            base_rev: None,
            required_signers: required.iter().map(ToString::to_string).collect(),
        };
        let mirrors = Mirrors::open([text(self.made.path())]).unwrap();
        answer(&question, &mirrors, signers)
    }

    fn ssh_key(&self, kind: &str, bits: &str) -> (PathBuf, String) {
        let file = self.dir.path().join(format!("{kind}{bits}"));
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", kind, "-N", "", "-C", "words", "-f", text(&file)]);
        if !bits.is_empty() {
            command.args(["-b", bits]);
        }
        run(&mut command);
        let public = fs::read_to_string(file.with_extension("pub")).unwrap();
        (file, public.trim().to_owned())
    }
}

fn allowed(lines: &str) -> Signers {
    let allowed = AllowedSigners::parse(lines.as_bytes()).unwrap();
    Signers { allowed, ..Signers::default() }
}

#[test]
fn ssh_keys_of_every_kind_sign() {
    if !installed("ssh-keygen", "-?") {
        return;
    }
    let signing = Signing::new();
    for (kind, bits) in
        [("ed25519", ""), ("rsa", "2048"), ("rsa", "3072"), ("ecdsa", "256"), ("ecdsa", "384")]
    {
        let (file, public) = signing.ssh_key(kind, bits);
        let key = format!("user.signingKey={}", text(&file));
        let rev = signing.commit(&["gpg.format=ssh", &key], &[]);
        let signers = allowed(&format!("alice@example.org {public}"));
        let shown = run(Command::new("ssh-keygen").args(["-l", "-f", text(&file)]));

        let evidence = signing.ask(rev, &signers, &["alice@example.org"]);
        let Signed::By(signer) = &evidence.signer else { panic!("{kind}{bits}: {evidence:?}") };
        assert_eq!(signer.names, ["alice@example.org"]);
        assert!(shown.contains(&signer.key), "{shown}: {}", signer.key);
        assert!(matches!(evidence.signature, Answer::Proven(_)), "{evidence:?}");
        let evidence = signing.ask(rev, &signers, &[&signer.key]);
        assert!(matches!(evidence.signature, Answer::Proven(_)), "{evidence:?}");
        let evidence = signing.ask(rev, &signers, &["bob@example.org"]);
        assert!(matches!(evidence.signature, Answer::Refuted { .. }), "{evidence:?}");
        let evidence = signing.ask(rev, &Signers::default(), &["alice@example.org"]);
        assert!(matches!(evidence.signature, Answer::Unknown { .. }), "{evidence:?}");

        let tampered = signing.tamper(rev);
        let evidence = signing.ask(tampered, &signers, &["alice@example.org"]);
        assert!(matches!(evidence.signer, Signed::Bad { .. }), "{kind}{bits}: {evidence:?}");
        assert!(matches!(evidence.signature, Answer::Refuted { .. }), "{evidence:?}");
    }
}

#[test]
fn ssh_keys_are_limited_by_their_line() {
    if !installed("ssh-keygen", "-?") {
        return;
    }
    let signing = Signing::new();
    let (file, public) = signing.ssh_key("ed25519", "");
    let (_, other) = signing.ssh_key("rsa", "2048");
    let key = format!("user.signingKey={}", text(&file));
    let rev = signing.commit(&["gpg.format=ssh", &key], &[]);
    let signed = |lines: &str| signing.ask(rev, &allowed(lines), &[]).signer;
    assert!(matches!(signed(&format!("a {other}")), Signed::UnknownKey { .. }));
    for (options, wanted) in [
        ("valid-before=\"20190101Z\"", VoidReason::KeyExpired),
        ("valid-after=\"20300101Z\"", VoidReason::KeyExpired),
        ("namespaces=\"file\"", VoidReason::NotForGit),
    ] {
        let found = signed(&format!("a {options} {public}"));
        assert!(matches!(found, Signed::Void { why, .. } if why == wanted), "{options}: {found:?}");
    }
    let both = format!(
        "a valid-before=\"20190101Z\" {public}\nb valid-after=\"20190101Z\",namespaces=\"git\" {public}"
    );
    let Signed::By(signer) = signed(&both) else { panic!("{:?}", signed(&both)) };
    assert_eq!(signer.names, ["b"]);
    // Signed for something else than git.
    let raw = signing.made.git(&["cat-file", "commit", &rev.to_string()]);
    let (head, message) = raw.split_once("\n\n").unwrap();
    let unsigned: String =
        head.split("\ngpgsig").next().unwrap().to_owned() + "\n\n" + message + "\n";
    let payload = signing.dir.path().join("payload");
    fs::write(&payload, &unsigned).unwrap();
    run(Command::new("ssh-keygen").args([
        "-q",
        "-Y",
        "sign",
        "-n",
        "file",
        "-f",
        text(&file),
        text(&payload),
    ]));
    let armor = fs::read_to_string(payload.with_extension("sig")).unwrap();
    let header = format!("\ngpgsig {}", armor.trim().replace('\n', "\n "));
    let signed_text = unsigned.replacen("\n\n", &format!("{header}\n\n"), 1);
    fs::write(&payload, signed_text).unwrap();
    let id = signing.made.git(&["hash-object", "-t", "commit", "-w", text(&payload)]);
    let foreign = ObjectId::parse(&id).unwrap();
    let found = signing.ask(foreign, &allowed(&format!("a {public}")), &[]).signer;
    assert!(matches!(found, Signed::Void { why: VoidReason::NotForGit, .. }), "{found:?}");
}

#[test]
fn signed_tags_count_for_the_commit_they_were_made_for() {
    if !installed("ssh-keygen", "-?") {
        return;
    }
    let mut signing = Signing::new();
    let (file, public) = signing.ssh_key("ed25519", "");
    let key = format!("user.signingKey={}", text(&file));
    let rev = ObjectId::parse(&signing.made.git(&["rev-parse", "main"])).unwrap();
    signing.made.git(&[
        "-c",
        "gpg.format=ssh",
        "-c",
        &key,
        "tag",
        "-s",
        "-m",
        "words",
        "v1",
        "main",
    ]);
    let signers = allowed(&format!("alice {public}"));
    let evidence = signing.ask_on(rev, &signers, &["alice"], "v1");
    assert!(matches!(evidence.signature, Answer::Proven(_)), "{evidence:?}");
    // The same tag under the name of another release, and nothing asked for it.
    signing.made.git(&["update-ref", "refs/tags/v2", "refs/tags/v1"]);
    let evidence = signing.ask_on(rev, &signers, &["alice"], "v2");
    assert!(!matches!(evidence.signature, Answer::Proven(_)), "{evidence:?}");
    let evidence = signing.ask_on(rev, &signers, &["alice"], "main");
    assert!(matches!(evidence.signature, Answer::Refuted { .. }), "{evidence:?}");
    // A later commit is not what the tag was made for.
    let later = signing.made.commit("refs/heads/main", Some(rev), &[TestFile::new("a", "c")]);
    let evidence = signing.ask_on(later, &signers, &["alice"], "v1");
    assert!(matches!(evidence.signature, Answer::Refuted { .. }), "{evidence:?}");
}

/// A home of GnuPG whose agent ends with it.
struct Gnupg(tempfile::TempDir);

impl Gnupg {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        Self(dir)
    }

    fn command(&self, time: i64) -> Command {
        let mut command = Command::new("gpg");
        command.env("GNUPGHOME", self.0.path());
        command.args([
            "--batch",
            "--quiet",
            "--yes",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
        ]);
        command.arg("--faked-system-time").arg(time.to_string());
        command
    }

    fn gpg(&self, time: i64, arguments: &[&str]) -> String {
        run(self.command(time).args(arguments))
    }

    /// Makes a key of one year, and gives its fingerprint.
    fn key(&self, name: &str, kind: &str, time: i64) -> String {
        self.gpg(time, &["--quick-generate-key", name, kind, "sign", "1y"]);
        let listed = self.gpg(time, &["--with-colons", "--list-keys", name]);
        listed.lines().find_map(|l| l.strip_prefix("fpr:")).unwrap().trim_matches(':').to_owned()
    }

    fn keyring(&self, armored: bool) -> Signers {
        let mut command = self.command(EPOCH);
        if armored {
            command.arg("--armor");
        }
        let output = command.arg("--export").output().unwrap();
        let keyring = Keyring::parse(&output.stdout).unwrap();
        Signers { keyring, now: EPOCH + 86_400, ..Signers::default() }
    }

    /// What git calls to sign at a time.
    fn program(&self, time: i64) -> String {
        let file = self.0.path().join(format!("gpg-{time}"));
        let script = format!(
            "#!/bin/sh\nexec gpg --batch --pinentry-mode loopback --passphrase '' --faked-system-time {time} \"$@\"\n"
        );
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
        format!("gpg.program={}", text(&file))
    }
}

impl Drop for Gnupg {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf")
            .args(["--homedir", text(self.0.path()), "--kill", "all"])
            .status();
    }
}

const DAY: i64 = 86_400;

#[test]
fn openpgp_keys_of_every_kind_sign() {
    if !installed("gpg", "--version") {
        return;
    }
    let signing = Signing::new();
    for kind in ["rsa2048", "rsa3072", "ed25519", "nistp256", "nistp384"] {
        let gnupg = Gnupg::new();
        let home = [("GNUPGHOME", gnupg.0.path())];
        let fingerprint = gnupg.key("Alice <alice@example.org>", kind, EPOCH - 10 * DAY);
        let key = format!("user.signingKey={fingerprint}");
        let rev = signing.commit(&[&gnupg.program(EPOCH), &key], &home);
        for armored in [false, true] {
            let signers = gnupg.keyring(armored);
            let evidence = signing.ask(rev, &signers, &["alice@example.org"]);
            let Signed::By(signer) = &evidence.signer else { panic!("{kind}: {evidence:?}") };
            assert_eq!(signer.key, fingerprint.to_lowercase());
            assert_eq!(signer.names, ["Alice <alice@example.org>"]);
            assert!(matches!(evidence.signature, Answer::Proven(_)), "{kind}: {evidence:?}");
        }
        let signers = gnupg.keyring(false);
        let found = signing.ask(signing.tamper(rev), &signers, &[]).signer;
        assert!(matches!(found, Signed::Bad { .. }), "{kind}: {found:?}");
        let other = Gnupg::new();
        other.key("Bob <bob@example.org>", "ed25519", EPOCH - 10 * DAY);
        let found = signing.ask(rev, &other.keyring(false), &[]).signer;
        assert_eq!(found, Signed::UnknownKey { key: fingerprint.to_lowercase() });
    }
}

#[test]
fn openpgp_subkeys_sign_for_their_owner() {
    if !installed("gpg", "--version") {
        return;
    }
    let signing = Signing::new();
    let gnupg = Gnupg::new();
    let home = [("GNUPGHOME", gnupg.0.path())];
    let made = EPOCH - 10 * DAY;
    let primary = gnupg.key("Alice <alice@example.org>", "ed25519", made);
    gnupg.gpg(made, &["--quick-add-key", &primary, "ed25519", "sign", "1y"]);
    let rev =
        signing.commit(&[&gnupg.program(EPOCH), &format!("user.signingKey={primary}")], &home);
    let evidence = signing.ask(rev, &gnupg.keyring(false), &["Alice <alice@example.org>"]);
    let Signed::By(signer) = &evidence.signer else { panic!("{evidence:?}") };
    assert_ne!(signer.key, primary.to_lowercase());
    assert!(matches!(evidence.signature, Answer::Proven(_)), "{evidence:?}");
}

#[test]
fn expired_and_revoked_keys_are_told_apart() {
    if !installed("gpg", "--version") {
        return;
    }
    let signing = Signing::new();
    let gnupg = Gnupg::new();
    let home = [("GNUPGHOME", gnupg.0.path())];
    let fingerprint = gnupg.key("Alice <alice@example.org>", "ed25519", EPOCH - 30 * DAY);
    let rev =
        signing.commit(&[&gnupg.program(EPOCH), &format!("user.signingKey={fingerprint}")], &home);
    assert!(matches!(signing.ask(rev, &gnupg.keyring(false), &[]).signer, Signed::By(_)));

    // The owner says that the key ended before it signed.
    gnupg.gpg(EPOCH - 20 * DAY, &["--quick-set-expire", &fingerprint, "seconds=86400"]);
    let evidence = signing.ask(rev, &gnupg.keyring(false), &["alice@example.org"]);
    assert!(
        matches!(evidence.signer, Signed::Void { why: VoidReason::KeyExpired, .. }),
        "{evidence:?}"
    );
    assert!(matches!(evidence.signature, Answer::Refuted { .. }), "{evidence:?}");
    gnupg.gpg(EPOCH - 19 * DAY, &["--quick-set-expire", &fingerprint, "5y"]);
    assert!(matches!(signing.ask(rev, &gnupg.keyring(false), &[]).signer, Signed::By(_)));

    // The certificate that GnuPG keeps for the day the key is lost.
    let certificate = gnupg.0.path().join(format!("openpgp-revocs.d/{fingerprint}.rev"));
    let written = fs::read_to_string(&certificate).unwrap();
    fs::write(&certificate, written.replace(":-----BEGIN", "-----BEGIN")).unwrap();
    gnupg.gpg(EPOCH, &["--import", text(&certificate)]);
    let evidence = signing.ask(rev, &gnupg.keyring(false), &["alice@example.org"]);
    assert!(
        matches!(evidence.signer, Signed::Void { why: VoidReason::KeyRevoked, .. }),
        "{evidence:?}"
    );
    assert!(matches!(evidence.signature, Answer::Refuted { .. }), "{evidence:?}");
}

#[test]
fn every_flipped_byte_of_a_signature_is_seen() {
    if !installed("gpg", "--version") {
        return;
    }
    use nix_verify::nix::git::commit::{Commit, Signature};
    let signing = Signing::new();
    let gnupg = Gnupg::new();
    let fingerprint = gnupg.key("A <a@example.org>", "ed25519", EPOCH - DAY);
    let home = [("GNUPGHOME", gnupg.0.path())];
    let rev =
        signing.commit(&[&gnupg.program(EPOCH), &format!("user.signingKey={fingerprint}")], &home);
    let raw = signing.made.git(&["cat-file", "commit", &rev.to_string()]) + "\n";
    let commit = Commit::parse(raw.as_bytes()).unwrap();
    let good = commit.signature.unwrap();
    let signers = gnupg.keyring(false);
    assert!(matches!(signers.verify(&good, commit.time), Signed::By(_)));
    for at in 0..good.payload.len() {
        let mut payload = good.payload.clone();
        payload[at] ^= 1;
        let changed = Signature { payload, armor: good.armor.clone() };
        assert!(matches!(signers.verify(&changed, 0), Signed::Bad { .. }), "payload byte {at}");
    }
    // Unhashed parts and armour may change without effect; what is then said
    // to be by the key must still be what the key signed.
    let text_end = good.armor.len();
    for at in 0..text_end {
        let mut armor = good.armor.clone();
        armor[at] ^= 1;
        let changed = Signature { payload: b"other".to_vec(), armor };
        assert!(!matches!(signers.verify(&changed, 0), Signed::By(_)), "armour byte {at}");
    }
}
