use super::*;
use crate::policy::subject::{Fact, Value as Known};

const NOW: i64 = 1_800_000_000;

fn openssl() -> Subject {
    let mut subject = Subject::new(Kind::Component, "openssl 3.0.7", "/components/0");
    subject.text(Field::Name, "openssl");
    subject.text(Field::Version, "3.0.7");
    subject.text(Field::Licence, "Apache-2.0");
    let paths = vec!["/nix/store/a-openssl".to_owned(), "/nix/store/b-openssl-bin".to_owned()];
    subject.state(Field::Paths, Fact::Known(Known::Texts(paths)));
    subject.state(Field::Vendored, Fact::Known(Known::Truth(false)));
    subject
}

fn ask(text: &str, subject: &Subject) -> Result<bool, Unknown> {
    let predicate =
        Predicate::parse(text, subject.kind).unwrap_or_else(|error| panic!("{text}: {error}"));
    Evaluator::new(NOW).unwrap().holds(&predicate, subject)
}

#[test]
fn expressions_hold_or_do_not() {
    let subject = openssl();
    for (text, wanted) in [
        ("component.name == \"openssl\"", true),
        ("component.name != 'openssl'", false),
        ("component.name == 'x' || component.version == '3.0.7'", true),
        ("component.name.startsWith('open') && !component.vendored", true),
        ("component.name in ['a', 'openssl']", true),
        ("version_cmp(component.version, '3.0.10') < 0", true),
        ("spdx_ok(component.licence, ['MIT', 'Apache-2.0'])", true),
        ("spdx_ok(component.licence, ['MIT'])", false),
        ("component.paths.exists(path, path.endsWith('-bin'))", true),
        ("component.paths.all(path, glob(path, '/nix/store/*'))", true),
        ("component.paths.filter(path, path.contains('bin')).size() == 1", true),
        ("component.paths.map(path, path.size()).all(length, length > 5)", true),
        ("component.paths.exists_one(path, path.endsWith('-bin'))", true),
        ("size(component.paths) == 2 && component.paths[0] != component.paths[1]", true),
        ("component.vendored ? false : true", true),
        ("1 + 2 * 3 == 7 && -1 < 0", true),
    ] {
        assert_eq!(ask(text, &subject), Ok(wanted), "{text}");
    }
}

#[test]
fn what_is_missing_is_no_answer() {
    let subject = openssl();
    for text in [
        "component.purl == ''",
        "component.purl != 'x'",
        "!(component.purl == 'x')",
        "component.purl.size() == 0",
        "component.hashes.all(hash, false)",
        "component.hashes.size() == 0",
        "!component.hashes.exists(hash, true)",
        "component.name == 'other' || component.purl == 'x'",
        "component.name == 'openssl' && component.purl == 'x'",
        "component.purl == 'x' ? true : true",
        "spdx_ok(component.supplier, ['MIT'])",
        "version_cmp(component.cpe, '1') != 0",
        "component.paths[9] == 'x'",
        "1 / 0 == 1",
    ] {
        let answer = ask(text, &subject);
        assert!(answer.is_err(), "{text}: {answer:?}");
    }
    // What does not depend on it does not need it.
    assert_eq!(ask("component.name == 'openssl' || component.purl == 'x'", &subject), Ok(true));
}

#[test]
fn missing_facts_are_named() {
    let mut subject = openssl();
    assert_eq!(
        ask("component.purl == 'x'", &subject).unwrap_err().to_string(),
        "'purl' is missing"
    );
    subject.state(Field::Licence, Fact::Unusable("it is a number".to_owned()));
    assert_eq!(
        ask("component.licence != 'x'", &subject).unwrap_err().to_string(),
        "'licence' cannot be used: it is a number"
    );
    subject.text(Field::Licence, "mit license");
    let error = ask("spdx_ok(component.licence, ['MIT'])", &subject).unwrap_err().to_string();
    assert!(error.contains("no SPDX licence expression"), "{error}");
}

#[test]
fn times_have_an_age() {
    let mut subject = Subject::new(Kind::Input, "nixpkgs", "");
    subject.state(Field::LastModified, Fact::Known(Known::Time(NOW - 10 * 86_400)));
    assert_eq!(ask("age_days(input.last_modified) == 10", &subject), Ok(true));
    subject.state(Field::LastModified, Fact::Known(Known::Time(NOW + 10 * 86_400)));
    assert!(ask("age_days(input.last_modified) <= 10", &subject).is_err());
    subject.state(Field::SignedBy, Fact::Known(Known::Texts(vec!["cache.nixos.org-1".to_owned()])));
    assert_eq!(ask("signed_by(input.signed_by, ['*.nixos.org-1'])", &subject), Ok(true));
    assert_eq!(ask("signed_by(input.signed_by, ['other'])", &subject), Ok(false));
}

#[test]
fn what_has_no_meaning_is_refused_before_it_is_asked() {
    for (text, wanted) in [
        ("component.lisence == 'MIT'", "did you mean 'licence'?"),
        ("componet.name == 'x'", "did you mean 'component'?"),
        ("input.name == 'x'", "things are called 'component'"),
        ("component.name == 3", "text and a number cannot stand together"),
        ("component.name != true", "cannot stand together"),
        ("component.paths == 'x'", "cannot stand together"),
        ("component.name < 'x'", "version_cmp"),
        ("component.name", "has to be true or false"),
        ("component == component", "has to be followed by a field"),
        ("has(component.purl)", "has() is not allowed"),
        ("!has(component.purl) || component.purl == 'x'", "has() is not allowed"),
        ("'purl' in component", "has to be followed by a field"),
        ("component['name'] == 'x'", "expected a number"),
        ("component.name.matches('x')", "matches() is not allowed"),
        ("component.name.startWith('x')", "did you mean 'startsWith'?"),
        ("spdx_okay(component.licence, ['MIT'])", "did you mean 'spdx_ok'?"),
        ("spdx_ok(component.licence, [])", "an empty list allows nothing"),
        ("spdx_ok(component.licence, component.paths)", "a list of texts has to stand here"),
        ("signed_by(component.signed_by, [1])", "expected"),
        ("component.name + 'x' == 'y'", "expected a number"),
        ("{'a': 1}.a == 1", "nothing here has a field 'a'"),
        ("component.name == null", "only texts"),
        ("component.name == 1.5", "only texts"),
        ("dyn(component.name) == 1", "there is no function 'dyn'"),
        ("true ||", "is not CEL"),
        ("", "is not CEL"),
        ("component.paths.all(component, true)", "already means something else"),
    ] {
        let error = Predicate::parse(text, Kind::Component).unwrap_err().to_string();
        assert!(error.contains(wanted), "{text}: {error}");
    }
}

#[test]
fn deep_and_long_expressions_are_refused() {
    for text in [
        "(".repeat(2000),
        "!".repeat(4000) + "true",
        "-".repeat(4000) + "1 == 1",
        "[".repeat(2000),
        "(".repeat(1000) + "true" + &")".repeat(1000),
        "{1:".repeat(1000),
        "'".to_owned() + &"(".repeat(3000),
        "true && ".repeat(700) + "true ? true : ".repeat(80).as_str(),
        "1+".repeat(1500) + "1 == 1",
        "component.name".to_owned() + &".a".repeat(1500),
        "x".repeat(MAX_LEN + 1),
    ] {
        assert!(Predicate::parse(&text, Kind::Component).is_err(), "{}", &text[..20]);
    }
}

#[test]
fn work_is_counted_before_it_is_done() {
    let mut subject = openssl();
    let list = vec!["x".to_owned(); 1_000];
    subject.state(Field::Paths, Fact::Known(Known::Texts(list)));
    let cost = |text: &str| Predicate::parse(text, Kind::Component).unwrap().cost(&subject);
    let plain = cost("component.name == 'x'");
    let once = cost("component.paths.all(a, a == 'x')");
    let twice = cost("component.paths.all(a, component.paths.all(b, a == b))");
    assert!(plain < 10 && (3_000..100_000).contains(&once), "{plain} {once}");
    assert!(twice > 1_000_000, "{twice}");
    let nested = "[1,1,1,1,1,1,1,1,1,1].all(a, ".repeat(9) + "true" + &")".repeat(9);
    assert!(cost(&nested) > 1_000_000_000);
}
