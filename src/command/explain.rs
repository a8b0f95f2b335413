//! `verify explain`: what a rule means.

use std::fmt::Write as _;

use super::ToolError;
use super::cli::ExplainArgs;
use crate::check::registry::{self, RULES};
use crate::policy::suggest::distance;

/// The page of a rule, or the list of all rules.
///
/// # Errors
/// An id that no rule has.
pub fn run(args: &ExplainArgs) -> Result<String, ToolError> {
    let Some(id) = &args.rule else {
        let width = RULES.iter().map(|rule| rule.id.len()).max().unwrap_or(0);
        let mut list = String::new();
        for rule in RULES.iter() {
            // Writing to a String cannot fail.
            let _ = writeln!(list, "{:width$}  {}", rule.id, rule.summary);
        }
        return Ok(list);
    };
    if let Some(rule) = registry::rule(id) {
        return Ok(rule.page.to_owned());
    }
    let near = RULES.iter().map(|rule| rule.id).min_by_key(|known| distance(known, id));
    let hint = match near {
        Some(near) if distance(near, id) <= id.chars().count() / 2 => {
            format!("; did you mean '{near}'?")
        }
        _ => "; 'verify explain' lists all".to_owned(),
    };
    Err(ToolError::Usage(format!("there is no rule '{id}'{hint}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_suggested() {
        let explain = |id: &str| run(&ExplainArgs { rule: Some(id.to_owned()) });
        assert!(explain("output-differs").unwrap().starts_with("# output-differs\n"));
        let near = explain("outputs-differ").unwrap_err().to_string();
        assert!(near.contains("'output-differs'"), "{near}");
        let far = explain("xyz").unwrap_err().to_string();
        assert!(far.contains("lists all"), "{far}");
        let all = run(&ExplainArgs { rule: None }).unwrap();
        assert_eq!(all.lines().count(), RULES.len());
    }
}
