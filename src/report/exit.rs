//! Exit codes, decided in one place.
//!
//! 0 pass, 1 fail, 2 wrong usage, unreadable input or tool failure, 3 nothing
//! failed but something asked for is inconclusive. Precedence: 2, 1, 3, 0.

use super::Report;
use crate::check::{Level, Verdict};

/// What a run says to the process that started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything asked for was checked and holds.
    Pass,
    /// Something fails, differs or is forged.
    Fail,
    /// Wrong usage, unreadable input, or the tool itself failed.
    Trouble,
    /// Nothing failed, but something asked for got no answer.
    Inconclusive,
}

impl Exit {
    /// The exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Trouble => 2,
            Self::Inconclusive => 3,
        }
    }

    /// The same for `git bisect run`, which skips a commit for 125, calls it bad
    /// for 1 to 124, 126 and 127, and gives up for anything above: a failure of
    /// ours must not make a commit bad.
    #[must_use]
    pub const fn bisect_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Trouble => 255,
            Self::Inconclusive => 125,
        }
    }

    /// What a report comes to.
    #[must_use]
    pub fn of(report: &Report, fail_on: Level) -> Self {
        if !report.troubles.is_empty() {
            return Self::Trouble;
        }
        match report.examination.verdict(fail_on) {
            Verdict::Fail => Self::Fail,
            Verdict::Inconclusive => Self::Inconclusive,
            Verdict::Pass => Self::Pass,
        }
    }

    /// The same under `--exit-zero`: findings and open questions no longer
    /// show in the exit code, failures of the tool do.
    #[must_use]
    pub const fn forgiving(self) -> Self {
        match self {
            Self::Trouble => Self::Trouble,
            Self::Pass | Self::Fail | Self::Inconclusive => Self::Pass,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Coverage, Examination, Finding, Inconclusive, Reason, Rule};
    use crate::report::Trouble;

    static RULE: Rule = Rule { id: "r", level: Level::Error, summary: "", remedy: "", page: "" };

    fn report(fails: bool, open: bool, trouble: bool) -> Report {
        let mut coverage = Coverage { asked: 1, answered: 1, ..Coverage::default() };
        if open {
            coverage.asked = 2;
            coverage.inconclusive.push(Inconclusive {
                subject: String::new(),
                check: String::new(),
                reason: Reason::Unreachable,
                detail: String::new(),
            });
        }
        let mut report = Report::from(Examination {
            command: "inspect",
            subjects: Vec::new(),
            facts: serde_json::Value::Null,
            findings: if fails { vec![Finding::new(&RULE, "s", "m")] } else { Vec::new() },
            coverage,
        });
        if trouble {
            report.troubles.push(Trouble::new("the disk is full"));
        }
        report
    }

    #[test]
    fn precedence_is_two_one_three_zero() {
        for (fails, open, trouble, code, forgiven) in [
            (false, false, false, 0, 0),
            (false, true, false, 3, 0),
            (true, false, false, 1, 0),
            (true, true, false, 1, 0),
            (false, false, true, 2, 2),
            (true, true, true, 2, 2),
        ] {
            let exit = Exit::of(&report(fails, open, trouble), Level::Error);
            assert_eq!(exit.code(), code);
            assert_eq!(exit.forgiving().code(), forgiven);
            let bisect = [0, 1, 255, 125][usize::from(code)];
            assert_eq!(exit.bisect_code(), bisect);
        }
    }
}
