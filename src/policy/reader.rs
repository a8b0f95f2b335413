//! Tables of a policy file, read strictly: every key that is not asked for is
//! an error with its place and with what may have been meant.

use std::cell::RefCell;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::suggest::suggest;

/// A mistake in a policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The byte it stands at.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
}

impl Mistake {
    /// A mistake at a byte.
    pub fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into() }
    }
}

/// A value with the byte it begins at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Its first byte.
    pub offset: usize,
}

/// A table of which every key has to be asked for.
pub struct Table<'t> {
    table: &'t DeTable<'t>,
    offset: usize,
    what: String,
    asked: RefCell<Vec<&'static str>>,
}

impl<'t> Table<'t> {
    /// A table; `what` is what it is called in messages.
    pub fn new(table: &'t DeTable<'t>, offset: usize, what: impl Into<String>) -> Self {
        Self { table, offset, what: what.into(), asked: RefCell::new(Vec::new()) }
    }

    /// Where it begins.
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// The value of a key, if it stands there.
    pub fn get(&self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.asked.borrow_mut().push(key);
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    /// Those of the keys that stand there.
    pub fn present(&self, keys: &[&'static str]) -> Vec<&'static str> {
        keys.iter().copied().filter(|key| self.get(key).is_some()).collect()
    }

    /// The value of a key that has to be there.
    ///
    /// # Errors
    /// It is not there.
    pub fn need(&self, key: &'static str) -> Result<&'t Spanned<DeValue<'t>>, Mistake> {
        self.get(key).ok_or_else(|| {
            // A misspelt key explains why it is missing.
            let near = self.table.keys().find(|name| !suggest(name.get_ref(), [key]).is_empty());
            let misspelt =
                near.filter(|name| !self.asked.borrow().iter().any(|one| one == name.get_ref()));
            misspelt.map_or_else(
                || Mistake::new(self.offset, format!("{} has no '{key}'", self.what)),
                |name| self.stranger(name.span().start, name.get_ref(), &[key]),
            )
        })
    }

    /// A text that is not blank.
    ///
    /// # Errors
    /// It is not there, or no text, or blank.
    pub fn text(&self, key: &'static str) -> Result<At<String>, Mistake> {
        text(self.need(key)?, key)
    }

    /// A text that may be left out.
    ///
    /// # Errors
    /// It is there and no text, or blank.
    pub fn optional_text(&self, key: &'static str) -> Result<Option<At<String>>, Mistake> {
        self.get(key).map(|value| text(value, key)).transpose()
    }

    /// Complains about keys that nobody has asked for.
    ///
    /// # Errors
    /// There is one.
    pub fn finish(&self) -> Result<(), Mistake> {
        let asked = self.asked.borrow();
        let stranger = self.table.keys().find(|key| !asked.iter().any(|one| one == key.get_ref()));
        stranger.map_or(Ok(()), |key| Err(self.stranger(key.span().start, key.get_ref(), &asked)))
    }

    /// A key that has no meaning here.
    fn stranger(&self, offset: usize, name: &str, known: &[&'static str]) -> Mistake {
        let shown: String = name.chars().take(60).collect();
        let near = suggest(name, known.iter().copied());
        Mistake::new(offset, format!("{} has no key '{shown}'{near}", self.what))
    }
}

fn wrong(value: &Spanned<DeValue<'_>>, key: &str, expected: &str) -> Mistake {
    Mistake::new(
        value.span().start,
        format!("'{key}' is {} (expected {expected})", value.get_ref().type_str()),
    )
}

/// A text that is not blank.
///
/// # Errors
/// It is no text, or blank.
pub fn text(value: &Spanned<DeValue<'_>>, key: &str) -> Result<At<String>, Mistake> {
    let found = value.get_ref().as_str().ok_or_else(|| wrong(value, key, "a text"))?;
    if found.trim().is_empty() {
        return Err(Mistake::new(value.span().start, format!("'{key}' is empty")));
    }
    Ok(At { value: found.to_owned(), offset: value.span().start })
}

/// A list of texts, not empty, none of them twice.
///
/// # Errors
/// It is something else.
pub fn texts(value: &Spanned<DeValue<'_>>, key: &str) -> Result<Vec<String>, Mistake> {
    let mut found: Vec<String> = Vec::new();
    for one in items(value, key)? {
        let text = text(one, key)?;
        if found.contains(&text.value) {
            return Err(Mistake::new(text.offset, format!("'{key}' names '{}' twice", text.value)));
        }
        found.push(text.value);
    }
    Ok(found)
}

/// The items of a list that is not empty.
///
/// # Errors
/// It is no list, or an empty one.
pub fn items<'t>(
    value: &'t Spanned<DeValue<'t>>,
    key: &str,
) -> Result<Vec<&'t Spanned<DeValue<'t>>>, Mistake> {
    let list = value.get_ref().as_array().ok_or_else(|| wrong(value, key, "a list"))?;
    if list.is_empty() {
        return Err(Mistake::new(value.span().start, format!("'{key}' is an empty list")));
    }
    Ok(list.iter().collect())
}

/// A table.
///
/// # Errors
/// It is something else.
pub fn table<'t>(value: &'t Spanned<DeValue<'t>>, key: &str) -> Result<Table<'t>, Mistake> {
    let table = value.get_ref().as_table().ok_or_else(|| wrong(value, key, "a table"))?;
    Ok(Table::new(table, value.span().start, format!("'{key}'")))
}

/// A whole number between two bounds.
///
/// # Errors
/// It is something else.
pub fn number(
    value: &Spanned<DeValue<'_>>,
    key: &str,
    least: i64,
    most: i64,
) -> Result<i64, Mistake> {
    let expected = format!("a whole number from {least} to {most}");
    let found = value
        .get_ref()
        .as_integer()
        .and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok())
        .ok_or_else(|| wrong(value, key, &expected))?;
    if !(least..=most).contains(&found) {
        return Err(Mistake::new(
            value.span().start,
            format!("'{key}' is {found} (expected {expected})"),
        ));
    }
    Ok(found)
}

/// A key that is either `true` or left out.
///
/// # Errors
/// It is something else.
pub fn truth(value: &Spanned<DeValue<'_>>, key: &str) -> Result<(), Mistake> {
    match value.get_ref().as_bool() {
        Some(true) => Ok(()),
        Some(false) => Err(Mistake::new(
            value.span().start,
            format!("'{key}' can only be true; leave the rule out if it is not wanted"),
        )),
        None => Err(wrong(value, key, "true")),
    }
}

/// One of some words.
///
/// # Errors
/// It is another, or none.
pub fn word<T: Copy>(
    value: &Spanned<DeValue<'_>>,
    key: &str,
    words: &[(&'static str, T)],
) -> Result<T, Mistake> {
    let found = text(value, key)?;
    words.iter().find(|(word, _)| *word == found.value).map(|(_, meaning)| *meaning).ok_or_else(
        || {
            let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let near = suggest(&found.value, names.iter().copied());
            let shown: String = found.value.chars().take(60).collect();
            let message = format!("'{key}' is '{shown}' (expected {}){near}", names.join(", "));
            Mistake::new(found.offset, message)
        },
    )
}
