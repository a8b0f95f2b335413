//! Real locks, each with what is known to be wrong with it (SOURCES.tsv and
//! PAIRS.tsv beside them).

use super::*;

/// Every error, as `rule input:line`, and nothing else may be one.
const ERRORS: &[(&str, &[&str])] = &[
    ("DeterminateSystems+nix-installer", &[]),
    (
        "Lehmanator+nix-configs",
        // git://
        &["insecure-scheme nixos-riscv-phone/riscvphone-src:10049"],
    ),
    ("LunNova+nixos-configs", &[]),
    (
        "Mic92+dotfiles",
        &["pin-mismatch ghostty:261", "tarball-rev-mismatch clan-core/data-mesher:109"],
    ),
    ("Misterio77+nix-config", &["pin-mismatch nix-colors:74", "source-mismatch nix-colors:72"]),
    ("NixOS+hydra", &["malformed-lock NixOS+hydra.lock:58"]),
    ("NixOS+nix", &[]),
    ("auxolotl+core", &[]),
    ("balsoft+nixos-config", &[]),
    ("cachix+devenv", &[]),
    (
        "colemickens+nixcfg",
        &[
            "source-mismatch firefox:122",
            "source-mismatch home-manager:173",
            "source-mismatch master:206",
            "source-mismatch mobile-nixos:223",
            "source-mismatch nixos-azure:281",
            "source-mismatch nixos-veloren:320",
            "source-mismatch nixpkgs:388",
            "source-mismatch nixpkgs-wayland:372",
            "source-mismatch pipkgs:405",
            "source-mismatch sops-nix:449",
            "source-mismatch wip-pinebook-pro:520",
            "unlocked-input nixpkgs-wayland:373",
        ],
    ),
    (
        "divnix+digga",
        // Two circles; what only leads into one is no error of its own.
        &["follows-cycle digga/home-manager:154", "follows-cycle digga/nixpkgs:163"],
    ),
    ("edolstra+dwarffs", &["malformed-lock edolstra+dwarffs.lock:9"]),
    (
        "eza-community+eza",
        // Six http:// and one http:/ with a slash missing.
        &[
            "insecure-scheme flake-utils:43",
            "insecure-scheme naersk:117",
            "insecure-scheme nixpkgs:129",
            "insecure-scheme powertest:172",
            "insecure-scheme pre-commit-hooks:195",
            "insecure-scheme rust-overlay:225",
            "insecure-scheme treefmt-nix:287",
        ],
    ),
    ("flox+flox", &[]),
    ("fufexan+dotfiles", &["source-mismatch nixpkgs:1302"]),
    ("hlissner+dotfiles", &["missing-node nixpkgs-stable:127"]),
    ("hyprwm+Hyprland", &[]),
    (
        "input-output-hk+bitte",
        // The repo swap; what is wrong with the orphan is passed over by Nix.
        &["source-mismatch std/nixago/nixago-exts:1169"],
    ),
    ("input-output-hk+iohk-nix", &[]),
    (
        "ngi-nix+ngipkgs",
        &[
            "duplicate-key hillingar/opam-nix/flake-compat:92",
            "duplicate-key hillingar/opam-nix/flake-compat:93",
            "duplicate-key hillingar/opam-nix/flake-compat:94",
            "source-mismatch pre-commit-hooks/flake-compat:110",
        ],
    ),
    ("nix-community+home-manager", &[]),
    ("nix-community+nix-on-droid", &[]),
    ("numtide+devshell", &[]),
    ("oddlama+nix-config", &["source-mismatch agenix-rekey:43", "unlocked-input agenix-rekey:39"]),
    ("openclaw+nix-openclaw-tools", &[]),
    ("ryan4yin+nix-config", &[]),
    ("serokell+serokell.nix", &[]),
    ("tiiuae+ghaf", &["pin-mismatch ctrl-panel:57"]),
    ("wimpysworld+nix-config", &[]),
];

/// What weighs less than an error: lock, rule, how often.
const LESSER: &[(&str, &str, usize)] = &[
    ("DeterminateSystems+nix-installer", "mutable-tarball", 3),
    ("Lehmanator+nix-configs", "indirect-input", 32),
    ("Lehmanator+nix-configs", "local-input", 1),
    ("LunNova+nixos-configs", "one-hash-for-two-revs", 1),
    ("NixOS+nix", "indirect-input", 1),
    ("cachix+devenv", "missing-nar-hash", 2),
    ("colemickens+nixcfg", "local-input", 11),
    ("eza-community+eza", "mutable-tarball", 7),
    ("flox+flox", "credentials-in-url", 4),
    ("input-output-hk+bitte", "orphan-node", 1),
    ("input-output-hk+bitte", "missing-node", 1),
    ("input-output-hk+bitte", "dangling-follows", 1),
    ("nix-community+home-manager", "hash-notation", 1),
    ("oddlama+nix-config", "dirty-rev", 1),
    ("oddlama+nix-config", "local-input", 1),
    ("openclaw+nix-openclaw-tools", "escaping-path", 1),
    ("ryan4yin+nix-config", "duplicate-input", 8),
    ("serokell+serokell.nix", "duplicate-input", 20),
    ("serokell+serokell.nix", "indirect-input", 9),
    ("serokell+serokell.nix", "submodules", 2),
    ("wimpysworld+nix-config", "missing-nar-hash", 16),
];

/// Every pair: exit code, then what is said of the change, errors and lesser
/// ones, as `rule input`.
const PAIRS: &[(&str, i32, &[&str])] = &[
    (
        "input-output-hk+iohk-nix@fdfc53bc",
        1,
        &["narhash-not-updated blst", "original-changed blst"],
    ),
    ("input-output-hk+iohk-nix@c0106e1e", 1, &["narhash-changed-same-rev blst"]),
    ("Mic92+dotfiles@8ba9f0ff", 1, &["narhash-not-updated ghostty", "pin-mismatch ghostty"]),
    (
        "Mic92+dotfiles@3abec83b",
        1,
        &[
            "narhash-not-updated clan-core/data-mesher",
            "tarball-rev-mismatch clan-core/data-mesher",
        ],
    ),
    ("Misterio77+nix-config@a6f37c85", 1, &["source-swapped nix-colors"]),
    ("fufexan+dotfiles@974b63a5", 1, &["source-swapped nixpkgs"]),
    ("oddlama+nix-config@3c322bbd", 1, &["source-swapped agenix-rekey"]),
    ("divnix+digga@7b0cff82", 1, &["duplicate-key nixpkgs-unstable"]),
    ("NixOS+infra@226abe34", 0, &[]),
    ("nix-community+infra@c42352c7", 0, &[]),
];

#[test]
fn every_error_is_found_and_no_other() {
    let mut files = 0;
    for (name, errors) in ERRORS {
        let file = format!("{name}.lock");
        let (code, report) = audit(&locks(), &[&file]);
        assert_eq!(found(&report, "error"), *errors, "{name}");
        assert_eq!(code, i32::from(!errors.is_empty()), "{name}");
        files += 1;
    }
    let there = locks().read_dir().unwrap();
    let there =
        there.filter(|one| one.as_ref().unwrap().path().extension().is_some_and(|e| e == "lock"));
    assert_eq!((files, there.count()), (30, 30));
}

#[test]
fn every_lesser_defect_is_found() {
    for (name, rule, count) in LESSER {
        let (_, report) = audit(&locks(), &[&format!("{name}.lock")]);
        let here = report["findings"].as_array().unwrap();
        let here = here.iter().filter(|one| one["rule"] == *rule && one["level"] != "error");
        assert_eq!(here.count(), *count, "{name} {rule}");
    }
}

#[test]
fn every_pair_is_judged_as_expected() {
    for (name, code, expected) in PAIRS {
        let (head, base) = (format!("pairs/{name}.head.lock"), format!("pairs/{name}.base.lock"));
        let (was, report) = audit(&locks(), &[&head, "--base", &base]);
        assert_eq!(was, *code, "{name}");
        let all: Vec<String> = report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                format!("{} {}", one["rule"].as_str().unwrap(), one["subject"].as_str().unwrap())
            })
            .collect();
        for wanted in *expected {
            assert!(all.iter().any(|one| one == wanted), "{name}: {wanted} not in {all:#?}");
        }
        if *code == 0 {
            // An ordinary update: notes at most.
            assert!(found(&report, "error").is_empty(), "{name}");
            assert!(
                found(&report, "warning").is_empty(),
                "{name}: {:?}",
                found(&report, "warning")
            );
            assert!(!report["facts"]["changes"].as_array().unwrap().is_empty(), "{name}");
        }
        // Without the base the desynchronised ones look clean.
        if name.starts_with("input-output-hk+iohk-nix") {
            let (alone, _) = audit(&locks(), &[&head]);
            assert_eq!(alone, 0, "{name}");
        }
    }
}

#[test]
fn the_change_table_has_what_changed_and_nothing_else() {
    let name = "pairs/NixOS+infra@226abe34";
    let (_, report) =
        audit(&locks(), &[&format!("{name}.head.lock"), "--base", &format!("{name}.base.lock")]);
    let changes = report["facts"]["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 11);
    let nixpkgs = changes.iter().find(|one| one["input"] == "nixpkgs").unwrap();
    assert_eq!(nixpkgs["from"]["rev"], "c9822b4fe2001d855d95813e5a69a08dc20291cb");
    assert_eq!(nixpkgs["to"]["rev"], "33ddeb9e7c03403e17814e8aac1f7affe6d70b21");
    assert_eq!(nixpkgs["to"]["last_modified"], "2026-08-09T03:15:35Z");
    let ran = verify(
        &locks(),
        &[
            "lock",
            "--now",
            NOW,
            &format!("{name}.head.lock"),
            "--base",
            &format!("{name}.base.lock"),
        ],
    );
    let text = ran.out;
    assert!(text.contains("Changes (11 of 49)"), "{text}");
}
