//! The strict reader beside another, and its places.

use super::read::FEW;
use super::*;

/// What `serde_json` makes of the same value.
fn plain(node: &Node<'_>) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(text) => serde_json::from_str(text).unwrap(),
        Value::String(text) => text.as_ref().into(),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(members) => {
            members.iter().map(|one| (one.key.to_string(), plain(&one.value))).collect()
        }
    }
}

#[test]
fn agrees_with_another_reader() {
    for text in [
        "null",
        " [ ] ",
        "{}",
        "[1,-0,1.5e+3,2E-2,0.1]",
        r#""a\"\\\/\b\f\n\r\tA\u00e9\ud83d\ude00é""#,
        r#"{"a":{"b":[{},[[]],"x"]},"":false}"#,
        "[[[[[1]]]],true]",
        "",
        "[",
        "]",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "01",
        "1.",
        ".5",
        "-",
        "1e",
        "+1",
        "nul",
        "\"a",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\n\"",
        "1 2",
        "[1 2]",
        "{\"a\" 1}",
        "{\"a\":}",
        "[,1]",
        "truefalse",
        "\u{feff}{}",
        "{\"a\":1 \"b\":2}",
    ] {
        let theirs = serde_json::from_str::<serde_json::Value>(text).ok();
        let ours = parse(text.as_bytes()).ok().map(|document| plain(&document.root));
        assert_eq!(ours, theirs, "{text}");
    }
}

#[test]
fn places_are_right() {
    let document = parse(br#"{"a": [10, {"b": "c"}]}"#).unwrap();
    let list = document.root.member("a").unwrap();
    assert_eq!(list.offset, 6);
    let Value::Array(items) = &list.value else { panic!("no array") };
    assert_eq!(items[0].offset, 7);
    assert_eq!(items[1].members().unwrap()[0].offset, 12);
    assert_eq!(list.span(), Span::new(6, 22));
    assert_eq!(document.root.span(), Span::new(0, 23));
    assert_eq!(document.root.members().unwrap()[0].key_span(), Span::new(1, 4));
    for (text, offset) in
        [("[1,]", 3), ("{\"a\":nul}", 5), ("[1", 2), ("  x", 2), ("[\"a\u{1}\"]", 3)]
    {
        assert_eq!(parse(text.as_bytes()).unwrap_err().offset, offset, "{text}");
    }
    assert_eq!(parse(b"[\"\xff\"]").unwrap_err(), JsonError { offset: 2, defect: Defect::NotUtf8 });
}

#[test]
fn doubled_keys_are_named() {
    let document = parse(br#"{"n":[0,{"x":1,"y":{"x":2},"\u0078":3,"x":4}],"n":5}"#).unwrap();
    let doubled: Vec<_> = document
        .duplicates
        .named
        .iter()
        .map(|one| (one.path.join("."), one.key.as_str(), one.first, one.again))
        .collect();
    assert_eq!(
        doubled,
        [
            ("n.1".to_owned(), "x", 9, 27),
            ("n.1".to_owned(), "x", 9, 38),
            (String::new(), "n", 1, 46)
        ]
    );
    assert_eq!(document.root.member("n").unwrap().value, Value::Number("5"));
}

#[test]
fn depth_is_bounded_without_recursion() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(parse(deep(MAX_DEPTH).as_bytes()).is_ok());
    assert_eq!(
        parse(deep(MAX_DEPTH + 1).as_bytes()).unwrap_err(),
        JsonError { offset: MAX_DEPTH, defect: Defect::TooDeep }
    );
    assert_eq!(parse("[".repeat(1_000_000).as_bytes()).unwrap_err().defect, Defect::TooDeep);
}

#[test]
fn doubled_keys_of_long_objects_are_named() {
    for length in [1, FEW - 1, FEW, FEW + 1, FEW + 2, 100] {
        let mut keys: Vec<String> = (0..length).map(|at| format!("\"k{at}\":0")).collect();
        keys.push("\"k0\":1".to_owned());
        keys.push("\"new\":1".to_owned());
        keys.push("\"new\":2".to_owned());
        let text = format!("{{{}}}", keys.join(","));
        let document = parse(text.as_bytes()).unwrap();
        let named: Vec<_> =
            document.duplicates.named.iter().map(|one| (one.key.as_str(), one.first)).collect();
        assert_eq!(named, [("k0", 1), ("new", text.find("\"new").unwrap())], "{length}");
    }
}
