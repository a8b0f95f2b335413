//! Operators are counted, not answers.

use super::handmade::{Handmade, full, public};
use super::*;

/// A file of operators: `a` and `b` build, `m` mirrors `a`, `r` signs anything.
fn operators(more: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "version = 1\n\
         [[operator]]\nname = 'a'\nkeys = ['{}', '{}']\n\
         [[operator]]\nname = 'b'\nkeys = ['{}']\n\
         [[operator]]\nname = 'm'\nrole = 'mirror'\nof = 'a'\nkeys = ['{}']\n\
         [[operator]]\nname = 'r'\nrole = 're-signer'\nkeys = ['{}']\n{more}",
        public("a-1"),
        public("a-2"),
        public("b-1"),
        public("m-1"),
        public("r-1")
    );
    std::fs::write(file.path(), text).unwrap();
    file
}

/// Asks caches that hold one path, each signed by some keys.
fn agree(wanted: &str, caches: &[&[&str]], more: &[&str]) -> Ran {
    let file = operators("");
    let made: Vec<Handmade> = caches.iter().map(|_| Handmade::new()).collect();
    let urls: Vec<String> = made.iter().map(Handmade::url).collect();
    for (cache, keys) in made.iter().zip(caches) {
        if !keys.is_empty() {
            cache.add("x", b"x\n", &[], keys);
        }
    }
    let path = full("x");
    let mut arguments = vec![path.as_str(), "--min-agree", wanted, "--operators"];
    arguments.push(file.path().to_str().unwrap());
    for url in &urls {
        arguments.extend(["--cache", url]);
    }
    arguments.extend(more);
    cache(&arguments)
}

#[test]
fn different_operators_agree() {
    agree("2", &[&["a-1"], &["b-1"]], &[]).is(0, "verified", &[]);
    agree("2", &[&["a-1", "b-1"]], &[]).is(0, "verified", &[]);
    agree("2", &[&["m-1"], &["b-1"]], &[]).is(0, "verified", &[]);
    let ran = agree("1", &[&["a-2"]], &[]);
    ran.is(0, "verified", &[]);
    assert_eq!(ran.report["facts"]["paths"][0]["versions"][0]["attested_by"][0], "a");
    fits_schema(&ran.report);
}

#[test]
fn one_operator_in_many_guises_is_one() {
    for caches in [
        &[&["a-1", "a-2"][..]][..],
        &[&["a-1"], &["a-2"]],
        &[&["a-1"], &["m-1"]],
        &[&["a-1"], &["r-1"]],
        &[&["a-1"], &["nobody-1"]],
        &[&["a-1"], &[]],
    ] {
        agree("2", caches, &[]).is(1, "too-few-operators", &["too-few-operators"]);
    }
}

#[test]
fn silence_is_no_vote() {
    let ran = agree("2", &[&["a-1"]], &["--cache", "http://127.0.0.1:1", "--offline"]);
    assert_eq!((ran.code, ran.reasons()), (3, vec!["offline", "unreachable"]), "{:#}", ran.report);
}

#[test]
fn the_caches_of_operators_are_asked() {
    let made = Handmade::new();
    made.add("x", b"x\n", &[], &["c-1"]);
    let more = format!(
        "[[operator]]\nname = 'c'\ncaches = ['{}']\nkeys = ['{}']\n",
        made.url(),
        public("c-1")
    );
    let file = operators(&more);
    let ran = cache(&[&full("x"), "--operators", file.path().to_str().unwrap()]);
    ran.is(0, "verified", &[]);
    assert_eq!(ran.report["facts"]["sources"][0]["operator"], "c");
    assert_eq!(ran.report["facts"]["sources"].as_array().unwrap().len(), 1);
}

#[test]
fn wrong_files_of_operators_are_errors() {
    let path = full("x");
    for (more, wanted) in [
        ("[[operator]]\nname = 'a'\n", "operator 'a' is given twice"),
        ("[[operator]]\nname = 'c'\nkeys = ['c-9']\n", "'c-9', which is not among the trusted"),
        ("[[operator]]\nname = 'c'\ncaches = ['ftp://x']\n", "scheme 'ftp'"),
        ("[[operator]]\nnme = 'c'\n", "unknown field `nme`"),
    ] {
        let file = operators(more);
        let (code, error) =
            refused(&[&path, "--operators", file.path().to_str().unwrap(), "--offline"]);
        assert!(code == 2 && error.contains(wanted), "{more}: {error}");
    }
    // The bytes of another operator's key under a name of its own.
    let same = public("b-1").replacen("b-1", "d-1", 1);
    for (keys, more) in [(&same, &[][..]), (&"d-1".to_owned(), &["--trusted-key", &same])] {
        let file = operators(&format!("[[operator]]\nname = 'd'\nkeys = ['{keys}']\n"));
        let base = [path.as_str(), "--operators", file.path().to_str().unwrap(), "--offline"];
        let (code, error) = refused(&[&base[..], more].concat());
        assert!(code == 2 && error.contains("'b-1' of 'b' and 'd-1' of 'd' are one"), "{error}");
    }
    let file = operators("");
    let file = file.path().to_str().unwrap();
    let (code, error) = refused(&[&path, "--operators", file, "--min-agree", "3", "--offline"]);
    assert!(code == 2 && error.contains("can never be met"), "{error}");
}
