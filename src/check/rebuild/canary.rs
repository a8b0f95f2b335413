//! The canary: whether this very run can tell a difference when it meets one.
//!
//! A derivation that gives the same every time must come out as reproduced, and
//! one that never does as different, through everything that the targets go
//! through. Else nothing that this run calls reproduced is worth anything.

use super::judge::OutputStatus;

/// What came of the canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// The status of what gives the same every time.
    pub same: String,
    /// The status of what never does.
    pub random: String,
    /// What went wrong on the way.
    pub problem: Option<String>,
}

impl Canary {
    /// A canary that could not be tried.
    #[must_use]
    pub fn untried(problem: impl Into<String>) -> Self {
        let unknown = || "unknown".to_owned();
        Self { same: unknown(), random: unknown(), problem: Some(problem.into()) }
    }

    /// Why the run is not to be trusted; `None` if it is.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        if let Some(problem) = &self.problem {
            return Some(format!("the canary could not be tried: {problem}"));
        }
        let Self { same, random, .. } = self;
        if same != OutputStatus::Reproduced.name() {
            return Some(format!(
                "a derivation that gives the same every time came out as '{same}' (expected \
                 'reproduced')"
            ));
        }
        (random != OutputStatus::Differs.name()).then(|| {
            format!(
                "a derivation that never gives the same came out as '{random}' (expected 'differs')"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canary(same: &str, random: &str) -> Canary {
        Canary { same: same.into(), random: random.into(), problem: None }
    }

    #[test]
    fn only_the_right_two_answers_hold() {
        let statuses = ["reproduced", "differs", "no-reference", "forged", "build-failed", ""];
        for same in statuses {
            for random in statuses {
                let holds = canary(same, random).failure().is_none();
                assert_eq!(holds, same == "reproduced" && random == "differs", "{same} {random}");
            }
        }
        assert!(Canary::untried("x").failure().is_some());
    }
}
