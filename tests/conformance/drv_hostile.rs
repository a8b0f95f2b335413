//! Damaged derivations: each is refused at the right byte for the right reason.

use std::collections::BTreeMap;

use nix_verify::nix::derivation::options::Options;
use nix_verify::nix::derivation::{Derivation, check_paths};
use nix_verify::nix::store_path::StoreDir;

const A: &str = "/nix/store/0hm2f1psjpcwg8fijsmr4wwxrx59s092-a";
const B: &str = "/nix/store/1hm2f1psjpcwg8fijsmr4wwxrx59s092-b";
const HEX: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

/// A good derivation with one field replaced.
fn with(outputs: &str, input_drvs: &str, input_srcs: &str, rest: &str) -> String {
    format!("Derive([{outputs}],[{input_drvs}],[{input_srcs}],{rest})")
}

const OUT: &str = "(\"out\",\"\",\"\",\"\")";
const REST: &str = "\"x\",\"/b\",[\"a\"],[(\"e\",\"f\")]";

/// The text in which `^` marks where the defect is, and what is said of it.
fn cases() -> Vec<(String, &'static str)> {
    let fixed = |path: &str, algorithm: &str, hash: &str| {
        with(&format!("(\"out\",{path},{algorithm},{hash})"), "", "", REST)
    };
    let a = format!("\"{A}\"");
    vec![
        ("^".into(), "ends where 'Derive('"),
        ("Deriv^x".into(), "found byte 0x78 where 'Derive('"),
        ("^DrvWithVersion(\"xp-dyn-drv\",[])".into(), "dynamic derivations, which is unsupported"),
        (with(OUT, "", "", REST) + "^\n", "1 bytes follow the end"),
        (with(&format!("{OUT}^ "), "", "", REST), "found byte 0x20 where ',' or ']'"),
        (with(&format!("^,{OUT}"), "", "", REST), "found byte 0x2c where '('"),
        (with(&format!("{OUT},^"), "", "", REST), "found byte 0x5d where '('"),
        (with(OUT, "", "", "\"x\",\"/b\",[\"a\"^;\"b\"],[]"), "found byte 0x3b where ','"),
        // Escapes.
        (with(OUT, "", "", "\"x\",\"^\\b\",[],[]"), "needless escape '\\' before byte 0x62"),
        (with(OUT, "", "", "\"x\",\"a^\nb\",[],[]"), "raw byte 0x0a in a string"),
        (with(OUT, "", "", "\"x\",\"\",[\"^\r\"],[]"), "raw byte 0x0d in a string"),
        (with(OUT, "", "", "\"x\",\"\",[],[(\"\",\"^\t\")]"), "raw byte 0x09 in a string"),
        (with(OUT, "", "", "\"x^\\\\\",\"\",[],[]"), "backslash in the platform"),
        (with("(\"o^\\\"\",\"\",\"\",\"\")", "", "", REST), "backslash in an output name"),
        // Order.
        (
            with(&format!("{OUT},(^\"dev\",\"\",\"\",\"\")"), "", "", REST),
            "the list of outputs is not sorted: 'dev' stands after 'out'",
        ),
        (
            with(&format!("{OUT},(^\"out\",\"\",\"\",\"\")"), "", "", REST),
            "'out' stands twice in the list of outputs",
        ),
        (with(OUT, "", &format!("\"{B}\",^\"{A}\""), REST), "input sources is not sorted"),
        (with(OUT, "", &format!("\"{A}\",^\"{A}\""), REST), "twice in the list of input sources"),
        (
            with(OUT, &format!("(\"{B}.drv\",[\"out\"]),(^\"{A}.drv\",[\"out\"])"), "", REST),
            "input derivations is not sorted",
        ),
        (
            with(OUT, &format!("(\"{A}.drv\",[\"out\"]),(^\"{A}.drv\",[\"dev\"])"), "", REST),
            "twice in the list of input derivations",
        ),
        (
            with(OUT, &format!("(\"{A}.drv\",[\"out\",^\"dev\"])"), "", REST),
            "outputs of an input derivation is not sorted",
        ),
        (
            with(OUT, "", "", "\"x\",\"\",[],[(\"b\",\"\"),(^\"a\",\"\")]"),
            "environment variables is not sorted",
        ),
        (
            with(OUT, "", "", "\"x\",\"\",[],[(\"a\",\"\"),(^\"a\",\"1\")]"),
            "twice in the list of environment variables",
        ),
        // Paths.
        (with(OUT, "", "^\"/etc/passwd\"", REST), "not in the store directory"),
        (with(OUT, "", &format!("^\"{A}/x\""), REST), "not the path of a store object itself"),
        (with(OUT, "", "^\"\u{e9}\"", REST), "not in the store directory"),
        (with(OUT, &format!("(^\"{A}\",[\"out\"])"), "", REST), "is no '.drv' file"),
        (with(OUT, &format!("(^\"{A}.drv\",[])"), "", REST), "names no outputs"),
        (with(OUT, &format!("(\"{A}.drv\",[^\"a b\"])"), "", REST), "bad output name"),
        // Outputs.
        (with("^", "", "", REST), "has no outputs"),
        (with("(^\"\",\"\",\"\",\"\")", "", "", REST), "bad output name"),
        (with("(^\"a/b\",\"\",\"\",\"\")", "", "", REST), "bad output name"),
        (fixed("^\"\"", "\"sha256\"", &format!("\"{HEX}\"")), "the fixed output 'out' has no path"),
        (fixed(&a, "\"\"", &format!("^\"{HEX}\"")), "a hash but no hash algorithm"),
        (fixed(&format!("^{a}"), "\"sha256\"", "\"\""), "has a path, yet its hash is not known"),
        (fixed(&format!("^{a}"), "\"sha256\"", "\"impure\""), "has a path, yet its hash is not"),
        (fixed(&a, "^\"sha3\"", &format!("\"{HEX}\"")), "unknown hash algorithm 'sha3'"),
        (fixed(&a, "^\"text:sha256\"", &format!("\"{HEX}\"")), "method 'text:' is experimental"),
        (fixed(&a, "^\"git:sha1\"", &format!("\"{HEX}\"")), "method 'git:' is experimental"),
        (fixed(&a, "\"sha256\"", &format!("^\"{}\"", &HEX[1..])), "63 characters are no sha256"),
        (fixed(&a, "\"sha256\"", &format!("^\"{}\"", HEX.to_uppercase())), "not lower-case base16"),
        (fixed(&a, "\"sha256\"", "^\"00yz2f8bn92kwq6qkxd2hf7zz5g8qgybpg2jwhkf7i5m3bp1jy04\""), ""),
        (
            with(&format!("(\"dev\",\"\",\"\",\"\"),(^\"out\",{a},\"\",\"\")"), "", "", REST),
            "output 'out' is input-addressed, the others are deferred",
        ),
        (
            with(&format!("(^\"dev\",{a},\"sha256\",\"{HEX}\")"), "", "", REST),
            "called 'out', found 'dev'",
        ),
        (
            with(
                &format!("(\"out\",{a},\"sha256\",\"{HEX}\"),(^\"p\",{a},\"sha256\",\"{HEX}\")"),
                "",
                "",
                REST,
            ),
            "called 'out', found 'p'",
        ),
        (
            with("(\"a\",\"\",\"sha1\",\"\"),(^\"b\",\"\",\"r:sha256\",\"\")", "", "", REST),
            "another hash algorithm",
        ),
    ]
}

#[test]
fn every_defect_is_named_at_its_byte() {
    let store = StoreDir::default();
    assert!(Derivation::parse(with(OUT, "", "", REST).as_bytes(), &store).is_ok());
    for (marked, wanted) in cases() {
        let offset = marked.find('^').unwrap();
        let text = marked.replacen('^', "", 1);
        let error = Derivation::parse(text.as_bytes(), &store).expect_err(&marked);
        assert!(error.to_string().contains(wanted), "{marked}\n{error}");
        assert_eq!(error.offset, offset, "{marked}\n{error}");
    }
}

/// What Nix writes raw is read raw: any byte but the five with escapes.
#[test]
fn every_byte_survives_in_values() {
    let store = StoreDir::default();
    let all: Vec<u8> = (0..=255).collect();
    let plain = with(OUT, "", "", REST);
    let mut drv = Derivation::parse(plain.as_bytes(), &store).unwrap();
    drv.env.insert(all.clone(), all.clone());
    drv.args.push(all.clone());
    drv.builder = all;
    let text = drv.to_aterm(&store);
    assert_eq!(Derivation::parse(&text, &store), Ok(drv));
}

/// Messages never carry raw control characters of the input.
#[test]
fn messages_are_printable() {
    let store = StoreDir::default();
    for hostile in ["\u{1b}[31m", "\u{7}", "\u{202e}", "\0", "é\u{9b}"] {
        let quoted = format!("\"{hostile}\"");
        for text in [
            with(&format!("({quoted},\"\",\"\",\"\")"), "", "", REST),
            with(OUT, "", &quoted, REST),
            with(OUT, "", &format!("\"/nix/store/{hostile}\""), REST),
            with(OUT, &format!("({quoted},[])"), "", REST),
            with(&format!("(\"out\",\"\",{quoted},\"\")"), "", "", REST),
            with(&format!("(\"out\",\"\",\"{hostile}:sha256\",\"\")"), "", "", REST),
            with(&format!("(\"out\",\"{A}\",\"sha256\",{quoted})"), "", "", REST),
            with(OUT, "", "", &format!("\"\",\"\",[],[({quoted},\"\"),({quoted},\"\")]")),
        ] {
            let message = Derivation::parse(text.as_bytes(), &store).unwrap_err().to_string();
            let raw = |c: char| c.is_control() || c == '\u{202e}';
            assert!(!message.contains(raw), "{message:?}");
        }
    }
}

/// Whatever is done to a good text: what is accepted prints back.
#[test]
fn mutants_print_back_or_are_refused() {
    let store = StoreDir::default();
    let corpus: Vec<Vec<u8>> = [
        "nix-ia/advanced-attributes.drv",
        "nix-ca/advanced-attributes-structured-attrs-defaults.drv",
        "go-nix/292w8yzv5nn7nhdpxcs8b7vby2p27s09-nested-json.drv",
        "hash-modulo/source-first.drv",
        "hash-modulo/parent-split.drv",
    ]
    .map(|file| crate::fixtures::read(&format!("drv/{file}")))
    .to_vec();
    let tokens: [&[u8]; 16] = [
        b"\"", b"\\", b"\\n", b"\\x", b",", b"[", b"]", b"(", b")", b"[]", b"()", b"\"\"", b"\n",
        b"\0", b"\xff", b"Derive(",
    ];
    let mut random = fastrand::Rng::with_seed(2);
    let mut accepted = 0;
    for _ in 0..30_000 {
        let mut text = corpus[random.usize(..corpus.len())].clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..text.len());
            let to = (at + random.usize(..20)).min(text.len());
            match random.u8(..5) {
                0 => text[at] = random.u8(..),
                1 => drop(text.drain(at..to)),
                2 => {
                    let piece = text[at..to].to_vec();
                    text.splice(at..at, piece);
                }
                3 => drop(text.splice(at..at, random.choice(tokens).unwrap().iter().copied())),
                _ => text.truncate(at + 1),
            }
            if text.is_empty() {
                text.push(b'D');
            }
        }
        match Derivation::parse(&text, &store) {
            Ok(drv) => {
                accepted += 1;
                assert_eq!(drv.to_aterm(&store), text);
                // Never a panic, whatever the answer.
                let _ = Options::of(&drv, &store);
                let path = drv.drv_path("x", &store).unwrap();
                let graph = BTreeMap::from([(path.clone(), drv.clone())]);
                let _ = check_paths(&drv, &path, &store, &graph);
            }
            Err(error) => assert!(error.offset <= text.len()),
        }
    }
    assert!(accepted > 1000, "only {accepted} were accepted");
}
