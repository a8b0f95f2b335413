//! Whether a bill of materials is what its format allows and what profiles ask
//! for: the checks of `verify sbom check`.

pub mod difference;
pub mod exported;
pub mod rules;

use crate::check::{Finding, Inconclusive, Level, NotRun, Reason, Source, Verdict};
use crate::sbom::document::{Document, DocumentError, Spec, escape};
use crate::sbom::outline::Outline;
use crate::sbom::profile::{self, Gap, Lack, Need, Profile};
use crate::sbom::validate::{self, SchemaError};
use crate::sbom::xml::ReadError;

/// Most findings of one field of one profile, or of one way to break the
/// format, that are listed; the rest is counted. A document of thousands of
/// components often lacks one field in all of them.
pub const MAX_ALIKE: usize = 100;

/// How one field of a profile is filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldScore {
    /// The field.
    pub field: &'static str,
    /// The section that asks for it.
    pub section: &'static str,
    /// Where it is missing.
    pub missing: usize,
    /// Where it says what does not count.
    pub unusable: usize,
    /// Whether all that is wrong with it is only a should.
    pub only_should: bool,
}

/// How a profile is met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// The profile.
    pub profile: Profile,
    /// Its fields, in its order.
    pub fields: Vec<FieldScore>,
}

impl Met {
    /// Whether everything the publication insists on is there.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.fields.iter().all(|one| one.missing + one.unusable == 0 || one.only_should)
    }
}

/// What came of a file.
#[derive(Debug)]
pub struct Checked {
    /// The file, as it was named.
    pub file: String,
    /// Its format, if it could be told.
    pub spec: Option<Spec>,
    /// How many components it lists, the one it is about included.
    pub components: usize,
    /// How many things its format does not allow.
    pub defects: usize,
    /// How the profiles are met.
    pub profiles: Vec<Met>,
    /// What failed.
    pub findings: Vec<Finding>,
    /// What was asked.
    pub asked: u64,
    /// What was answered.
    pub answered: u64,
    /// What got no answer.
    pub inconclusive: Vec<Inconclusive>,
    /// What nobody asked for.
    pub not_run: Vec<NotRun>,
}

impl Checked {
    /// The verdict over the file with its word.
    #[must_use]
    pub fn outcome(&self) -> (Verdict, &'static str) {
        if self.spec.is_none() && self.inconclusive.is_empty() {
            (Verdict::Fail, "malformed")
        } else if self.defects > 0 {
            (Verdict::Fail, "invalid")
        } else if self.findings.iter().any(|one| one.level == Level::Error) {
            (Verdict::Fail, "incomplete")
        } else if !self.inconclusive.is_empty() {
            (Verdict::Inconclusive, "not judged")
        } else {
            (Verdict::Pass, "holds")
        }
    }

    fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            spec: None,
            components: 0,
            defects: 0,
            profiles: Vec::new(),
            findings: Vec::new(),
            asked: 0,
            answered: 0,
            inconclusive: Vec::new(),
            not_run: Vec::new(),
        }
    }
}

/// Checks a file.
///
/// # Errors
/// A schema of our own that cannot be used.
pub fn check(
    source: &Source<'_>,
    bytes: &[u8],
    profiles: &[Profile],
) -> Result<Checked, SchemaError> {
    let mut checked = Checked::new(source.name());
    if profiles.is_empty() {
        checked.not_run.push(NotRun {
            check: "fields that publications ask for".to_owned(),
            because: "no --profile was named".to_owned(),
        });
    }
    // That it can be read, that the schema allows it, that references hold.
    checked.asked = 3 + u64::try_from(profiles.len()).unwrap_or(u64::MAX);
    let document = match Document::read(bytes) {
        Ok(document) => document,
        Err(
            error @ (DocumentError::Unsupported(_)
            | DocumentError::Xml(ReadError::Unsupported { .. })),
        ) => {
            for check in ["format", "schema", "references"] {
                checked.open(check, &error);
            }
            for profile in profiles {
                checked.open(profile.name(), &error);
            }
            return Ok(checked);
        }
        Err(error) => {
            checked.answered = checked.asked;
            checked.findings.push(unreadable(source, &error));
            return Ok(checked);
        }
    };
    checked.spec = Some(document.spec);
    checked.answered += 1;
    doubled_keys(&mut checked, source, &document);
    schema(&mut checked, source, &document)?;
    references(&mut checked, source, &document);
    let outline = Outline::of(document.spec, &document.value);
    checked.components = outline.parts.len();
    for profile in profiles {
        checked.answered += 1;
        let gaps = profile::judge_outline(&outline, *profile);
        checked.profiles.push(scores(*profile, &gaps));
        note_gaps(&mut checked, source, &document, *profile, &gaps);
    }
    Ok(checked)
}

/// What is no document at all, or breaks its format before any schema is asked.
fn unreadable(source: &Source<'_>, error: &DocumentError) -> Finding {
    let (rule, offset) = match error {
        DocumentError::Json(error) => (&rules::MALFORMED_SBOM, Some(error.offset)),
        DocumentError::Xml(error @ ReadError::Forbidden { .. }) => {
            (&rules::INVALID_SBOM, error.offset())
        }
        DocumentError::Xml(error) => (&rules::MALFORMED_SBOM, error.offset()),
        DocumentError::NoFormat | DocumentError::Unsupported(_) => (&rules::MALFORMED_SBOM, None),
    };
    let finding = Finding::new(rule, source.name(), error.to_string());
    match offset {
        Some(offset) => finding
            .with("byte offset", offset)
            .located(source.at(crate::check::Span::new(offset, offset.saturating_add(1)))),
        None => finding,
    }
}

impl Checked {
    fn open(&mut self, check: &str, error: &DocumentError) {
        self.inconclusive.push(Inconclusive {
            subject: self.file.clone(),
            check: check.to_owned(),
            reason: Reason::Unsupported,
            detail: error.to_string(),
        });
    }
}

fn doubled_keys(checked: &mut Checked, source: &Source<'_>, document: &Document) {
    checked.defects += document.duplicates.count;
    for one in &document.duplicates.named {
        let text = format!("'{}' stands twice in one object", one.key);
        let quotes = one.again.saturating_add(one.key.len()).saturating_add(2);
        checked.findings.push(
            Finding::new(&rules::AMBIGUOUS_SBOM, source.name(), text)
                .located(source.at(crate::check::Span::new(one.again, quotes)))
                .with(
                    "pointer",
                    one.path.iter().map(|step| format!("/{}", escape(step))).collect::<String>(),
                )
                .with("first", format!("byte {}", one.first))
                .with("again", format!("byte {}", one.again)),
        );
    }
}

fn schema(
    checked: &mut Checked,
    source: &Source<'_>,
    document: &Document,
) -> Result<(), SchemaError> {
    let defects = validate::schema_defects(document)?;
    checked.answered += 1;
    checked.defects += defects.len();
    for defect in defects.iter().take(MAX_ALIKE) {
        let place = if defect.pointer.is_empty() { "the document" } else { &defect.pointer };
        checked.findings.push(
            Finding::new(
                &rules::INVALID_SBOM,
                source.name(),
                format!("{place}: {}", defect.message),
            )
            .located(source.at(document.place(&defect.pointer)))
            .with("pointer", &defect.pointer)
            .with("schema", format!("{} {}", document.spec, defect.schema)),
        );
    }
    more(checked, source, &rules::INVALID_SBOM, defects.len(), "places break the schema");
    Ok(())
}

fn references(checked: &mut Checked, source: &Source<'_>, document: &Document) {
    let found = validate::references(document);
    checked.answered += 1;
    checked.defects += found.doubled.len() + found.dangling.len();
    for (name, first, again) in found.doubled.iter().take(MAX_ALIKE) {
        checked.findings.push(
            Finding::new(
                &rules::AMBIGUOUS_SBOM,
                source.name(),
                format!("two things are called '{name}'"),
            )
            .located(source.at(document.place(again)))
            .with("pointer", again)
            .with("first", first),
        );
    }
    more(checked, source, &rules::AMBIGUOUS_SBOM, found.doubled.len(), "names are given twice");
    for (name, pointer) in found.dangling.iter().take(MAX_ALIKE) {
        checked.findings.push(
            Finding::new(
                &rules::DANGLING_REFERENCE,
                source.name(),
                format!("'{name}' is referred to and not listed"),
            )
            .located(source.at(document.place(pointer)))
            .with("pointer", pointer),
        );
    }
    let count = found.dangling.len();
    more(checked, source, &rules::DANGLING_REFERENCE, count, "references lead nowhere");
}

/// Counts what is not listed.
fn more(
    checked: &mut Checked,
    source: &Source<'_>,
    rule: &'static crate::check::Rule,
    count: usize,
    what: &str,
) {
    if count > MAX_ALIKE {
        let text = format!("{count} {what} in all; {MAX_ALIKE} are listed");
        checked.findings.push(Finding::new(rule, source.name(), text));
    }
}

fn scores(profile: Profile, gaps: &[Gap]) -> Met {
    let fields = profile::fields(profile)
        .iter()
        .map(|(field, section)| {
            let of = || gaps.iter().filter(|gap| gap.field == *field);
            FieldScore {
                field,
                section,
                missing: of().filter(|gap| gap.lack == Lack::Missing).count(),
                unusable: of().filter(|gap| gap.lack == Lack::Unusable).count(),
                only_should: of().all(|gap| gap.need == Need::Should),
            }
        })
        .collect();
    Met { profile, fields }
}

fn note_gaps(
    checked: &mut Checked,
    source: &Source<'_>,
    document: &Document,
    profile: Profile,
    gaps: &[Gap],
) {
    for (field, section) in profile::fields(profile) {
        let of: Vec<&Gap> = gaps.iter().filter(|gap| gap.field == *field).collect();
        for gap in of.iter().take(MAX_ALIKE) {
            let rule = match gap.lack {
                Lack::Missing => &rules::MISSING_FIELD,
                Lack::Unusable => &rules::UNUSABLE_FIELD,
            };
            let whose = if gap.component.is_empty() {
                String::new()
            } else {
                format!(" of {}", gap.component)
            };
            let mut finding = Finding::new(
                rule,
                source.name(),
                format!("{profile} {field}{whose}: {}", gap.message),
            )
            .located(source.at(document.place(&gap.pointer)))
            .with("pointer", &gap.pointer)
            .with("asked by", format!("{profile}, {section}"));
            if gap.need == Need::Should {
                finding = finding.weighed(Level::Warning);
            }
            checked.findings.push(finding);
        }
        if of.len() > MAX_ALIKE {
            let (rule, level) = match of.iter().map(|gap| (gap.need, gap.lack)).max() {
                Some((Need::Must, Lack::Missing)) => (&rules::MISSING_FIELD, Level::Error),
                Some((Need::Must, Lack::Unusable)) => (&rules::UNUSABLE_FIELD, Level::Error),
                _ => (&rules::MISSING_FIELD, Level::Warning),
            };
            let text =
                format!("{profile} {field}: {} places in all; {MAX_ALIKE} are listed", of.len());
            checked.findings.push(Finding::new(rule, source.name(), text).weighed(level));
        }
    }
}
