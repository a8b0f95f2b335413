//! What a `flake.lock` may and may not say: the checks of `verify lock`.

pub mod evidence;
pub mod evidence_judge;
pub mod evidence_rules;
