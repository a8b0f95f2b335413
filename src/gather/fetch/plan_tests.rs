use std::collections::BTreeSet;

use super::*;
use crate::nix::hash::HashAlgorithm;

fn drv(method: Method, builder: &str, env: &[(&str, &str)]) -> Derivation {
    let path: StorePath = "snvwng24c1v75d5hqy346rp3122n7yk4-data.txt".parse().unwrap();
    let hash = Hash::of(HashAlgorithm::Sha256, b"hello\n");
    Derivation {
        outputs: [("out".to_owned(), Output::Fixed { path, method, hash })].into(),
        input_drvs: BTreeMap::new(),
        input_srcs: [].into(),
        platform: b"builtin".to_vec(),
        builder: builder.into(),
        args: Vec::new(),
        env: env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
    }
}

const BASH: &str = "/nix/store/snvwng24c1v75d5hqy346rp3122n7yk4-bash/bin/bash";

fn plan(
    method: Method,
    builder: &str,
    env: &[(&str, &str)],
) -> Result<(Shape, Vec<String>), FetchImpossible> {
    let plan = FetchPlan::of(&drv(method, builder, env), None)?;
    Ok((plan.shape, plan.urls.into_iter().map(String::from).collect()))
}

#[test]
fn the_builtin_is_understood() {
    let fetch = "builtin:fetchurl";
    let a = ("url", "https://a/x");
    let urls = vec!["https://a/x".to_owned()];
    assert_eq!(plan(Method::Flat, fetch, &[a]), Ok((Shape::Flat, urls.clone())));
    assert_eq!(
        plan(Method::Recursive, fetch, &[a, ("executable", "1")]),
        Ok((Shape::File { executable: true }, urls.clone()))
    );
    assert_eq!(
        plan(Method::Recursive, fetch, &[a, ("executable", "")]),
        Ok((Shape::File { executable: false }, urls.clone()))
    );
    assert_eq!(
        plan(Method::Recursive, fetch, &[a, ("unpack", "1")]),
        Ok((Shape::Nar(Compression::None), urls))
    );
    let packed = plan(Method::Recursive, fetch, &[("url", "https://a/x.nar.xz"), ("unpack", "1")]);
    assert_eq!(packed.unwrap().0, Shape::Nar(Compression::Xz));
}

#[test]
fn fetchurl_of_nixpkgs_is_understood() {
    let urls = ("urls", "https://a/x  http://b/x");
    let both = vec!["https://a/x".to_owned(), "http://b/x".to_owned()];
    assert_eq!(plan(Method::Flat, BASH, &[urls]), Ok((Shape::Flat, both.clone())));
    assert_eq!(
        plan(Method::Recursive, BASH, &[urls, ("mirrorsFile", "/x"), ("executable", "1")]),
        Ok((Shape::File { executable: true }, both.clone()))
    );
    let json = r#"{"urls":["https://a/x","http://b/x"],"curlOptsList":[],"executable":true,"postFetch":""}"#;
    assert_eq!(
        plan(Method::Recursive, BASH, &[("__json", json)]),
        Ok((Shape::File { executable: true }, both))
    );
}

#[test]
fn what_cannot_be_fetched_is_said() {
    let url = ("url", "https://a/x");
    for (method, env, wanted) in [
        (Method::Flat, vec![], FetchImpossible::NoUrl),
        (Method::Recursive, vec![url], FetchImpossible::MakesTree),
        (Method::Recursive, vec![url, ("rev", "abc")], FetchImpossible::MakesTree),
        (
            Method::Flat,
            vec![url, ("postFetch", "unpackFile x")],
            FetchImpossible::Transformed("postFetch"),
        ),
        (
            Method::Recursive,
            vec![url, ("downloadToTemp", "1"), ("curlOpts", "")],
            FetchImpossible::Transformed("downloadToTemp"),
        ),
    ] {
        assert_eq!(plan(method, BASH, &env), Err(wanted));
    }
    let bad = plan(Method::Flat, BASH, &[("__json", "{")]);
    assert!(matches!(bad, Err(FetchImpossible::Attributes(_))));
    let kinds = ("urls", "mirror://gnu/x file:///etc/passwd ftp://h/x nonsense \x1b[31m");
    let Err(FetchImpossible::Urls(reasons)) = plan(Method::Flat, BASH, &[kinds]) else {
        panic!("fetched");
    };
    assert_eq!(reasons.len(), 5, "{reasons:?}");
    assert!(reasons[0].contains("mirrors of 'gnu' are not known"), "{reasons:?}");
    assert!(!reasons.concat().contains('\x1b'));

    let mut two = drv(Method::Flat, BASH, &[url]);
    let out = two.outputs.get("out").unwrap().clone();
    two.outputs.insert("dev".to_owned(), out);
    assert_eq!(FetchPlan::of(&two, None), Err(FetchImpossible::NotFixed));
    two.outputs = [("out".to_owned(), Output::Deferred)].into();
    assert_eq!(FetchPlan::of(&two, None), Err(FetchImpossible::NotFixed));
}

#[test]
fn mirrors_come_from_the_derivation_that_lists_them() {
    let list = drv(
        Method::Flat,
        BASH,
        &[
            ("gnu", "https://ftpmirror.gnu.org/ ftp://ftp.gnu.org/ https://ftp.gnu.org/pub/gnu/"),
            ("hashedMirrors", "https://tarballs.nixos.org"),
            ("name", "mirrors-list"),
        ],
    );
    let mirrors = Mirrors::of(&list);
    let mut source = drv(Method::Flat, BASH, &[("urls", "mirror://gnu/hello/h.tar.gz")]);
    let path: StorePath = "snvwng24c1v75d5hqy346rp3122n7yk4-mirrors-list.drv".parse().unwrap();
    assert_eq!(Mirrors::input_of(&source), None);
    source.input_drvs.insert(path.clone(), BTreeSet::from(["out".to_owned()]).into());
    assert_eq!(Mirrors::input_of(&source), Some(&path));
    let urls: Vec<String> = FetchPlan::of(&source, Some(&mirrors))
        .unwrap()
        .urls
        .into_iter()
        .map(String::from)
        .collect();
    assert_eq!(
        urls,
        [
            "https://ftpmirror.gnu.org/hello/h.tar.gz",
            "https://ftp.gnu.org/pub/gnu/hello/h.tar.gz",
            "https://tarballs.nixos.org/sha256/5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
        ]
    );
}
