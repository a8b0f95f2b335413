use super::*;

const HEAD: &str = "format = 1\nname = \"p\"\ndescription = \"d\"\n";
const RULE: &str = "[[rule]]\nid = \"r\"\nscope = \"lock\"\nreason = \"because\"\nlocked = true\n";

fn parse(text: &str) -> Result<Policy, PolicyError> {
    Policy::parse("p.toml", text.as_bytes())
}

fn with(rule: &str) -> Result<Policy, PolicyError> {
    parse(&format!("{HEAD}[[rule]]\nid = \"r\"\nreason = \"because\"\n{rule}\n"))
}

#[test]
fn what_is_left_out_means_the_strictest() {
    let policy = parse(&format!("{HEAD}{RULE}")).unwrap();
    let rule = &policy.rules[0];
    assert_eq!((rule.level, rule.unknown), (Level::Error, OnUnknown::Deny));
    assert_eq!((rule.scope, rule.kind, &rule.check), (Scope::Lock, Kind::Input, &Check::Locked));
    assert!(rule.when.is_none());
    assert_eq!(policy.sha256.len(), 64);
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (text, wanted) in [
        (
            format!("{HEAD}{RULE}lebel = \"note\"\n"),
            "line 9, column 1: a rule has no key 'lebel'; did you mean 'level'?",
        ),
        (
            format!("{HEAD}{RULE}level = \"eror\"\n"),
            "'level' is 'eror' (expected note, warning, error); did you mean 'error'?",
        ),
        (
            format!("{HEAD}{}", RULE.replace("locked", "loked")),
            "a rule has no key 'loked'; did you mean 'locked'?",
        ),
        (format!("{HEAD}{}", RULE.replace("reason", "raeson")), "did you mean 'reason'?"),
        (format!("{HEAD}{}", RULE.replace("reason = \"because\"\n", "")), "a rule has no 'reason'"),
        (format!("{HEAD}{}", RULE.replace("because", " ")), "'reason' is empty"),
        (format!("{HEAD}{}", RULE.replace("locked = true\n", "")), "the rule asks for nothing"),
        (format!("{HEAD}{}", RULE.replace("= true", "= false")), "'locked' can only be true"),
        (
            format!("{HEAD}{}", RULE.replace("= true", "= \"true\"")),
            "'locked' is string (expected true)",
        ),
        (format!("{HEAD}{}", RULE.replace("\"lock\"", "\"loc\"")), "did you mean 'lock'?"),
        (
            format!("{HEAD}{}", RULE.replace("\"lock\"", "\"cache\"")),
            "has no meaning in the scope 'cache' (expected lock)",
        ),
        (format!("{HEAD}{}", RULE.replace("\"r\"", "\"R r\"")), "the id 'R r'"),
        (format!("{HEAD}{}", RULE.replace("[[rule]]", "[[rules]]")), "did you mean 'rule'?"),
        (format!("{HEAD}{}", RULE.replace("[[rule]]", "[rule]")), "has to be written as [[rule]]"),
        (format!("{HEAD}{RULE}{RULE}"), "there are two rules 'r'"),
        (format!("{HEAD}{RULE}max-age-days = 3\n"), "not both"),
        (HEAD.to_owned(), "a policy has no 'rule'"),
        (RULE.to_owned(), "a policy has no 'format'"),
        (
            format!("{HEAD}{RULE}").replace("format = 1", "format = 2"),
            "'format' is 2 (expected a whole number from 1 to 1)",
        ),
        (
            format!("{HEAD}{RULE}").replace("name = \"p\"", "name = 3"),
            "'name' is integer (expected a text)",
        ),
        ("format = ".to_owned(), "line 1"),
    ] {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains(wanted), "{text}\n{error}");
    }
    assert_eq!(Policy::parse("p", b"\xff"), Err(PolicyError::NotUtf8(0)));
    assert_eq!(Policy::parse("p", &vec![b' '; MAX_LEN + 1]), Err(PolicyError::TooLong));
}

#[test]
fn checks_are_complete_or_refused() {
    for (text, wanted) in [
        ("scope = \"runtime\"\nallowed-licences = []", "'allowed-licences' is an empty list"),
        ("scope = \"runtime\"\nallowed-licences = [\"MTI\"]", "no SPDX licence expression"),
        ("scope = \"runtime\"\nallowed-licences = [\"MIT\", \"MIT\"]", "twice"),
        (
            "scope = \"runtime\"\nbanned = [{ versions = [\"< 1\"] }]",
            "one of 'name', 'purl' and 'path'",
        ),
        ("scope = \"runtime\"\nbanned = [{ nam = \"x\" }]", "did you mean 'name'?"),
        (
            "scope = \"runtime\"\nbanned = [{ name = \"x\", version = [\"< 1\"] }]",
            "did you mean 'versions'?",
        ),
        (
            "scope = \"runtime\"\nbanned = [{ name = \"x\", versions = [\"1\"] }]",
            "no demand on versions",
        ),
        ("scope = \"runtime\"\nbanned = [{ name = \"x\", versions = [] }]", "empty list"),
        ("scope = \"runtime\"\ndrift = { added = 1, removed = 1 }", "has no 'changed'"),
        (
            "scope = \"runtime\"\ndrift = { added = 1, removed = 1, changd = 1 }",
            "did you mean 'changed'?",
        ),
        ("scope = \"runtime\"\nprofile = \"bsi\"", "expected cisa-2026, bsi-2.1, ntia-2021"),
        ("scope = \"lock\"\nforbidden-findings = [\"dirty-revv\"]", "did you mean 'dirty-rev'?"),
        ("scope = \"lock\"\nfindings = \"errors\"", "expected none, notes, warnings"),
        ("scope = \"lock\"\nmax-age-days = -1", "expected a whole number"),
        ("scope = \"lock\"\nmax-age-days = 1.5", "is float"),
        ("scope = \"rebuild\"\nreproduced-percent = 101", "expected a whole number from 1 to 100"),
        ("scope = \"rebuild\"\nreproduced-percent = 0", "expected a whole number from 1 to 100"),
        ("scope = \"cache\"\noperators = 0", "expected a whole number from 1"),
        (
            "scope = \"rebuild\"\nreproduced-percent = 90\nwhen = \"true\"",
            "about all things together",
        ),
        ("scope = \"lock\"\nrequire = \"component.name == 'x'\"", "things are called 'input'"),
        ("scope = \"lock\"\nlocked = true\nwhen = \"input.nam == 'x'\"", "did you mean 'name'?"),
    ] {
        let error = with(text).unwrap_err().to_string();
        assert!(error.contains(wanted), "{text}\n{error}");
    }
    let kind = |text: &str| with(text).unwrap().rules[0].kind;
    assert_eq!(kind("scope = \"lock\"\nrequire = \"report.errors == 0\""), Kind::Report);
    assert_eq!(kind("scope = \"build\"\nrequire = \"sbom.components > 0\""), Kind::Sbom);
    assert_eq!(kind("scope = \"build\"\nmax-age-days = 3"), Kind::Sbom);
}

#[test]
fn waivers_have_a_rule_a_reason_and_an_end() {
    let waiver = "[[waiver]]\nrule = \"r\"\nsubject = \"nixpkgs\"\nreason = \"soon\"\nexpires = \"2027-01-31\"\n";
    let whole = format!("{HEAD}{RULE}{waiver}");
    let policy = parse(&whole).unwrap();
    let found = &policy.waivers[0];
    assert!(found.covers("r", &["a", "nixpkgs"]) && !found.covers("r", &["a"]));
    assert!(!found.covers("s", &["nixpkgs"]));
    assert_eq!(found.over, "2027-02-01".parse::<Timestamp>().unwrap().seconds());
    for (from, to, wanted) in [
        ("rule = \"r\"", "rule = \"q\"", "there is no rule 'q' in this policy"),
        ("reason = \"soon\"\n", "", "a waiver has no 'reason'"),
        ("expires = \"2027-01-31\"\n", "", "a waiver has no 'expires'"),
        ("2027-01-31", "2027-01-31T00:00:00Z", "is no day"),
        ("expires", "expire", "did you mean 'expires'?"),
        ("\"nixpkgs\"", "\"**\"", "a waiver for everything"),
        ("[[waiver]]", "[[waivers]]", "did you mean 'waiver'?"),
    ] {
        let error =
            parse(&format!("{HEAD}{RULE}{}", waiver.replace(from, to))).unwrap_err().to_string();
        assert!(error.contains(wanted), "{to}\n{error}");
    }
}
