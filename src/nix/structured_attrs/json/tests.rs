use super::*;

#[test]
fn texts_print_as_nlohmann_prints_them() {
    for (text, wanted) in [
        (" null ", "null"),
        ("[ 1 , true,false, \"x\" ]", "[1,true,false,\"x\"]"),
        ("{\"b\":1,\"a\":{},\"c\":[]}", "{\"a\":{},\"b\":1,\"c\":[]}"),
        ("{\"a\":1,\"a\":2}", "{\"a\":2}"),
        ("\"\\u00e9\\ud83d\\ude00\\/\\u0000\\u001f\u{7f}\"", "\"é😀/\\u0000\\u001f\u{7f}\""),
        ("\"\\b\\f\\n\\r\\t\\\"\\\\\"", "\"\\b\\f\\n\\r\\t\\\"\\\\\""),
        ("\u{feff}[]", "[]"),
        ("[[[[1]],{}],[{\"x\":[null]}]]", "[[[[1]],{}],[{\"x\":[null]}]]"),
    ] {
        assert_eq!(Json::parse(text.as_bytes()).unwrap().to_string(), wanted, "{text}");
    }
}

#[test]
fn what_is_no_json_is_refused() {
    for text in [
        "",
        " ",
        "nul",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1,}",
        "{1:2}",
        "[1 2]",
        "01",
        "-",
        "1.",
        "1e",
        ".5",
        "+1",
        "\"",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\\u00g0\"",
        "\"\n\"",
        "1 1",
        "1e999",
        "nan",
        "[}",
        "{]",
        "\"a\":1",
        "// x\n1",
    ] {
        assert!(Json::parse(text.as_bytes()).is_err(), "{text}");
    }
    let error = Json::parse(b"[\"\xff\"]").unwrap_err();
    assert_eq!(error, JsonError { offset: 2, defect: JsonDefect::NotUtf8 });
}

#[test]
fn nesting_is_bounded() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let inner = if open == "[" { "[]" } else { "{}" };
        let nest =
            |depth: usize| format!("{}{inner}{}", open.repeat(depth - 1), close.repeat(depth - 1));
        assert!(Json::parse(nest(MAX_DEPTH).as_bytes()).is_ok());
        let error = Json::parse(nest(MAX_DEPTH + 1).as_bytes()).unwrap_err();
        assert_eq!(error.defect, JsonDefect::TooDeep);
        assert!(Json::parse(open.repeat(1_000_000).as_bytes()).is_err());
    }
}

#[test]
fn the_number_of_values_is_bounded() {
    let many = |count: usize| format!("[{}]", vec!["[]"; count].join(","));
    assert!(Json::parse(many(MAX_VALUES - 1).as_bytes()).is_ok());
    let error = Json::parse(many(MAX_VALUES).as_bytes()).unwrap_err();
    assert_eq!(error.defect, JsonDefect::TooManyValues);
}

#[test]
fn every_cut_is_refused() {
    let text = br#"{"a":[1.5e3,{"b":"\u00e9\\"},null],"c":true}"#;
    for cut in 0..text.len() {
        assert!(Json::parse(&text[..cut]).is_err(), "{cut}");
    }
}

/// Another strict reader agrees on what is JSON, and what is read prints
/// to a text that reads the same.
#[test]
fn mutants_agree_with_another_reader() {
    let good = br#"{"a":[1.5e-3,-0,0,{"b":"\u00e9\\\ud83d\ude00"},null],"c":true,"d":{},"e":"x/"}"#;
    let tokens: [&[u8]; 12] =
        [b"\"", b"\\", b"\\u", b"d8", b"0", b"e+", b".", b",", b"[", b"]", b"}", b"-"];
    let mut random = fastrand::Rng::with_seed(3);
    let mut accepted = 0;
    for _ in 0..50_000 {
        let mut text = good.to_vec();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..text.len());
            let to = (at + random.usize(..6)).min(text.len());
            match random.u8(..4) {
                0 => text[at] = random.u8(..),
                1 => drop(text.drain(at..to)),
                2 => drop(text.splice(at..at, text[at..to].to_vec())),
                _ => drop(text.splice(at..at, random.choice(tokens).unwrap().iter().copied())),
            }
            text.push(b' ');
        }
        let shown = String::from_utf8_lossy(&text);
        let theirs = serde_json::from_slice::<serde_json::Value>(&text);
        let ours = Json::parse(&text);
        assert_eq!(ours.is_ok(), theirs.is_ok(), "{shown}\n{ours:?}\n{theirs:?}");
        if let Ok(value) = ours {
            accepted += 1;
            let printed = value.to_string();
            let again = Json::parse(printed.as_bytes()).unwrap();
            assert_eq!(again.to_string(), printed, "{shown}");
        }
    }
    assert!(accepted > 1000, "only {accepted} were accepted");
}
