//! Two NARs side by side: whether they are equal, and if not, why.

use std::io::Read;

use super::nar::Unreadable;
use super::rules::{MALFORMED_NAR, NARS_DIFFER};
use super::{Answers, Inspected};
use crate::check::Finding;
use crate::check::difference::{Context, Explanation, Which, explain};
use crate::check::rebuild::Contrast;

/// Reads both NARs to their ends, the second one as ours.
///
/// # Errors
/// A source that cannot be read; a NAR that breaks the format is a finding.
pub fn inspect(
    (subject, source): (&str, impl Read),
    (other, against): (&str, impl Read),
    context: &Context,
) -> Result<Inspected<Explanation>, Unreadable> {
    let mut answers = Answers::about(subject);
    let explanation = match explain(source, against, context) {
        Ok(explanation) => explanation,
        Err(error) => {
            if let Some(source) = error.source.io_error() {
                let copy = std::io::Error::new(source.kind(), source.to_string());
                return Err(Unreadable(copy));
            }
            let name = if error.which == Which::Claimed { subject } else { other };
            answers.fail(
                Finding::new(&MALFORMED_NAR, name, error.source.to_string())
                    .with("byte offset", error.source.offset),
            );
            return Ok(Inspected { facts: None, answers });
        }
    };
    if explanation.differing == 0 {
        answers.pass();
        return Ok(Inspected { facts: Some(explanation), answers });
    }
    let message = format!(
        "'{other}' differs in {} of {} entries",
        explanation.differing, explanation.compared
    );
    let contrast = Contrast { explained: Ok(explanation), ..Contrast::impossible("") };
    answers.fail(contrast.tell(Finding::new(&NARS_DIFFER, subject, message)));
    Ok(Inspected { facts: contrast.explained.ok(), answers })
}
