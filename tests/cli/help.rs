//! Help, version, misuse and explanations.

use super::*;

/// Every command that can be typed, with those below it, from the help itself.
pub(super) fn commands() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut todo: Vec<Vec<String>> = vec![Vec::new()];
    while let Some(above) = todo.pop() {
        let help = help(&above, "--help").out;
        let Some(list) = help.split("Commands:\n").nth(1) else { continue };
        for line in list.split("\n\n").next().unwrap().lines() {
            // Long descriptions go on in the next line.
            let Some(line) = line.strip_prefix("  ").filter(|line| !line.starts_with(' ')) else {
                continue;
            };
            let mut command = above.clone();
            command.push(line.split_whitespace().next().unwrap().to_owned());
            todo.push(command.clone());
            found.push(command);
        }
    }
    found
}

pub(super) fn help(command: &[String], flag: &str) -> Ran {
    let words: Vec<&str> = command.iter().map(String::as_str).chain([flag]).collect();
    verify(&words)
}

#[test]
fn every_command_has_help_with_examples() {
    let commands = commands();
    assert!(commands.contains(&vec!["sbom".into(), "export".into()]), "{commands:?}");
    for command in commands {
        for flag in ["--help", "-h"] {
            let ran = help(&command, flag);
            assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{command:?}: {}", ran.all());
            assert!(ran.out.contains("Examples:"), "{command:?}: {}", ran.out);
            assert!(ran.out.lines().all(|line| line.chars().count() <= 100), "{}", ran.out);
        }
    }
}

/// An option as a help page has it.
pub(super) struct Described {
    /// Its long name: `--output`.
    pub(super) flag: String,
    /// With its short name and its value: `-q, --quiet`, `--output <FILE>`.
    pub(super) signature: String,
    /// What it says, on one line.
    pub(super) words: String,
}

/// The options of a help page: each with the words up to the next option or
/// heading.
pub(super) fn options(help: &str) -> Vec<Described> {
    let mut found: Vec<Described> = Vec::new();
    let mut open = false;
    for line in help.lines().take_while(|line| !line.starts_with("Examples:")) {
        let text = line.trim();
        let named = match text.split_once(", ") {
            Some((short, named)) if short.len() == 2 && short.starts_with('-') => named,
            _ => text,
        };
        // Deeper lines go on, whatever they begin with.
        let begins = line.starts_with("      --") || line.starts_with("  -");
        if begins && named.starts_with("--") {
            let (signature, words) = text.split_once("  ").unwrap_or((text, ""));
            let flag = named.split([' ', '[']).next().unwrap();
            found.push(Described {
                flag: flag.to_owned(),
                signature: signature.to_owned(),
                words: words.to_owned(),
            });
            open = true;
        } else if text.is_empty() || !line.starts_with("  ") {
            open = false;
        } else if let (true, Some(last)) = (open, found.last_mut()) {
            last.words.push(' ');
            last.words.push_str(text);
        }
    }
    for option in &mut found {
        option.words = option.words.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    found.retain(|option| !["--help", "--version"].contains(&option.flag.as_str()));
    found
}

/// Options about what a command itself makes or takes.
pub(super) const OF_THEIR_OWN: [&str; 4] = ["--output", "--predicate", "--baseline", "--evidence"];

/// The words without what a command has by default, which is its own.
pub(super) fn without_default(words: &str) -> &str {
    words.split(" [default").next().unwrap()
}

#[test]
fn one_option_has_one_meaning_everywhere() {
    let mut meanings: std::collections::BTreeMap<String, String> = Default::default();
    let (mut shared, mut wrong) = (0, Vec::new());
    for command in commands() {
        for Described { flag, signature, words } in options(&help(&command, "--help").out) {
            if OF_THEIR_OWN.contains(&flag.as_str()) {
                continue;
            }
            let said = format!("{signature} {}", without_default(&words));
            match meanings.get(&flag) {
                Some(before) => {
                    if before != &said {
                        wrong.push(format!("{command:?}: {said:?}, before {before:?}"));
                    }
                    shared += 1;
                }
                None => {
                    meanings.insert(flag, said);
                }
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert!(shared > 15 && meanings.len() > 30, "{shared} {meanings:#?}");
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
