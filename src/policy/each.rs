//! Checks of single subjects. `None` is met, a text says why not.

use super::check::{Ban, Check};
use super::judge::Setting;
use super::licence;
use super::material::{Form, Material};
use super::predicate::functions::age_days;
use super::subject::{Field, Kind, Subject, Unknown};
use crate::check::Level;
use crate::check::lock::config::matches;
use crate::sbom::profile::{self, Need};
use url::Url;

/// Most fields that the message about a profile names.
const MAX_NAMED: usize = 8;

type Test = Result<Option<String>, Unknown>;

/// Asks a check of a subject.
pub(super) fn ask(
    check: &Check,
    material: &Material,
    subject: &Subject,
    setting: &Setting<'_>,
) -> Test {
    let cannot = |error: licence::LicenceError| Unknown::Unusable {
        field: Field::Licence,
        why: error.to_string(),
    };
    let unless = |holds: bool, why: String| Ok((!holds).then_some(why));
    match check {
        Check::LicenceAllowed(allowed) => {
            let licence = subject.as_text(Field::Licence)?;
            let holds = allowed.covers(licence).map_err(cannot)?;
            unless(holds, format!("no licence of '{licence}' is among those allowed"))
        }
        Check::LicenceDenied(denied) => {
            let licence = subject.as_text(Field::Licence)?;
            let holds = denied.can_be_avoided(licence).map_err(cannot)?;
            unless(holds, format!("'{licence}' cannot be had without a denied licence"))
        }
        Check::LicenceFree => {
            let licence = subject.as_text(Field::Licence)?;
            let holds = licence::is_free(licence).map_err(cannot)?;
            unless(holds, format!("'{licence}' is neither free software nor open source"))
        }
        Check::Banned(bans) => banned(bans, subject),
        Check::SourceSchemes(allowed) => sources(subject, |text, url| {
            let scheme = url.scheme().rsplit('+').next().unwrap_or_default();
            let known = allowed.iter().any(|one| one == scheme);
            (!known).then(|| format!("the source {text} is got by '{scheme}'"))
        }),
        Check::SourceHosts(allowed) => sources(subject, |text, url| {
            let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
            let known = !host.is_empty() && allowed.iter().any(|pattern| matches(pattern, &host));
            (!known).then(|| format!("the source {text} is from '{host}'"))
        }),
        Check::SourceHashes(allowed) => {
            let algorithms = subject.as_texts(Field::SourceHashes)?;
            let weak = algorithms.iter().find(|one| !allowed.contains(one));
            Ok(weak.map(|one| format!("a source is fixed by {one}")))
        }
        Check::NoVulnerabilities => vulnerabilities(subject, setting),
        Check::Profile(wanted) => met(material, *wanted),
        Check::MaxAge(field, days) => {
            let time = subject.as_time(*field)?;
            let age = age_days(time, setting.now)
                .map_err(|why| Unknown::Unusable { field: *field, why })?;
            unless(age <= *days, format!("it is {age} days old (allowed are {days})"))
        }
        Check::AnyOf(field, patterns) => {
            let text = subject.as_text(*field)?;
            let fits = patterns
                .iter()
                .any(|pattern| matches(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase()));
            unless(fits, format!("its {field} '{text}' is not among those allowed"))
        }
        Check::Locked => {
            subject.as_text(Field::Locked)?;
            subject.as_text(Field::NarHash)?;
            Ok(None)
        }
        Check::Signers(patterns) => {
            let keys = subject.as_texts(Field::SignedBy)?;
            let fits = |key: &String| patterns.iter().any(|pattern| matches(pattern, key));
            unless(keys.iter().any(fits), format!("it is signed by {} only", keys.join(", ")))
        }
        Check::Operators(wanted) => agreed(subject, Field::Operators, *wanted, "operators"),
        Check::Keys(wanted) => agreed(subject, Field::SignedBy, *wanted, "trusted keys"),
        Check::StableBuilds(wanted) => {
            let (stable, builds) = (subject.is(Field::Stable)?, subject.as_number(Field::Builds)?);
            if !stable {
                return Ok(Some(format!("{builds} builds did not all give the same")));
            }
            unless(builds >= *wanted, format!("it was built {builds} times (wanted are {wanted})"))
        }
        Check::Findings(above) => {
            let counts = [
                (Level::Error, Field::Errors),
                (Level::Warning, Field::Warnings),
                (Level::Note, Field::Notes),
            ];
            for (level, field) in counts {
                let count = subject.as_number(field)?;
                if level >= *above && count > 0 {
                    return Ok(Some(format!("the report has {count} findings that are {level}s")));
                }
            }
            Ok(None)
        }
        Check::ForbiddenFindings(rules) => {
            let found = subject.as_texts(Field::Rules)?;
            let first = found.iter().find(|rule| rules.contains(rule));
            Ok(first.map(|rule| format!("the report has a finding '{rule}'")))
        }
        Check::Verdict => {
            let verdict = subject.as_text(Field::Verdict)?;
            let open = subject.as_number(Field::Unanswered)?;
            if verdict == "pass" && open > 0 {
                return Ok(Some(format!("the report leaves {open} questions open")));
            }
            unless(verdict == "pass", format!("the report's verdict is '{verdict}'"))
        }
        Check::Require(_)
        | Check::Rego(_)
        | Check::Unique
        | Check::ReproducedPercent(_)
        | Check::MustReproduce(_)
        | Check::NoRegression
        | Check::Drift { .. } => {
            Err(Unknown::Other("the rule is not about single things".to_owned()))
        }
    }
}

fn banned(bans: &[Ban], subject: &Subject) -> Test {
    let mut unknown = None;
    for ban in bans {
        let fits = |text: &String| matches(&ban.pattern, text);
        let is_it = match ban.field {
            Field::Paths => subject.as_texts(Field::Paths).map(|paths| paths.iter().any(fits)),
            field => subject.as_text(field).map(|text| fits(&text.to_owned())),
        };
        let is_it = is_it.and_then(|is_it| {
            if !is_it || ban.versions.is_empty() {
                return Ok(is_it);
            }
            let version = subject.as_text(Field::Version)?;
            Ok(ban.versions.iter().all(|range| range.holds(version)))
        });
        match is_it {
            Ok(true) => return Ok(Some(format!("'{}' is banned", ban.pattern))),
            Ok(false) => {}
            Err(error) => unknown = Some(error),
        }
    }
    unknown.map_or(Ok(None), Err)
}

/// The first source that a test has something against.
fn sources(subject: &Subject, test: impl Fn(&str, &Url) -> Option<String>) -> Test {
    for text in subject.as_texts(Field::Sources)? {
        let url = Url::parse(text).map_err(|error| Unknown::Unusable {
            field: Field::Sources,
            why: format!("'{text}' is no URL: {error}"),
        })?;
        if let Some(why) = test(text, &url) {
            return Ok(Some(why));
        }
    }
    Ok(None)
}

fn agreed(subject: &Subject, field: Field, wanted: usize, what: &str) -> Test {
    let verdict = subject.as_text(Field::Verdict)?;
    if verdict != "pass" {
        return Ok(Some(format!("the report's verdict over it is '{verdict}'")));
    }
    let found = subject.as_texts(field)?;
    Ok((found.len() < wanted)
        .then(|| format!("{} of {wanted} {what} agree on it: {}", found.len(), found.join(", "))))
}

fn vulnerabilities(subject: &Subject, setting: &Setting<'_>) -> Test {
    let Some(advisories) = setting.advisories else {
        return Err(Unknown::Other("no advisories were given (--osv DIR)".to_owned()));
    };
    let found = advisories.about(subject)?;
    Ok((!found.is_empty()).then(|| format!("it is affected by {}", found.join(", "))))
}

/// Whether a bill fills what a publication demands.
fn met(material: &Material, wanted: profile::Profile) -> Test {
    let Form::Bill(outline) = &material.form else {
        return Err(Unknown::Other(format!("a {} fills no profile", Kind::Report)));
    };
    let gaps = profile::judge_outline(outline, wanted);
    let mut fields: Vec<&str> =
        gaps.iter().filter(|gap| gap.need == Need::Must).map(|gap| gap.field).collect();
    let count = fields.len();
    fields.sort_unstable();
    fields.dedup();
    let more = if fields.len() > MAX_NAMED { ", …" } else { "" };
    fields.truncate(MAX_NAMED);
    Ok((count > 0).then(|| {
        format!("{count} fields that {wanted} demands are not filled: {}{more}", fields.join(", "))
    }))
}
