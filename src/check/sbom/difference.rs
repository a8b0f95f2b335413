//! What a difference between two bills of materials is worth: the checks of
//! `verify sbom diff`.

use super::rules;
use crate::check::Finding;
use crate::sbom::difference::{Aspect, Difference};
use crate::sbom::outline::{HOLDS, Outline};

/// Judges what has changed. `file` is the new document.
#[must_use]
pub fn judge(file: &str, new: &Outline, difference: &Difference) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (added, removed) = (difference.added.len(), difference.removed.len());
    let changed = difference.changed.len();
    if added + removed + changed > 0 {
        let text = format!("{added} added, {removed} removed, {changed} changed");
        findings.push(
            Finding::new(&rules::DOCUMENTS_DIFFER, file, text)
                .with("added", added)
                .with("removed", removed)
                .with("changed", changed),
        );
    }
    let (mut licences, mut verdicts) = (0, 0);
    for change in &difference.changed {
        let Some(part) = new.parts.get(change.new) else { continue };
        for one in &change.changed {
            let (rule, count) = match one.aspect {
                Aspect::Licence => (&rules::LICENCE_CHANGED, &mut licences),
                // Also where nothing is said any more.
                Aspect::Verdict
                    if HOLDS.contains(&one.was.as_str()) && !HOLDS.contains(&one.now.as_str()) =>
                {
                    (&rules::VERDICT_WORSE, &mut verdicts)
                }
                _ => continue,
            };
            *count += 1;
            if *count > super::MAX_ALIKE {
                continue;
            }
            let say =
                |text: &str| if text.is_empty() { "nothing".to_owned() } else { text.to_owned() };
            let text = format!("{}: was {}, is {}", part.title(), say(&one.was), say(&one.now));
            findings.push(
                Finding::new(rule, file, text)
                    .with("pointer", &part.pointer)
                    .with("was", say(&one.was))
                    .with("now", say(&one.now)),
            );
        }
    }
    for (rule, count) in [(&rules::LICENCE_CHANGED, licences), (&rules::VERDICT_WORSE, verdicts)] {
        if count > super::MAX_ALIKE {
            let text = format!("{count} components in all; {} are listed", super::MAX_ALIKE);
            findings.push(Finding::new(rule, file, text));
        }
    }
    findings
}
