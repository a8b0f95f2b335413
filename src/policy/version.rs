//! Versions in their order, as Nix compares them.
//!
//! Follows the manual's `builtins.compareVersions` and `nix-env --upgrade`
//! (<https://nix.dev/manual/nix/stable/command-ref/nix-env/upgrade.html#versions>):
//! dots, dashes and changes between digits and letters separate components;
//! numbers are compared as numbers, `pre` comes before everything, a number
//! comes after letters.

use std::cmp::Ordering;

/// How two versions compare.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (Parts(a), Parts(b));
    loop {
        let (a, b) = (left.next(), right.next());
        if a.is_none() && b.is_none() {
            return Ordering::Equal;
        }
        let (a, b) = (a.unwrap_or_default(), b.unwrap_or_default());
        match part(a, b) {
            Ordering::Equal => {}
            other => return other,
        }
    }
}

/// The components of a version.
struct Parts<'v>(&'v str);

impl<'v> Iterator for Parts<'v> {
    type Item = &'v str;

    fn next(&mut self) -> Option<&'v str> {
        let rest = self.0.trim_start_matches(['.', '-']);
        let first = rest.chars().next()?;
        let digits = first.is_ascii_digit();
        let end = rest
            .find(|one: char| one == '.' || one == '-' || one.is_ascii_digit() != digits)
            .unwrap_or(rest.len());
        let (part, rest) = rest.split_at_checked(end)?;
        self.0 = rest;
        Some(part)
    }
}

fn part(a: &str, b: &str) -> Ordering {
    let number = |text: &str| {
        (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.trim_start_matches('0').to_owned())
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.len().cmp(&b.len()).then_with(|| a.cmp(&b)),
        _ if a == b => Ordering::Equal,
        (None, Some(_)) if a.is_empty() => Ordering::Less,
        (Some(_), None) if b.is_empty() => Ordering::Greater,
        _ if a == "pre" => Ordering::Less,
        _ if b == "pre" => Ordering::Greater,
        (Some(_), None) => Ordering::Greater,
        (None, Some(_)) => Ordering::Less,
        (None, None) => a.cmp(b),
    }
}

/// A demand on versions, such as `< 3.0.7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    operator: Operator,
    version: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

impl Range {
    /// Reads one: an operator (`<`, `<=`, `=`, `>=`, `>`) and a version.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let operators = [
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
            ("=", Operator::Equal),
        ];
        let (operator, version) = operators.into_iter().find_map(|(sign, operator)| {
            Some((operator, text.trim().strip_prefix(sign)?.trim()))
        })?;
        let plain = |one: char| one.is_ascii_graphic() && !"<>=*,;".contains(one);
        let valid = !version.is_empty() && version.chars().all(plain);
        valid.then(|| Self { operator, version: version.to_owned() })
    }

    /// Whether a version meets it.
    #[must_use]
    pub fn holds(&self, version: &str) -> bool {
        let order = compare(version, &self.version);
        match self.operator {
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual => order.is_le(),
            Operator::Equal => order.is_eq(),
            Operator::GreaterOrEqual => order.is_ge(),
            Operator::Greater => order.is_gt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the Nix manual, and some more.
    #[test]
    fn versions_are_ordered_as_nix_orders_them() {
        for (a, b) in [
            ("1.0", "2.3"),
            ("2.1", "2.3"),
            ("2.3", "2.5"),
            ("2.3.1", "3.1"),
            ("2.3pre1", "2.3"),
            ("2.3pre3", "2.3pre12"),
            ("2.3a", "2.3c"),
            ("2.3pre1", "2.3c"),
            ("2.3pre1", "2.3q"),
            ("", "0"),
            ("9", "10"),
            ("1.0", "1.0.1"),
            ("99999999999999999999998", "99999999999999999999999"),
        ] {
            assert_eq!(compare(a, b), Ordering::Less, "{a} {b}");
            assert_eq!(compare(b, a), Ordering::Greater, "{b} {a}");
        }
        for (a, b) in [("1.0", "1.0"), ("2.3", "2.03"), ("1-2", "1.2"), ("", "")] {
            assert_eq!(compare(a, b), Ordering::Equal, "{a} {b}");
        }
    }

    #[test]
    fn ranges() {
        let range = |text: &str| Range::parse(text).unwrap();
        assert!(range("< 3.0.7").holds("3.0.6") && !range("<3.0.7").holds("3.0.7"));
        assert!(range(">= 2").holds("2.0.1") && !range(">2.0.1").holds("2"));
        assert!(range("= 1.2").holds("1.2"));
        for bad in ["", "1.2", "<", "< ", "~> 1", "< 1, > 0", "<< 1"] {
            assert_eq!(Range::parse(bad), None, "{bad}");
        }
    }
}
