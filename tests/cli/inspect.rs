//! `verify inspect` over files of every kind.

use super::*;

/// The lines of a table of expectations, its heading left out.
fn table(path: &str) -> Vec<Vec<String>> {
    std::fs::read_to_string(fixtures().join(path))
        .unwrap()
        .lines()
        .skip(1)
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}

#[test]
fn nars_are_what_the_table_says() {
    for row in table("nar/EXPECTED.tsv") {
        let (code, report) = report(&["inspect", &format!("nar/{}", row[0])]);
        let facts = &report["facts"];
        if row[3] == "valid" {
            assert_eq!(code, 0, "{row:?}: {report}");
            assert_eq!(facts["nar_size"].to_string(), row[1], "{row:?}");
            assert_eq!(facts["nar_hash"], format!("sha256:{}", row[2]), "{row:?}");
        } else {
            assert_eq!((code, rules(&report)), (1, vec!["malformed-nar"]), "{row:?}");
            let offset: u64 = evidence(&report["findings"][0], "byte offset").parse().unwrap();
            assert!(offset <= row[1].parse().unwrap(), "{row:?}: {offset}");
        }
    }
}

#[test]
fn a_nar_that_is_cut_names_the_place() {
    let bytes = std::fs::read(fixtures().join("nar/simple.nar")).unwrap();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("cut.nar");
    std::fs::write(&file, &bytes[..500]).unwrap();
    let (code, report) = report(&["inspect", file.to_str().unwrap()]);
    assert_eq!((code, rules(&report)), (1, vec!["malformed-nar"]));
    assert_eq!(report["facts"], serde_json::json!({ "kind": "nar" }));
}

#[test]
fn a_nar_proves_a_content_addressed_path_and_no_other() {
    let nar = "nar/empty-dir.nar";
    let (_, first) =
        report(&["inspect", nar, "--store-path", "fl8bqzmwd6vggrk50clnkb2v8ygn49ra-x"]);
    let path = first["facts"]["store_path_by_content"].as_str().unwrap();
    assert_eq!(first["coverage"]["inconclusive"][0]["reason"], "no-reference");
    assert_eq!(report(&["inspect", nar, "--store-path", path]).0, 0);
    let ran = verify(&["inspect", nar, "--store-path", "/nix/store/short"]);
    assert_eq!(ran.code, 2, "{}", ran.all());
}

#[test]
fn narinfos_are_what_the_table_says() {
    for row in table("narinfo/EXPECTED.tsv") {
        let file = format!("narinfo/{}", row[0]);
        let args = ["inspect", &file, "--trusted-keys-file", "narinfo/keys.txt"];
        let (code, report) = report(&args);
        let facts = &report["facts"];
        assert!(facts["store_path"].as_str().unwrap().contains(&row[1]), "{row:?}");
        let mut wanted: Vec<(String, String)> = row[2]
            .split(' ')
            .map(|one| one.split_once('=').unwrap())
            .map(|(key, state)| (key.to_owned(), state.replace('-', " ")))
            .collect();
        let unsorted = facts["references_sorted"] == false;
        if unsorted {
            // Good over the order of the file is not what Nix calls good.
            wanted[0].1 = "good over unsorted references only".to_owned();
        }
        let mut found: Vec<(String, String)> = facts["signatures"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                (one["key"].as_str().unwrap().to_owned(), one["state"].as_str().unwrap().to_owned())
            })
            .collect();
        found.sort();
        assert_eq!(found, wanted, "{row:?}");
        let expected = match (unsorted, row[2].contains("=bad")) {
            (true, _) => (3, vec!["unsorted-references"]),
            (_, true) => (1, vec!["forged-signature"]),
            _ => (0, vec![]),
        };
        assert_eq!((code, rules(&report)), expected, "{row:?}");
    }
}

#[test]
fn a_narinfo_about_another_path_is_foreign() {
    let file = "narinfo/attic-hello.narinfo";
    let right = "/nix/store/xcp9cav49dmsjbwdjlmkjxj10gkpx553-hello-2.10";
    assert_eq!(report(&["inspect", file, "--store-path", right]).0, 0);
    let (code, other) = report(&["inspect", file, "--store-path", &right.replace("xcp9", "ycp9")]);
    assert_eq!((code, rules(&other)), (1, vec!["foreign-narinfo"]));

    let place = tempfile::tempdir().unwrap();
    for (name, code) in
        [("xcp9cav49dmsjbwdjlmkjxj10gkpx553", 0), ("00bgd045z0d4icpbc2yyz4gx48ak44la", 1)]
    {
        let copy = place.path().join(format!("{name}.narinfo"));
        std::fs::copy(fixtures().join(file), &copy).unwrap();
        assert_eq!(report(&["inspect", copy.to_str().unwrap()]).0, code, "{name}");
    }
}

#[test]
fn signatures_count_only_by_keys_that_were_named() {
    let file = "narinfo/cachix-source-no-references.narinfo";
    let (code, unasked) = report(&["inspect", file]);
    assert_eq!(code, 0);
    assert_eq!(unasked["facts"]["signatures"][0]["state"], "unknown key");
    let not_run = unasked["coverage"]["not_run"].to_string();
    assert!(not_run.contains("--trusted-key"), "{not_run}");
    let other = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=";
    let (code, asked) = report(&["inspect", file, "--trusted-key", other]);
    assert_eq!(code, 3);
    assert_eq!(asked["coverage"]["inconclusive"][0]["reason"], "no-reference");
    for bad in ["", "x", "x:AAAA", "cache.nixos.org-1:!"] {
        let ran = verify(&["inspect", file, "--trusted-key", bad]);
        assert_eq!(ran.code, 2, "{bad}: {}", ran.all());
    }
    let twice = other.replace('6', "7");
    let ran = verify(&["inspect", file, "--trusted-key", other, "--trusted-key", &twice]);
    assert_eq!(ran.code, 2, "{}", ran.all());
}

#[test]
fn every_change_of_a_signed_field_is_noticed() {
    let text = std::fs::read_to_string(fixtures().join("narinfo/net-tools.narinfo")).unwrap();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("x");
    for (from, to, code) in [
        ("StorePath: /nix/store/0", "StorePath: /nix/store/1", 1),
        ("NarHash: sha256:0", "NarHash: sha256:1", 1),
        ("NarSize: 4", "NarSize: 5", 1),
        ("References: 7", "References: 8", 1),
        ("FileSize: 1", "FileSize: 2", 0),
        ("FileHash: sha256:1", "FileHash: sha256:0", 0),
        ("Compression: xz", "Compression: zstd", 0),
        ("Deriver: 1", "Deriver: 2", 0),
        ("URL: nar/", "URL: nar2/", 0),
        ("URL: nar/", "URL: ../nar/", 1),
        ("URL: nar/", "URL: https://elsewhere.example/", 1),
        ("NarSize: ", "NarSize: 1\nNarSize: ", 1),
        ("NarSize: ", "NarSize: -", 1),
    ] {
        assert!(text.contains(from), "{from}");
        std::fs::write(&file, text.replace(from, to)).unwrap();
        let (found, report) = report(&["inspect", file.to_str().unwrap()]);
        assert_eq!(found, code, "{from} -> {to}: {report}");
    }
    std::fs::write(&file, text.replace("\nNarSize", "\nNarsize")).unwrap();
    let (code, report) = report(&["inspect", file.to_str().unwrap(), "--kind", "narinfo"]);
    assert_eq!((code, rules(&report)), (1, vec!["malformed-narinfo"]));
}

#[test]
fn derivations_are_recomputed() {
    let drv = "drv/go-nix/ch49594n9avinrf8ip0aslidkc4lxkqv-foo.drv";
    let (code, beside) = report(&["inspect", drv]);
    assert_eq!(code, 0, "{beside}");
    assert_eq!(beside["coverage"]["answered"], 3);
    assert_eq!(beside["facts"]["output_paths"]["out"]["state"], "right");

    let place = tempfile::tempdir().unwrap();
    let alone = place.path().join("ch49594n9avinrf8ip0aslidkc4lxkqv-foo.drv");
    std::fs::copy(fixtures().join(drv), &alone).unwrap();
    let alone = alone.to_str().unwrap();
    let (code, missing) = report(&["inspect", alone]);
    assert_eq!(code, 3);
    let open = &missing["coverage"]["inconclusive"][0];
    assert_eq!(open["reason"], "derivation-missing");
    assert!(open["detail"].as_str().unwrap().contains("ss2p4wmxijn652haqyd7dckxwl4c7hxx-bar.drv"));
    assert_eq!(missing["facts"]["missing_inputs"].as_array().unwrap().len(), 1);
    assert_eq!(report(&["inspect", alone, "--drv-dir", "drv/go-nix"]).0, 0);

    let renamed = place.path().join("ss2p4wmxijn652haqyd7dckxwl4c7hxx-foo.drv");
    std::fs::copy(fixtures().join(drv), &renamed).unwrap();
    let renamed = renamed.to_str().unwrap();
    let (code, other) = report(&["inspect", renamed, "--drv-dir", "drv/go-nix"]);
    assert_eq!((code, rules(&other)), (1, vec!["malformed-derivation"]));
    let right = "/nix/store/ch49594n9avinrf8ip0aslidkc4lxkqv-foo.drv";
    let args = ["inspect", renamed, "--drv-dir", "drv/go-nix", "--store-path", right];
    assert_eq!(report(&args).0, 0);
}

#[test]
fn a_derivation_with_a_wrong_output_path_is_caught() {
    let drv = "drv/go-nix/4wvvbi4jwn0prsdxb7vs673qa5h9gr7x-foo.drv";
    let text = std::fs::read_to_string(fixtures().join(drv)).unwrap();
    let start = text.find("/nix/store/").unwrap() + "/nix/store/".len();
    let (old, new) =
        (&text[start..start + 4], if &text[start..start + 4] == "0000" { "1111" } else { "0000" });
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("foo.drv");
    std::fs::write(&file, text.replace(old, new)).unwrap();
    let args = ["inspect", file.to_str().unwrap(), "--drv-dir", "drv/go-nix"];
    let (code, report) = report(&args);
    assert_eq!((code, rules(&report)), (1, vec!["wrong-output-path"]), "{report}");
}

#[test]
fn malformed_derivations_name_the_byte() {
    let drv = "drv/go-nix/4wvvbi4jwn0prsdxb7vs673qa5h9gr7x-foo.drv";
    let bytes = std::fs::read(fixtures().join(drv)).unwrap();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("x.drv");
    for end in [7, 8, 20, bytes.len() - 1] {
        std::fs::write(&file, &bytes[..end]).unwrap();
        let (code, report) = report(&["inspect", file.to_str().unwrap()]);
        assert_eq!((code, rules(&report)), (1, vec!["malformed-derivation"]), "{end}");
        let offset: usize = evidence(&report["findings"][0], "byte offset").parse().unwrap();
        assert!(offset <= end, "{end}: {offset}");
    }
    std::fs::write(&file, [&bytes[..], b"\n"].concat()).unwrap();
    let (_, trailing) = report(&["inspect", file.to_str().unwrap()]);
    assert_eq!(evidence(&trailing["findings"][0], "byte offset"), bytes.len().to_string());
}

#[test]
fn locks_are_facts_without_secrets() {
    let ran = verify(&["inspect", "lock/good.lock", "--format", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(!ran.out.contains("s3cret"), "{}", ran.out);
    let facts = &ran.json()["facts"];
    assert_eq!((&facts["version"], &facts["node_count"]), (&7.into(), &3.into()));
    assert_eq!(facts["nodes"]["root"]["inputs"]["same"]["follows"][0], "nixpkgs");
    assert!(!verify(&["inspect", "lock/good.lock"]).out.contains("s3cret"));
}

#[test]
fn damaged_locks_name_the_byte() {
    let (code, doubled) = report(&["inspect", "lock/duplicate-key.lock"]);
    assert_eq!((code, rules(&doubled)), (1, vec!["duplicate-key"]));
    let text = std::fs::read_to_string(fixtures().join("lock/duplicate-key.lock")).unwrap();
    let again: usize = evidence(&doubled["findings"][0], "again at byte offset").parse().unwrap();
    assert!(text[again..].starts_with("\"owner\": \"Mallory\""));
    for (file, at) in [("version-4", "4\n}"), ("dangling", "\"nixpkgs_2\""), ("truncated", "")] {
        let path = format!("lock/{file}.lock");
        let (code, report) = report(&["inspect", &path]);
        assert_eq!((code, rules(&report)), (1, vec!["malformed-lock"]), "{file}");
        let text = std::fs::read_to_string(fixtures().join(&path)).unwrap();
        let offset: usize = evidence(&report["findings"][0], "byte offset").parse().unwrap();
        assert!(text[offset..].starts_with(at), "{file}: {offset}");
    }
}

#[test]
fn what_is_no_known_file_is_asked_about() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("x");
    let path = file.to_str().unwrap();
    for (bytes, hint) in [(&b""[..], "--kind"), (b"hello", "--kind"), (b"\xfd7zXZ\0...", "xz -d")] {
        std::fs::write(&file, bytes).unwrap();
        let ran = verify(&["inspect", path]);
        assert_eq!(ran.code, 2, "{}", ran.all());
        assert!(ran.err.contains(hint) && ran.out.is_empty(), "{}", ran.all());
    }
    for (kind, rule) in [
        ("nar", "malformed-nar"),
        ("narinfo", "malformed-narinfo"),
        ("drv", "malformed-derivation"),
        ("lock", "malformed-lock"),
    ] {
        let (code, report) = report(&["inspect", path, "--kind", kind]);
        assert_eq!((code, rules(&report)), (1, vec![rule]), "{kind}");
    }
    for unreadable in ["missing", "."] {
        let ran = verify(&["inspect", unreadable]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.all());
    }
}

#[test]
fn a_pipe_is_read_like_a_file() {
    let place = tempfile::tempdir().unwrap();
    let pipe = place.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
        .unwrap();
    let nar = std::fs::read(fixtures().join("nar/case.nar")).unwrap();
    let writer = {
        let pipe = pipe.clone();
        std::thread::spawn(move || std::fs::write(pipe, nar))
    };
    let (code, piped) = report(&["inspect", pipe.to_str().unwrap()]);
    writer.join().unwrap().unwrap();
    let (_, read) = report(&["inspect", "nar/case.nar"]);
    assert_eq!((code, &piped["facts"]), (0, &read["facts"]));
}
