use super::*;
use crate::policy::subject::Kind;

fn component(purl: &str) -> Subject {
    let mut subject = Subject::new(Kind::Component, purl, "/components/0");
    subject.text(Field::Purl, purl);
    subject
}

fn osv(affected: &str) -> String {
    format!(
        r#"{{"schema_version":"1.7.0","id":"RUSTSEC-2024-0001","modified":"2024-01-01T00:00:00Z","aliases":["CVE-2024-1"],"affected":[{affected}]}}"#
    )
}

const TIME: &str = r#"{"package":{"ecosystem":"crates.io","name":"time"},"ranges":[{"type":"SEMVER",
    "events":[{"introduced":"0.1.0"},{"fixed":"0.2.23"},{"introduced":"0.3.0"},{"last_affected":"0.3.4"}]}]}"#;

fn with(affected: &str) -> Advisories {
    let mut all = Advisories::default();
    all.add_osv(osv(affected).as_bytes()).unwrap();
    all
}

#[test]
fn versions_between_the_events_are_affected() {
    let all = with(TIME);
    for (version, wanted) in [
        ("0.0.9", false),
        ("0.1.0", true),
        ("0.2.22", true),
        ("0.2.23", false),
        ("0.3.0-rc.1", false),
        ("0.3.0", true),
        ("0.3.4", true),
        ("0.3.5", false),
    ] {
        let found = all.about(&component(&format!("pkg:cargo/time@{version}"))).unwrap();
        assert_eq!(!found.is_empty(), wanted, "{version}");
    }
    assert!(all.about(&component("pkg:cargo/other@0.1.0")).unwrap().is_empty());
}

#[test]
fn what_cannot_be_told_is_no_answer() {
    let all = with(TIME);
    for purl in ["pkg:cargo/time@latest", "pkg:cargo/time", "pkg:nix/time@0.1.0", "no purl"] {
        assert!(all.about(&component(purl)).is_err(), "{purl}");
    }
    let python = r#"{"package":{"ecosystem":"PyPI","name":"Zope.Interface"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"5.0"}]}]}"#;
    let all = with(python);
    assert_eq!(all.about(&component("pkg:pypi/zope_interface@4.9")).unwrap().len(), 1);
    assert!(all.about(&component("pkg:pypi/zope-interface@5.0")).unwrap().is_empty());
    assert!(all.about(&component("pkg:pypi/zope-interface@5.0rc1")).is_err());
    let named = r#"{"package":{"ecosystem":"PyPI","name":"x"},"versions":["1.0rc1"],"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1.0"}]}]}"#;
    let all = with(named);
    assert_eq!(all.about(&component("pkg:pypi/x@1.0rc1")).unwrap().len(), 1);
    assert!(all.about(&component("pkg:pypi/x@1.0rc2")).unwrap().is_empty());
}

#[test]
fn commits_and_repositories() {
    let git = r#"{"ranges":[{"type":"GIT","repo":"https://github.com/Curl/curl.git","events":[{"introduced":"0"},{"fixed":"abc"}]}],"versions":["curl-8_0"]}"#;
    let all = with(git);
    assert_eq!(all.about(&component("pkg:github/curl/curl@curl-8_0")).unwrap().len(), 1);
    assert!(all.about(&component("pkg:github/curl/curl@curl-8_1")).unwrap().is_empty());
}

#[test]
fn damaged_advisories_are_refused() {
    for bad in [
        osv(TIME).replace("\"affected\"", "\"afected\""),
        osv(TIME).replace("\"ranges\"", "\"range\""),
        osv(TIME).replace("\"fixed\"", "\"fixd\""),
        osv(TIME).replace("\"introduced\"", "\"fixed\""),
        osv(TIME).replace("SEMVER", "SEMVAR"),
        osv(TIME).replace("\"package\"", "\"pakage\""),
        osv(""),
        "{}".to_owned(),
    ] {
        assert!(Advisories::default().add_osv(bad.as_bytes()).is_err(), "{bad}");
    }
    let withdrawn = osv(TIME).replace("\"modified\"", "\"withdrawn\"");
    let mut all = Advisories::default();
    all.add_osv(withdrawn.as_bytes()).unwrap();
    assert!(all.is_empty());
}

fn openvex(status: &str, product: &str, time: &str) -> String {
    format!(
        r#"{{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","author":"a","timestamp":"{time}","version":1,
        "statements":[{{"vulnerability":{{"name":"CVE-2024-1"}},"products":[{{"@id":"{product}"}}],"status":"{status}"}}]}}"#
    )
}

#[test]
fn statements_excuse_what_they_name_and_nothing_else() {
    let excused = |documents: &[String]| {
        let mut all = with(TIME);
        for document in documents {
            all.add_vex(document.as_bytes()).unwrap();
        }
        all.about(&component("pkg:cargo/time@0.2.0")).unwrap().is_empty()
    };
    let at = "2026-01-01T00:00:00Z";
    assert!(excused(&[openvex("not_affected", "pkg:cargo/time@0.2.0", at)]));
    assert!(excused(&[openvex("fixed", "pkg:cargo/time", at)]));
    assert!(!excused(&[openvex("not_affected", "pkg:cargo/time@0.2.1", at)]));
    assert!(!excused(&[openvex("affected", "pkg:cargo/time", at)]));
    assert!(!excused(&[openvex("not_affected", "pkg:npm/time", at)]));
    let later = "2026-02-01T00:00:00Z";
    let (no, yes) =
        (openvex("affected", "pkg:cargo/time", later), openvex("fixed", "pkg:cargo/time", at));
    assert!(!excused(&[no.clone(), yes.clone()]) && !excused(&[yes, no]));
    let cyclone = r#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"bom-ref":"a","purl":"pkg:cargo/time@0.2.0"}],
        "vulnerabilities":[{"id":"CVE-2024-1","analysis":{"state":"not_affected"},"affects":[{"ref":"a"}]}]}"#;
    assert!(excused(&[cyclone.to_owned()]));
    assert!(!excused(&[cyclone.replace("\"ref\":\"a\"", "\"ref\":\"b\"")]));
    assert!(!excused(&[cyclone.replace("\"state\"", "\"stat\"")]));
    for bad in ["{}", "[", r#"{"bomFormat":"CycloneDX"}"#] {
        assert!(Advisories::default().add_vex(bad.as_bytes()).is_err());
    }
    assert!(
        Advisories::default().add_vex(openvex("fine", "pkg:cargo/time", at).as_bytes()).is_err()
    );
}
