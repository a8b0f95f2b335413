//! `verify explain`: what a rule means.

use std::fmt::Write as _;

use super::ToolError;
use super::cli::ExplainArgs;
use crate::check::registry::RULES;

/// The page of a rule, or the list of all rules.
///
/// # Errors
/// An id that no rule has.
pub fn run(args: &ExplainArgs) -> Result<String, ToolError> {
    let Some(id) = &args.rule else {
        let width = RULES.iter().map(|entry| entry.rule.id.len()).max().unwrap_or(0);
        let mut list = String::new();
        for entry in RULES {
            // Writing to a String cannot fail.
            let _ = writeln!(list, "{:width$}  {}", entry.rule.id, entry.rule.summary);
        }
        return Ok(list);
    };
    if let Some(entry) = RULES.iter().find(|entry| entry.rule.id == id) {
        return Ok(entry.page.to_owned());
    }
    let near = RULES.iter().map(|entry| entry.rule.id).min_by_key(|known| distance(known, id));
    let hint = match near {
        Some(near) if distance(near, id) <= id.chars().count() / 2 => {
            format!("; did you mean '{near}'?")
        }
        _ => "; 'verify explain' lists all".to_owned(),
    };
    Err(ToolError::Usage(format!("there is no rule '{id}'{hint}")))
}

/// Single-character changes that make one text of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (line, x) in a.chars().enumerate() {
        let mut left = line + 1;
        let mut next = vec![left];
        for (y, pair) in b.iter().zip(row.windows(2)) {
            if let [corner, above] = pair {
                left = (left + 1).min(above + 1).min(corner + usize::from(x != *y));
                next.push(left);
            }
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, wanted) in
            [("", "", 0), ("abc", "abc", 0), ("kitten", "sitting", 3), ("", "ab", 2), ("ab", "", 2)]
        {
            assert_eq!(distance(a, b), wanted, "{a} {b}");
        }
    }

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
