use super::*;

const PATH: &str = "0hm2f1psjpcwg8fijsmr4wwxrx59s092-a";

fn plain(env: &[(&str, &str)]) -> Result<Options, OptionsError> {
    let text = br#"Derive([("out","","","")],[],[],"s","/b",[],[])"#;
    let mut drv = Derivation::parse(text, &StoreDir::default()).unwrap();
    drv.env = env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Options::of(&drv, &StoreDir::default())
}

fn structured(json: &str) -> Result<Options, OptionsError> {
    plain(&[("__json", json), ("passAsFile", "x"), ("__noChroot", "1"), ("preferLocalBuild", "1")])
}

fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(|&item| item.to_owned()).collect()
}

#[test]
fn booleans_of_variables_are_exactly_one() {
    for (value, wanted) in
        [("1", true), ("", false), ("0", false), ("true", false), (" 1", false), ("1\n", false)]
    {
        let options = plain(&[
            ("__noChroot", value),
            ("preferLocalBuild", value),
            ("allowSubstitutes", value),
            ("__darwinAllowLocalNetworking", value),
        ])
        .unwrap();
        assert_eq!(options.no_chroot, wanted, "{value:?}");
        assert_eq!(options.prefer_local_build, wanted, "{value:?}");
        assert_eq!(options.allow_substitutes, wanted, "{value:?}");
        assert_eq!(options.allow_local_networking, wanted, "{value:?}");
    }
    let options = plain(&[]).unwrap();
    assert!(options.allow_substitutes && !options.no_chroot && !options.prefer_local_build);
}

#[test]
fn lists_of_variables_split_at_white_space() {
    let options = plain(&[
        ("impureEnvVars", " a\tb\n\r c  a"),
        ("passAsFile", "x  y\nx"),
        ("requiredSystemFeatures", "kvm\u{b}big"),
        ("__impureHostDeps", ""),
        ("allowedReferences", ""),
        ("__sandboxProfile", " as it is "),
    ])
    .unwrap();
    assert_eq!(options.impure_env_vars, set(&["a", "b", "c"]));
    assert_eq!(options.pass_as_file, BTreeSet::from([b"x".to_vec(), b"y".to_vec()]));
    // A vertical tab is no separator. The outputs are deferred.
    assert_eq!(options.required_system_features, set(&["kvm\u{b}big", CA_DERIVATIONS]));
    assert_eq!(options.impure_host_deps, set(&[]));
    assert_eq!(options.sandbox_profile, " as it is ");
    let checks = options.output_checks.of("anything").unwrap();
    assert_eq!(checks.allowed_references, Some(BTreeSet::new()));
    assert_eq!(checks.allowed_requisites, None);
    assert!(checks.ignore_self_refs);
}

#[test]
fn structured_attributes_are_typed() {
    let options = structured(
        &r#"{"impureEnvVars":["a","b c"],"preferLocalBuild":false,"allowSubstitutes":false,
            "requiredSystemFeatures":[],"unsafeDiscardReferences":{"out":true,"dev":false},
            "allowedReferences":["ignored"],"maxSize":1,
            "exportReferencesGraph":{"g":["/nix/store/P",["/nix/store/P/bin/x",[]]],"h":"/nix/store/P"},
            "outputChecks":{"out":{"maxSize":18446744073709551615,"maxClosureSize":0,
              "allowedReferences":[],"disallowedRequisites":["/nix/store/P","dev","/nix/store/P/x"]},
              "none":{}}}"#
            .replace('P', PATH),
    )
    .unwrap();
    assert_eq!(options.impure_env_vars, set(&["a", "b c"]));
    assert!(!options.no_chroot && !options.prefer_local_build && !options.allow_substitutes);
    assert_eq!(options.pass_as_file, BTreeSet::new());
    assert_eq!(
        options.unsafe_discard_references,
        BTreeMap::from([("dev".to_owned(), false), ("out".to_owned(), true)])
    );
    let path: StorePath = PATH.parse().unwrap();
    assert_eq!(options.export_references_graph["g"], BTreeSet::from([path.clone()]));
    assert_eq!(options.export_references_graph["h"], BTreeSet::from([path.clone()]));
    let checks = options.output_checks.of("out").unwrap();
    assert_eq!(checks.max_size, Some(u64::MAX));
    assert_eq!(checks.max_closure_size, Some(0));
    assert_eq!(checks.allowed_references, Some(BTreeSet::new()));
    assert_eq!(checks.allowed_requisites, None);
    assert_eq!(
        checks.disallowed_requisites,
        BTreeSet::from([
            ReferenceSpec::Path(path),
            ReferenceSpec::Output("dev".to_owned()),
            ReferenceSpec::Output(format!("/nix/store/{PATH}/x")),
        ])
    );
    assert!(!checks.ignore_self_refs);
    assert_eq!(options.output_checks.of("none"), Some(&OutputChecks::default()));
    assert_eq!(options.output_checks.of("dev"), None);
}

#[test]
fn ill_typed_attributes_are_named() {
    for (json, attribute) in [
        (r#"{"__noChroot":"1"}"#, "__noChroot"),
        (r#"{"__noChroot":1}"#, "__noChroot"),
        (r#"{"preferLocalBuild":null}"#, "preferLocalBuild"),
        (r#"{"impureEnvVars":"a b"}"#, "impureEnvVars"),
        (r#"{"impureEnvVars":["a",1]}"#, "impureEnvVars"),
        (r#"{"requiredSystemFeatures":{}}"#, "requiredSystemFeatures"),
        (r#"{"__sandboxProfile":[]}"#, "__sandboxProfile"),
        (r#"{"outputChecks":[]}"#, "outputChecks"),
        (r#"{"outputChecks":{"out":1}}"#, "outputChecks.out"),
        (r#"{"outputChecks":{"out":{"maxSize":-1}}}"#, "outputChecks.out.maxSize"),
        (r#"{"outputChecks":{"out":{"maxSize":1.5}}}"#, "outputChecks.out.maxSize"),
        (r#"{"outputChecks":{"o":{"allowedReferences":"x"}}}"#, "outputChecks.o.allowedReferences"),
        (r#"{"unsafeDiscardReferences":true}"#, "unsafeDiscardReferences"),
        (r#"{"unsafeDiscardReferences":{"out":1}}"#, "unsafeDiscardReferences.out"),
        (r#"{"exportReferencesGraph":{"g":[1]}}"#, "exportReferencesGraph.g"),
    ] {
        match structured(json) {
            Err(OptionsError::Type { attribute: found, .. }) => assert_eq!(found, attribute),
            other => panic!("{json}: {other:?}"),
        }
    }
    assert!(matches!(structured("[]"), Err(OptionsError::StructuredAttrs(_))));
    assert!(matches!(structured("{"), Err(OptionsError::StructuredAttrs(_))));
    // Nix warns and goes on.
    assert!(structured(r#"{"exportReferencesGraph":[1]}"#).is_ok());
}

#[test]
fn graphs_of_variables_are_pairs() {
    let graph = |text: &str| plain(&[("exportReferencesGraph", &text.replace('P', PATH))]);
    let options = graph("a /nix/store/P  _b.-9\t/nix/store/P/bin").unwrap();
    assert_eq!(options.export_references_graph.len(), 2);
    assert_eq!(graph("a /nix/store/P b"), Err(OptionsError::OddGraph(3)));
    for name in ["../x", "-a", ".a", "9", "a/b", "é"] {
        let refused = graph(&format!("{name} /nix/store/P"));
        assert!(matches!(refused, Err(OptionsError::GraphName(_))), "{name}");
    }
    for path in ["/etc/passwd", "/nix/store", "/nix/store/", "out", "/nix/store/../P"] {
        let refused = graph(&format!("a {path}"));
        assert!(matches!(refused, Err(OptionsError::NotInStore { .. })), "{path}");
    }
}

#[test]
fn names_must_be_utf8() {
    let text = br#"Derive([("out","","","")],[],[],"s","/b",[],[])"#;
    let mut drv = Derivation::parse(text, &StoreDir::default()).unwrap();
    drv.env.insert(b"impureEnvVars".to_vec(), b"a \xff".to_vec());
    assert_eq!(
        Options::of(&drv, &StoreDir::default()),
        Err(OptionsError::NotUtf8("impureEnvVars".to_owned()))
    );
}
