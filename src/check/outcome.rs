//! The three answers, and what carries them to a report.

use std::fmt;

use super::location::Location;

/// How much a finding weighs; `--fail-on` compares against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Worth knowing.
    Note,
    /// Worth mending.
    Warning,
    /// Must not pass.
    Error,
}

impl Level {
    /// The word used in reports and options.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a check looks for; one constant per check, beside its logic.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// Stable kebab-case id; the doc page and fixture directory repeat it.
    pub id: &'static str,
    /// The level of its findings unless the finding says otherwise.
    pub level: Level,
    /// One line: what is wrong when it fires.
    pub summary: &'static str,
    /// What somebody who sees it should do.
    pub remedy: &'static str,
    /// The page that explains it, in Markdown (`docs/checks/<id>.md`).
    pub page: &'static str,
}

/// One labelled value that supports a finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Evidence {
    /// What the value is, for example `claimed NarHash`.
    pub label: String,
    /// The value as found.
    pub value: String,
}

/// A check that failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The rule that was broken.
    pub rule: &'static Rule,
    /// How much this one weighs.
    pub level: Level,
    /// What was examined: a store path, an output, a file.
    pub subject: String,
    /// What was found and what was expected.
    pub message: String,
    /// The values behind the message.
    pub evidence: Vec<Evidence>,
    /// Where it stands, if it stands in a file.
    pub location: Option<Box<Location>>,
    /// The command that mends this one, ready to be typed, if there is one.
    pub repair: Option<String>,
}

impl Finding {
    /// A finding at its rule's own level.
    #[must_use]
    pub fn new(
        rule: &'static Rule,
        subject: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            rule,
            level: rule.level,
            subject: subject.into(),
            message: message.into(),
            evidence: Vec::new(),
            location: None,
            repair: None,
        }
    }

    /// Says where it stands.
    #[must_use]
    pub fn located(mut self, location: Location) -> Self {
        self.location = Some(Box::new(location));
        self
    }

    /// Names the command that mends it.
    #[must_use]
    pub fn mended_by(mut self, command: impl Into<String>) -> Self {
        self.repair = Some(command.into());
        self
    }

    /// Weighs it otherwise than its rule does.
    #[must_use]
    pub const fn weighed(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Adds one labelled value.
    #[must_use]
    pub fn with(mut self, label: impl Into<String>, value: impl fmt::Display) -> Self {
        self.evidence.push(Evidence { label: label.into(), value: value.to_string() });
        self
    }
}

/// Why a check that was asked for got no answer: the closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No trusted claim exists to compare with.
    NoReference,
    /// An input could not be obtained from anything that may be trusted.
    InputMissing,
    /// An input's derivation could not be found, so nothing can be planned.
    DerivationMissing,
    /// An input diverged and nobody claims a version of it.
    BlockedBy,
    /// The builder ended with a failure.
    BuildFailed,
    /// A build limit (time, silence, log size, disk, memory) was reached.
    LimitReached,
    /// The derivation needs something that is not supported, or is refused.
    Unsupported,
    /// A fixed output cannot be fetched by plain means.
    FetchImpossible,
    /// A host or cache did not answer, or broke off.
    Unreachable,
    /// What answered broke a bound meant for hostile input.
    TooLarge,
    /// This machine forbids what a build needs.
    Environment,
    /// The run did not see a difference that was put before it, so what it
    /// calls equal is worth nothing.
    CanaryFailed,
    /// No network is allowed and the answer is not at hand.
    Offline,
    /// No mirror that was named holds what is asked about, or not yet.
    NotInMirror,
    /// The run was told to examine nothing.
    NothingExamined,
    /// The run was stopped before it got there.
    Interrupted,
}

impl Reason {
    /// The word used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoReference => "no-reference",
            Self::InputMissing => "input-missing",
            Self::DerivationMissing => "derivation-missing",
            Self::BlockedBy => "blocked-by",
            Self::BuildFailed => "build-failed",
            Self::LimitReached => "limit-reached",
            Self::Unsupported => "unsupported",
            Self::FetchImpossible => "fetch-impossible",
            Self::Unreachable => "unreachable",
            Self::TooLarge => "too-large",
            Self::Environment => "environment",
            Self::CanaryFailed => "canary-failed",
            Self::Offline => "offline",
            Self::NotInMirror => "not-in-mirror",
            Self::NothingExamined => "nothing-examined",
            Self::Interrupted => "interrupted",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A check that was asked for and got no answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Inconclusive {
    /// What was examined.
    pub subject: String,
    /// The check that got no answer.
    pub check: String,
    /// Why, from the closed list.
    pub reason: Reason,
    /// The particulars: what was tried and what came back.
    pub detail: String,
}

/// A check nobody asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NotRun {
    /// The check.
    pub check: String,
    /// The option that would have asked for it.
    pub because: String,
}

/// What was asked, what was answered, and what was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Checks asked for, over all subjects.
    pub asked: u64,
    /// Those that passed or failed.
    pub answered: u64,
    /// Checks nobody asked for.
    pub not_run: Vec<NotRun>,
    /// Those that got no answer, each with its reason.
    pub inconclusive: Vec<Inconclusive>,
}

/// The judgement over a subject or a whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Everything asked for was checked and holds.
    Pass,
    /// Nothing failed, but something asked for got no answer.
    Inconclusive,
    /// Something failed.
    Fail,
}

impl Verdict {
    /// The word used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "fail",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing that was examined, with what came of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// The store path, output or file.
    pub id: String,
    /// The judgement over it.
    pub verdict: Verdict,
    /// The command's own word for the result, such as `reproduced`.
    pub status: String,
}

/// Everything a command found out, before policy and rendering.
#[derive(Debug, Clone, PartialEq)]
pub struct Examination {
    /// The command, as typed (`rebuild`, `inspect`).
    pub command: &'static str,
    /// What was examined.
    pub subjects: Vec<Subject>,
    /// The command's own facts, in its public JSON shape.
    pub facts: serde_json::Value,
    /// What failed.
    pub findings: Vec<Finding>,
    /// What was asked and what was answered.
    pub coverage: Coverage,
}

impl Examination {
    /// The judgement: a finding at or above `fail_on` fails; a run that
    /// examined nothing, or that left something asked for unanswered, is
    /// inconclusive.
    #[must_use]
    pub fn verdict(&self, fail_on: Level) -> Verdict {
        let failed = self.findings.iter().any(|finding| finding.level >= fail_on);
        let unanswered = !self.coverage.inconclusive.is_empty()
            || self.coverage.answered < self.coverage.asked
            || self.coverage.answered == 0;
        if failed {
            Verdict::Fail
        } else if unanswered {
            Verdict::Inconclusive
        } else {
            Verdict::Pass
        }
    }

    /// Puts everything into the one order that reports use.
    pub fn sort(&mut self) {
        self.subjects.sort();
        self.findings.sort_by(|a, b| b.level.cmp(&a.level).then_with(|| a.cmp(b)));
        self.findings.dedup();
        self.coverage.not_run.sort();
        self.coverage.not_run.dedup();
        self.coverage.inconclusive.sort();
        self.coverage.inconclusive.dedup();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static RULE: Rule = Rule { id: "r", level: Level::Warning, summary: "", remedy: "", page: "" };

    fn examination(asked: u64, answered: u64, findings: Vec<Finding>) -> Examination {
        Examination {
            command: "rebuild",
            subjects: Vec::new(),
            facts: serde_json::Value::Null,
            findings,
            coverage: Coverage { asked, answered, ..Coverage::default() },
        }
    }

    #[test]
    fn nothing_examined_is_no_pass() {
        assert_eq!(examination(0, 0, vec![]).verdict(Level::Error), Verdict::Inconclusive);
    }

    #[test]
    fn unanswered_is_no_pass() {
        assert_eq!(examination(2, 1, vec![]).verdict(Level::Error), Verdict::Inconclusive);
        assert_eq!(examination(2, 2, vec![]).verdict(Level::Error), Verdict::Pass);
    }

    #[test]
    fn fail_on_decides_what_fails() {
        let run = examination(1, 1, vec![Finding::new(&RULE, "s", "m")]);
        assert_eq!(run.verdict(Level::Error), Verdict::Pass);
        assert_eq!(run.verdict(Level::Warning), Verdict::Fail);
    }
}
