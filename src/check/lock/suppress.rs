//! Findings that the configuration puts up with.

use super::config::{Config, Suppression, span_of};
use crate::check::{Finding, Level, Rule, Source};
use crate::nix::flake_lock::graph::show_name;

/// A suppression that covers nothing.
pub static UNUSED_SUPPRESSION: Rule = Rule {
    id: "unused-suppression",
    level: Level::Warning,
    summary: "the configuration suppresses a finding that is not there",
    remedy: "remove the entry from .verify.toml; it would hide the next finding of its kind unseen",
    page: page!("unused-suppression"),
};

/// A suppression whose time is over.
pub static EXPIRED_SUPPRESSION: Rule = Rule {
    id: "expired-suppression",
    level: Level::Warning,
    summary: "the configuration suppresses a finding, but only until a day that has passed",
    remedy: "mend what was put up with, or decide anew and write another day into .verify.toml",
    page: page!("expired-suppression"),
};

/// A configuration that was not used.
pub static CONFIG_NOT_USED: Rule = Rule {
    id: "config-not-used",
    level: Level::Warning,
    summary: "there is another configuration than the one that was used",
    remedy: "review the change of the configuration by itself: a change is judged by what held before it, so that it cannot silence its own judge",
    page: page!("config-not-used"),
};

/// The rules here.
pub static RULES: [&Rule; 3] = [&UNUSED_SUPPRESSION, &EXPIRED_SUPPRESSION, &CONFIG_NOT_USED];

/// A finding that was put up with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Suppressed {
    /// The rule.
    pub rule: &'static str,
    /// The input.
    pub subject: String,
    /// Its message.
    pub message: String,
    /// Why it was put up with.
    pub reason: String,
    /// Until when.
    pub expires: Option<String>,
}

/// Takes out what the configuration puts up with, and adds what is wrong with
/// its entries. `source` is the configuration's text.
pub fn apply(
    config: &Config,
    source: Option<&Source<'_>>,
    now: i64,
    findings: &mut Vec<Finding>,
) -> Vec<Suppressed> {
    let entries = &config.lock.suppress;
    let mut used = vec![false; entries.len()];
    let mut suppressed = Vec::new();
    findings.retain(|finding| {
        let covers = |one: &Suppression| covers(one, finding);
        let mut taken = None;
        for (entry, used) in entries.iter().zip(&mut used) {
            if covers(entry.as_ref()) {
                *used = true;
                if !entry.as_ref().is_over(now) && taken.is_none() {
                    taken = Some(entry.as_ref());
                }
            }
        }
        let Some(entry) = taken else { return true };
        suppressed.push(Suppressed {
            rule: finding.rule.id,
            subject: finding.subject.clone(),
            message: finding.message.clone(),
            reason: entry.reason.clone(),
            expires: entry.expires.clone(),
        });
        false
    });
    for (entry, used) in entries.iter().zip(&used) {
        let one = entry.as_ref();
        let (rule, input) = (show_name(&one.rule), show_name(&one.input));
        let (rule, message) = if one.is_over(now) {
            let day = one.expires.as_deref().unwrap_or_default();
            let message = format!("'{rule}' of '{input}' was to be put up with until {day}");
            (&EXPIRED_SUPPRESSION, message)
        } else if !used {
            (&UNUSED_SUPPRESSION, format!("there is no '{rule}' of '{input}' to put up with"))
        } else {
            continue;
        };
        let mut finding = Finding::new(rule, input, message).with("reason given", &one.reason);
        if let Some(source) = source {
            finding = finding.located(source.at(span_of(entry)));
        }
        findings.push(finding);
    }
    suppressed.sort();
    suppressed
}

fn covers(entry: &Suppression, finding: &Finding) -> bool {
    entry.covers(finding.rule.id, &finding.subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    static RULE: Rule =
        Rule { id: "a-rule", level: Level::Error, summary: "", remedy: "", page: "" };

    #[test]
    fn entries_hide_what_they_name_and_no_more() {
        let text = "[[lock.suppress]]\nrule = \"a-rule\"\ninput = \"a\"\nreason = \"r\"\n\
            [[lock.suppress]]\nrule = \"a-rule\"\ninput = \"b\"\nreason = \"r\"\nexpires = \"1970-01-01\"\n\
            [[lock.suppress]]\nrule = \"a-rule\"\ninput = \"z\"\nreason = \"r\"\n";
        let config = Config::parse(text.as_bytes(), |_| true).unwrap();
        let source = Source::new(".verify.toml", text.as_bytes());
        let mut findings: Vec<Finding> =
            ["a", "b", "c"].iter().map(|one| Finding::new(&RULE, *one, "m")).collect();
        let suppressed = apply(&config, Some(&source), 90_000, &mut findings);
        assert_eq!(suppressed.len(), 1);
        assert_eq!(suppressed[0].subject, "a");
        let left: Vec<(&str, &str)> =
            findings.iter().map(|one| (one.rule.id, one.subject.as_str())).collect();
        assert_eq!(
            left,
            [
                ("a-rule", "b"),
                ("a-rule", "c"),
                ("expired-suppression", "b"),
                ("unused-suppression", "z")
            ]
        );
        assert_eq!(findings[3].location.as_ref().unwrap().start.line, 10);
    }
}
