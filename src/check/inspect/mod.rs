//! What one file says, and whether that can be right: the checks of
//! `verify inspect`.
//!
//! Each module takes bytes (or a stream) and returns an [`Inspected`] with
//! the facts of its kind. A file that breaks its format is a finding that
//! names the byte; it has no facts.

pub mod against;
pub mod derivation;
pub mod lock;
pub mod nar;
pub mod narinfo;
pub mod rules;

use crate::check::{
    Coverage, Examination, Finding, Inconclusive, Level, NotRun, Reason, Subject, Verdict,
};

/// What inspecting a file gave.
#[derive(Debug, Clone)]
pub struct Inspected<F> {
    /// What it says; `None` if it breaks its format.
    pub facts: Option<F>,
    /// The answers.
    pub answers: Answers,
}

/// The answers about one file, as they come.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    subject: String,
    findings: Vec<Finding>,
    coverage: Coverage,
}

impl Answers {
    fn about(subject: &str) -> Self {
        Self { subject: subject.to_owned(), ..Self::default() }
    }

    /// A check that holds.
    fn pass(&mut self) {
        self.coverage.asked += 1;
        self.coverage.answered += 1;
    }

    /// A check that failed.
    fn fail(&mut self, finding: Finding) {
        self.pass();
        self.findings.push(finding);
    }

    /// Something worth saying beside a check that was counted already.
    fn remark(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// A check that got no answer.
    fn open(&mut self, check: &str, reason: Reason, detail: impl Into<String>) {
        self.coverage.asked += 1;
        self.coverage.inconclusive.push(Inconclusive {
            subject: self.subject.clone(),
            check: check.to_owned(),
            reason,
            detail: detail.into(),
        });
    }

    /// A check that nobody asked for.
    fn not_run(&mut self, check: &str, because: impl Into<String>) {
        self.coverage.not_run.push(NotRun { check: check.to_owned(), because: because.into() });
    }

    /// The examination of the file.
    #[must_use]
    pub fn into_examination(self, facts: serde_json::Value) -> Examination {
        let failed = self.findings.iter().any(|finding| finding.level >= Level::Error);
        let (verdict, status) = if failed {
            (Verdict::Fail, "bad")
        } else if self.coverage.inconclusive.is_empty() {
            (Verdict::Pass, "sound")
        } else {
            (Verdict::Inconclusive, "unproven")
        };
        Examination {
            command: "inspect",
            subjects: vec![Subject { id: self.subject, verdict, status: status.to_owned() }],
            facts,
            findings: self.findings,
            coverage: self.coverage,
        }
    }
}
