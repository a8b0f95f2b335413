//! `docs/command-line.md` says what every `--help` says, no more and no less.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::help::{Described, OF_THEIR_OWN, commands, help, options, without_default};
use super::*;

/// A command that has all these makes a report; the page lists those once.
const REPORTING: [&str; 8] = [
    "--format",
    "--output",
    "--fail-on",
    "--exit-zero",
    "--reproducible",
    "--now",
    "--quiet",
    "--color",
];

/// Text as the cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('>', "&gt;")
}

fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

/// The commands with options of their own, each with its options.
fn all_options() -> Vec<(String, Vec<Described>)> {
    let mut all: Vec<(String, Vec<Described>)> = Vec::new();
    for command in commands() {
        all.push((command.join(" "), options(&help(&command, "--help").out)));
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

/// The sections of the page, by name, as they follow from the help.
fn sections() -> BTreeMap<&'static str, String> {
    let all = all_options();
    let whole =
        |options: &[Described]| REPORTING.iter().all(|f| options.iter().any(|o| o.flag == *f));
    let reporting: Vec<&str> =
        all.iter().filter(|(_, has)| whole(has)).map(|(name, _)| name.as_str()).collect();
    let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (command, options) in &all {
        for option in options {
            users.entry(&option.flag).or_default().push(command);
        }
    }
    let is_shared =
        |flag: &str| !OF_THEIR_OWN.contains(&flag) && users.get(flag).is_some_and(|u| u.len() > 1);

    let mut shared = String::from("| option | meaning | of |\n|---|---|---|\n");
    let mut told = Vec::new();
    let mut own = String::new();
    for (command, options) in &all {
        for option in options.iter().filter(|option| is_shared(&option.flag)) {
            if told.contains(&&option.flag) {
                continue;
            }
            told.push(&option.flag);
            let of = users[option.flag.as_str()].clone();
            let of = if reporting.iter().all(|command| of.contains(command)) {
                let more: Vec<&str> =
                    of.into_iter().filter(|name| !reporting.contains(name)).collect();
                let more =
                    if more.is_empty() { String::new() } else { format!(", {}", more.join(", ")) };
                format!("all that report{more}")
            } else {
                of.join(", ")
            };
            let words = cell(without_default(&option.words));
            writeln!(shared, "| {} | {words} | {of} |", code(&option.signature)).unwrap();
        }
        let mut rest = options.iter().filter(|option| {
            !(is_shared(&option.flag) || option.flag == "--output" && whole(options))
        });
        if let Some(first) = rest.next() {
            writeln!(own, "### verify {command}\n\n| option | meaning |\n|---|---|").unwrap();
            for option in std::iter::once(first).chain(rest) {
                writeln!(own, "| {} | {} |", code(&option.signature), cell(&option.words)).unwrap();
            }
            own.push('\n');
        }
    }

    let mut list = String::from("| command | what it does |\n|---|---|\n");
    for (command, _) in &all {
        let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
        let page = help(&words, "-h").out;
        let about = page.lines().next().unwrap().trim_end_matches('.');
        writeln!(list, "| `verify {command}` | {} |", cell(about)).unwrap();
    }
    BTreeMap::from([
        ("commands", list),
        ("shared options", shared),
        ("reporting", format!("{}\n", reporting.join(", "))),
        ("own options", own),
    ])
}

#[test]
fn the_page_says_what_the_help_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/command-line.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let mut wanted = page.clone();
    for (name, text) in sections() {
        let begin = format!("<!-- {name}, from the help -->\n");
        let (before, rest) = wanted.split_once(&begin).unwrap_or_else(|| panic!("no {name}"));
        let (_, after) = rest.split_once("<!-- end -->").unwrap();
        wanted = format!("{before}{begin}\n{}\n\n<!-- end -->{after}", text.trim_end());
    }
    if page != wanted {
        let right = Path::new(env!("CARGO_TARGET_TMPDIR")).join("command-line.md");
        std::fs::write(&right, &wanted).unwrap();
        let differing = page.lines().zip(wanted.lines()).find(|(is, should)| is != should);
        panic!(
            "{} says otherwise than the help, first {differing:#?}; as it should be: {}",
            file.display(),
            right.display()
        );
    }
}
