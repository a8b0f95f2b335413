//! A rebuild's facts, as public JSON and as people read them.

mod closure;
mod drawing;
mod json;
mod planned;
mod repeated;
mod view;

pub use drawing::drawing;
pub use json::facts;
pub use planned::{plan_facts, plan_view};
pub use view::view;

use crate::check::rebuild::facts::OutputFacts;
use crate::check::rebuild::{Claim, Source};

/// Whether a claim equals what we built; `None` if we built nothing.
fn equal(output: &OutputFacts, claim: &Claim) -> Option<bool> {
    Some(claim.equals(output.path.as_ref()?, output.ours.as_ref()?))
}

fn location(source: &Source) -> &str {
    match source {
        Source::Cache(url) => url,
        Source::LocalStore(root) => root,
    }
}
