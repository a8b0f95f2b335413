//! How versions of an ecosystem compare, where that is certain.

use std::cmp::Ordering;

/// How a range orders versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Semantic versioning 2.0.0.
    Semantic,
    /// The ecosystem's own, of which only plain numbers are understood here.
    Own,
}

impl Order {
    /// How two versions compare; `None` if that is not certain.
    pub fn compare(self, a: &str, b: &str) -> Option<Ordering> {
        match self {
            Self::Semantic => semantic(a, b),
            Self::Own => plain(a, b),
        }
    }
}

/// Numbers between dots, those that are left out being zero.
fn plain(a: &str, b: &str) -> Option<Ordering> {
    let (a, b) = (numbers(a)?, numbers(b)?);
    Some(by_number(&a, &b))
}

fn by_number(a: &[&str], b: &[&str]) -> Ordering {
    for at in 0..a.len().max(b.len()) {
        let part = |list: &[&str]| list.get(at).copied().unwrap_or("0").to_owned();
        match number(&part(a), &part(b)) {
            Ordering::Equal => {}
            other => return other,
        }
    }
    Ordering::Equal
}

fn number(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn numbers(text: &str) -> Option<Vec<&str>> {
    let parts: Vec<&str> = text.split('.').collect();
    parts.iter().all(|part| is_number(part)).then_some(parts)
}

/// <https://semver.org/#spec-item-11>; a leading `v`, as Go has it, is let be.
fn semantic(a: &str, b: &str) -> Option<Ordering> {
    let (core, other) = (Semantic::parse(a)?, Semantic::parse(b)?);
    let order = by_number(&core.numbers, &other.numbers);
    Some(order.then_with(|| match (&core.before, &other.before) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => early(a, b),
    }))
}

struct Semantic<'v> {
    numbers: Vec<&'v str>,
    /// What comes before the release.
    before: Option<Vec<&'v str>>,
}

impl<'v> Semantic<'v> {
    fn parse(text: &'v str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = text.split_once('+').map_or(text, |(version, _)| version);
        let (core, before) = match text.split_once('-') {
            Some((core, before)) => (core, Some(before.split('.').collect::<Vec<_>>())),
            None => (text, None),
        };
        let numbers = numbers(core).filter(|numbers| numbers.len() <= 3)?;
        let fine = |part: &&str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        before
            .as_ref()
            .is_none_or(|parts| parts.iter().all(fine))
            .then_some(Self { numbers, before })
    }
}

fn early(a: &[&str], b: &[&str]) -> Ordering {
    for (one, other) in a.iter().zip(b) {
        let order = match (is_number(one), is_number(other)) {
            (true, true) => number(one, other),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => one.cmp(other),
        };
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of semver.org, item 11.
    #[test]
    fn semantic_versions_in_their_order() {
        let ordered = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "2.0.0",
            "2.1.0",
            "2.1.1",
        ];
        for (at, one) in ordered.iter().enumerate() {
            for (place, other) in ordered.iter().enumerate() {
                assert_eq!(Order::Semantic.compare(one, other), Some(at.cmp(&place)));
            }
        }
        assert_eq!(Order::Semantic.compare("v1.2.3+build", "1.2.3"), Some(Ordering::Equal));
        assert_eq!(Order::Semantic.compare("1.2.3.4", "1.2.3"), None);
        assert_eq!(Order::Semantic.compare("latest", "1.2.3"), None);
    }

    #[test]
    fn only_plain_numbers_are_certain_elsewhere() {
        assert_eq!(Order::Own.compare("1.0", "1.0.0"), Some(Ordering::Equal));
        assert_eq!(Order::Own.compare("1.10", "1.9"), Some(Ordering::Greater));
        assert_eq!(Order::Own.compare("1.0rc1", "1.0"), None);
        assert_eq!(Order::Own.compare("1!1.0", "1.0"), None);
    }
}
