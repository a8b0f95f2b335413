//! Things by name, as an object of a lock holds them: few, mostly in order
//! already, read often and never changed.

use std::borrow::Cow;
use std::cmp::Ordering;

/// Up to so many, looking at one after the other is faster than halving.
const FEW: usize = 8;

/// Things by name, in the order of the names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByName<'t, T>(Vec<(Cow<'t, str>, T)>);

impl<T> Default for ByName<'_, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'t, T> ByName<'t, T> {
    /// The thing of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&T> {
        let (_, found) = if self.0.len() <= FEW {
            self.0.iter().find(|(one, _)| one == name)?
        } else {
            self.0.get(self.place(name)?)?
        };
        Some(found)
    }

    /// The place of a name in the order.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<usize> {
        self.0.binary_search_by(|(one, _)| one.as_ref().cmp(name)).ok()
    }

    /// Whether there is a thing of that name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All, with their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, thing)| (name.as_ref(), thing))
    }

    /// All, without their names.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &T> {
        self.0.iter().map(|(_, thing)| thing)
    }

    /// These and others; where both have a name, the other's thing.
    #[must_use]
    pub fn with(self, others: Self) -> Self {
        if others.is_empty() { self } else { self.0.into_iter().chain(others.0).collect() }
    }
}

/// Of several with one name the last counts.
impl<'t, T> FromIterator<(Cow<'t, str>, T)> for ByName<'t, T> {
    fn from_iter<I: IntoIterator<Item = (Cow<'t, str>, T)>>(all: I) -> Self {
        Self(last_by_name(all.into_iter().collect(), |(one, _), (other, _)| one.cmp(other)))
    }
}

/// Sorts what mostly is in order already, and keeps the last of equal ones.
pub(super) fn last_by_name<T>(mut all: Vec<T>, by_name: impl Fn(&T, &T) -> Ordering) -> Vec<T> {
    if !all.is_sorted_by(|one, other| by_name(one, other).is_lt()) {
        // Sorting keeps the order of equal ones.
        all.reverse();
        all.sort_by(&by_name);
        all.dedup_by(|later, kept| by_name(later, kept).is_eq());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&'static str]) -> ByName<'static, usize> {
        names.iter().enumerate().map(|(at, name)| (Cow::Borrowed(*name), at)).collect()
    }

    #[test]
    fn the_last_of_a_name_counts() {
        let things = of(&["b", "a", "b", "c", "a", "b"]);
        let found: Vec<(&str, usize)> = things.iter().map(|(name, at)| (name, *at)).collect();
        assert_eq!(found, [("a", 4), ("b", 5), ("c", 3)]);
        let more = things.with(of(&["b", "d"]));
        let found: Vec<(&str, usize)> = more.iter().map(|(name, at)| (name, *at)).collect();
        assert_eq!(found, [("a", 4), ("b", 0), ("c", 3), ("d", 1)]);
    }

    #[test]
    fn few_and_many_are_found() {
        let names: Vec<&str> = "k j i h g f e d c b a".split(' ').collect();
        for many in [3, FEW, FEW + 1, names.len()] {
            let things = of(&names[..many]);
            for (at, name) in names.iter().enumerate() {
                assert_eq!(
                    things.get(name).copied(),
                    (at < many).then_some(at),
                    "{name} of {many}"
                );
                assert_eq!(things.contains(name), at < many);
            }
        }
    }
}
