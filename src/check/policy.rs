//! What a judgement by policies (`crate::policy`) can find.

use super::{Level, Rule};

/// A rule is not met.
pub static POLICY_DENIED: Rule = Rule {
    id: "policy-denied",
    level: Level::Error,
    summary: "a rule of the policy is not met",
    remedy: "mend what the rule speaks about, or waive it for a time, with a reason, in the policy",
    page: page!("policy-denied"),
};

/// A rule cannot be judged.
pub static POLICY_UNKNOWN: Rule = Rule {
    id: "policy-unknown",
    level: Level::Error,
    summary: "a rule of the policy cannot be judged, because data is missing or cannot be used",
    remedy: "give reports and bills of materials that state it; what is not stated is never taken as met",
    page: page!("policy-unknown"),
};

/// Nothing was given that a rule speaks about.
pub static MISSING_EVIDENCE: Rule = Rule {
    id: "missing-evidence",
    level: Level::Error,
    summary: "nothing was given that a rule of the policy could be judged on",
    remedy: "give the report or bill of materials that the rule speaks about, or use a policy without it",
    page: page!("missing-evidence"),
};

/// A report or bill that breaks its form.
pub static MALFORMED_MATERIAL: Rule = Rule {
    id: "malformed-material",
    level: Level::Error,
    summary: "a report or bill of materials breaks its format",
    remedy: "make it anew with the tool that wrote it; a damaged file proves nothing",
    page: page!("malformed-material"),
};

/// A report that contradicts itself.
pub static CONTRADICTORY_MATERIAL: Rule = Rule {
    id: "contradictory-material",
    level: Level::Error,
    summary: "a report or bill of materials contradicts itself",
    remedy: "make it anew with the tool that wrote it; something was taken out of it or put into it",
    page: page!("contradictory-material"),
};

/// A report of a run that failed.
pub static UNFINISHED_REPORT: Rule = Rule {
    id: "unfinished-report",
    level: Level::Error,
    summary: "a report is of a run that could not do its work",
    remedy: "mend what the report names as trouble, and run the command again",
    page: page!("unfinished-report"),
};

/// A waiver whose time is over.
pub static EXPIRED_WAIVER: Rule = Rule {
    id: "expired-waiver",
    level: Level::Error,
    summary: "the policy puts up with something, but only until a day that has passed",
    remedy: "mend what was put up with, or decide anew and write another day into the policy",
    page: page!("expired-waiver"),
};

/// A waiver for nothing.
pub static UNUSED_WAIVER: Rule = Rule {
    id: "unused-waiver",
    level: Level::Warning,
    summary: "the policy puts up with something that is not there",
    remedy: "remove the waiver; it would hide the next one of its kind unseen",
    page: page!("unused-waiver"),
};

/// A case of a policy that came out otherwise than it says.
pub static CASE_FAILED: Rule = Rule {
    id: "case-failed",
    level: Level::Error,
    summary: "an example case of a policy does not come out as it says",
    remedy: "look whether the policy or the case is wrong, and mend that one",
    page: page!("case-failed"),
};

/// The rules here.
pub static ALL: [&Rule; 9] = [
    &POLICY_DENIED,
    &POLICY_UNKNOWN,
    &MISSING_EVIDENCE,
    &MALFORMED_MATERIAL,
    &CONTRADICTORY_MATERIAL,
    &UNFINISHED_REPORT,
    &EXPIRED_WAIVER,
    &UNUSED_WAIVER,
    &CASE_FAILED,
];
