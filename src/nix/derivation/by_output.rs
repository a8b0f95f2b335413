//! A map from the names of outputs.

use std::collections::BTreeMap;

/// Something for each output of a derivation, in order of their names. Nearly
/// always there is one, for which a tree would hold room for eleven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByOutput<T>(Vec<(String, T)>);

impl<T> Default for ByOutput<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> ByOutput<T> {
    /// Where an output is, or would be.
    fn search(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(name))
    }

    /// How many outputs there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is an output of that name.
    #[must_use]
    pub fn contains_key(&self, name: &str) -> bool {
        self.search(name).is_ok()
    }

    /// What there is for an output.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.get(self.search(name).ok()?).map(|(_, value)| value)
    }

    /// What there is for an output, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        let at = self.search(name).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Puts something in for an output, and gives what was there before.
    pub fn insert(&mut self, name: String, value: T) -> Option<T> {
        match self.search(&name) {
            Ok(at) => self.0.get_mut(at).map(|(_, old)| std::mem::replace(old, value)),
            Err(at) => {
                self.0.insert(at, (name, value));
                None
            }
        }
    }

    /// The names, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &String> {
        self.0.iter().map(|(name, _)| name)
    }

    /// What there is, in order of the names.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }

    /// What there is, in order of the names, to be changed.
    pub fn values_mut(&mut self) -> impl ExactSizeIterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// Names with what there is for them, to be changed, in order.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&String, &mut T)> {
        self.0.iter_mut().map(|(name, value)| (&*name, value))
    }

    /// Names with what there is for them, in order.
    pub fn iter(&self) -> Iter<'_, T> {
        self.into_iter()
    }
}

/// Names with what there is for them.
#[derive(Debug)]
pub struct Iter<'a, T>(std::slice::Iter<'a, (String, T)>);

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = (&'a String, &'a T);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, value)| (name, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<T> ExactSizeIterator for Iter<'_, T> {}

impl<'a, T> IntoIterator for &'a ByOutput<T> {
    type Item = (&'a String, &'a T);
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        Iter(self.0.iter())
    }
}

impl<T> IntoIterator for ByOutput<T> {
    type Item = (String, T);
    type IntoIter = std::vec::IntoIter<(String, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T> From<BTreeMap<String, T>> for ByOutput<T> {
    fn from(map: BTreeMap<String, T>) -> Self {
        let mut outputs: Vec<(String, T)> = map.into_iter().collect();
        outputs.shrink_to_fit();
        Self(outputs)
    }
}

/// Of two for one name the last counts.
impl<T> FromIterator<(String, T)> for ByOutput<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(outputs: I) -> Self {
        outputs.into_iter().collect::<BTreeMap<_, _>>().into()
    }
}

impl<T, const N: usize> From<[(String, T); N]> for ByOutput<T> {
    fn from(outputs: [(String, T); N]) -> Self {
        outputs.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_map() {
        let name = |name: &str| name.to_owned();
        let mut outputs = ByOutput::from([(name("out"), 1), (name("dev"), 2), (name("out"), 3)]);
        assert_eq!(outputs.iter().collect::<Vec<_>>(), [(&name("dev"), &2), (&name("out"), &3)]);
        assert_eq!(
            (outputs.insert(name("bin"), 4), outputs.insert(name("dev"), 5)),
            (None, Some(2))
        );
        assert_eq!(outputs.keys().collect::<Vec<_>>(), ["bin", "dev", "out"]);
        assert_eq!((outputs.get("dev"), outputs.get("doc"), outputs.len()), (Some(&5), None, 3));
        outputs.values_mut().for_each(|value| *value += 1);
        assert_eq!(outputs.values().collect::<Vec<_>>(), [&5, &6, &4]);
        assert!(outputs.contains_key("out") && !outputs.contains_key("ou"));
    }
}
