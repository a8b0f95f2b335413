//! What works on a machine, and how to mend what does not.

use serde_json::json;

use super::{
    Coverage, Evidence, Examination, Finding, Inconclusive, Level, NotRun, Reason, Rule, Subject,
    Verdict,
};

/// Something without which nothing can be rebuilt here.
pub static MACHINE_LACKS: Rule = Rule {
    id: "machine-lacks",
    level: Level::Error,
    summary: "this machine lacks something without which verify cannot do its work",
    remedy: "follow what the finding says, and run 'verify doctor' again",
    page: page!("machine-lacks"),
};

/// Something that works, but not as well as it could.
pub static MACHINE_LIMITED: Rule = Rule {
    id: "machine-limited",
    level: Level::Warning,
    summary: "this machine does something less well than it could",
    remedy: "nothing has to be done; the finding says what would make it better",
    page: page!("machine-limited"),
};

/// How one part of the machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// As it should be.
    Works,
    /// It could be better.
    Limited,
    /// It is not there, and something cannot be done for it.
    Lacking,
    /// It could not be told.
    Unknown(Reason),
    /// Nobody asked for it.
    NotAsked,
}

impl Health {
    /// The word used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Limited => "limited",
            Self::Lacking => "lacking",
            Self::Unknown(_) => "unknown",
            Self::NotAsked => "not asked",
        }
    }
}

/// One part of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is called.
    pub name: String,
    /// How it is.
    pub health: Health,
    /// What was found.
    pub found: String,
    /// What to do, if anything is to be done.
    pub mend: Option<String>,
}

impl Part {
    /// A part and how it is.
    #[must_use]
    pub fn new(name: impl Into<String>, health: Health, found: impl Into<String>) -> Self {
        Self { name: name.into(), health, found: found.into(), mend: None }
    }

    /// Says what to do.
    #[must_use]
    pub fn mended_by(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }
}

/// Judges a machine.
#[must_use]
pub fn examine(parts: &[Part]) -> Examination {
    let mut coverage = Coverage::default();
    let mut findings = Vec::new();
    let mut subjects = Vec::new();
    for part in parts {
        let verdict = match part.health {
            Health::NotAsked => {
                coverage
                    .not_run
                    .push(NotRun { check: part.name.clone(), because: part.found.clone() });
                continue;
            }
            Health::Works | Health::Limited => Verdict::Pass,
            Health::Lacking => Verdict::Fail,
            Health::Unknown(reason) => {
                coverage.inconclusive.push(Inconclusive {
                    subject: part.name.clone(),
                    check: "doctor".to_owned(),
                    reason,
                    detail: part.found.clone(),
                });
                Verdict::Inconclusive
            }
        };
        coverage.asked += 1;
        coverage.answered += u64::from(verdict != Verdict::Inconclusive);
        let status = part.health.name().to_owned();
        subjects.push(Subject { id: part.name.clone(), verdict, status });
        let rule = match part.health {
            Health::Lacking => &MACHINE_LACKS,
            Health::Limited => &MACHINE_LIMITED,
            _ => continue,
        };
        let mut finding = Finding::new(rule, &part.name, part.found.clone());
        if let Some(mend) = &part.mend {
            let label = "what to do".to_owned();
            finding.evidence.push(Evidence { label, value: mend.clone() });
        }
        findings.push(finding);
    }
    let parts = parts.iter().map(|part| {
        json!({
            "name": part.name, "health": part.health.name(), "found": part.found, "mend": part.mend
        })
    });
    Examination {
        command: "doctor",
        subjects,
        facts: json!({ "parts": parts.collect::<Vec<_>>() }),
        findings,
        coverage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lacks_fails_and_what_is_unknown_stays_open() {
        let judged = |healths: &[Health]| {
            let parts: Vec<Part> =
                healths.iter().map(|health| Part::new("part", *health, "found")).collect();
            examine(&parts).verdict(Level::Error)
        };
        let unknown = Health::Unknown(Reason::Unreachable);
        for (healths, verdict) in [
            (&[Health::Works, Health::Limited][..], Verdict::Pass),
            (&[Health::Works, unknown], Verdict::Inconclusive),
            (&[Health::Lacking, unknown], Verdict::Fail),
            (&[Health::Works, Health::NotAsked], Verdict::Pass),
            (&[Health::NotAsked], Verdict::Inconclusive),
        ] {
            assert_eq!(judged(healths), verdict, "{healths:?}");
        }
    }

    #[test]
    fn a_finding_says_what_to_do() {
        let part = Part::new("shell", Health::Lacking, "none").mended_by("install busybox-static");
        let examination = examine(&[part]);
        assert_eq!(examination.findings[0].evidence[0].value, "install busybox-static");
    }
}
