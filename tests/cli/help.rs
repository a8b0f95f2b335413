//! Help, version, misuse and explanations.

use super::*;

/// Every command that can be typed, from the help itself.
fn commands() -> Vec<String> {
    let help = verify(&["--help"]).out;
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    list.lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn every_command_has_help_with_examples() {
    let commands = commands();
    assert!(commands.iter().any(|command| command == "inspect"), "{commands:?}");
    for command in commands {
        for flag in ["--help", "-h"] {
            let ran = verify(&[&command, flag]);
            assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{command}: {}", ran.all());
            assert!(ran.out.contains("Examples:"), "{command}: {}", ran.out);
            assert!(ran.out.lines().all(|line| line.chars().count() <= 100), "{}", ran.out);
        }
    }
}

#[test]
fn one_option_has_one_meaning_everywhere() {
    let mut meanings: Vec<(String, String, String)> = Vec::new();
    for command in commands() {
        let help = verify(&[&command, "--help"]).out;
        let words: Vec<&str> = help.split_whitespace().collect();
        let joined = words.join(" ");
        for option in [
            "--format",
            "--output",
            "--fail-on",
            "--exit-zero",
            "--reproducible",
            "--now",
            "--color",
            "--state-dir",
            "--jobs",
            "--trusted-key ",
            "--trusted-keys-file",
            "--drv-dir",
        ] {
            if let Some(at) = joined.find(&format!(" {option}")) {
                let text: String = joined[at + 1..].chars().take(60).collect();
                meanings.push((option.to_owned(), text, command.clone()));
            }
        }
    }
    for (option, text, command) in &meanings {
        for (other, again, elsewhere) in &meanings {
            if option == other {
                assert_eq!(text, again, "{option} in {command} and {elsewhere}");
            }
        }
    }
}

#[test]
fn misuse_exits_with_two_and_helps() {
    for (arguments, hint) in [
        (&[][..], "Usage"),
        (&["inspcet"], "'inspect'"),
        (&["claen"], "'clean'"),
        (&["inspect"], "<FILE>"),
        (&["inspect", "nar/case.nar", "--formt", "json"], "'--format'"),
        (&["inspect", "nar/case.nar", "--format", "xml"], "json"),
        (&["inspect", "nar/case.nar", "--now", "yesterday"], "2026-01-31T12:00:00Z"),
        (&["inspect", "a", "b"], "unexpected argument"),
        (&["clean", "--max-size", "much"], "number of bytes"),
        (&["clean"], "--state-dir"),
        (&["explain", "output-difers"], "'output-differs'"),
    ] {
        let ran = verify(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?}: {}", ran.all());
        assert!(ran.err.contains(hint), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn version_is_the_package_s() {
    let ran = verify(&["--version"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, concat!("verify ", env!("CARGO_PKG_VERSION"), "\n"))
    );
}

#[test]
fn rules_explain_themselves() {
    let list = verify(&["explain"]);
    assert_eq!(list.code, 0);
    for line in list.out.lines() {
        let id = line.split(' ').next().unwrap();
        let page = verify(&["explain", id]);
        assert_eq!(page.code, 0);
        assert!(page.out.starts_with(&format!("# {id}\n")), "{}", page.out);
    }
}
