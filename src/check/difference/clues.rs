//! Collecting clues about one file: alike ones are counted, not repeated.

use super::budget::Budget;
use super::explanation::{Certainty, Class, Clue};

/// Different clues about one file; beyond it the file differs in everything.
const MAX_CLUES: usize = 48;

/// Bytes of a value that are shown.
const MAX_SHOWN: usize = 80;

/// A cause and how sure it is, with what it was told from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) class: Class,
    pub(super) certainty: Certainty,
    pub(super) what: String,
    pub(super) claimed: String,
    pub(super) ours: String,
}

impl Cause {
    /// A cause with the bytes that show it.
    pub(super) fn new(
        class: Class,
        certainty: Certainty,
        what: impl Into<String>,
        claimed: &[u8],
        ours: &[u8],
    ) -> Self {
        Self { class, certainty, what: what.into(), claimed: excerpt(claimed), ours: excerpt(ours) }
    }
}

/// Bytes as text of bounded length; what is no text as `\xff`.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let shown = bytes.get(..MAX_SHOWN.min(bytes.len())).unwrap_or_default();
    let mut text = String::new();
    for chunk in shown.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    if bytes.len() > MAX_SHOWN {
        text.push_str("...");
    }
    text
}

/// What is known about the two builds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// When the second side was built, in seconds since 1970; none if that is
    /// not known. Good for some days: it only tells dates from other numbers.
    pub built_at: Option<u64>,
    /// The time of the comparison, in seconds since 1970: no date is later.
    pub now: u64,
    /// What the second side's builder could see of its machine.
    pub host: Vec<HostFact>,
}

/// Something about the machine that a builder could write down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFact {
    /// What it is: "host name".
    pub what: &'static str,
    /// Its value, as a builder sees it.
    pub value: String,
}

/// The clues about one file, and where in it one is.
#[derive(Debug)]
pub(super) struct Clues<'c> {
    pub(super) context: &'c Context,
    pub(super) budget: &'c Budget,
    list: Vec<Clue>,
    place: Vec<String>,
    notes: Vec<String>,
}

impl<'c> Clues<'c> {
    pub(super) const fn new(context: &'c Context, budget: &'c Budget) -> Self {
        Self { context, budget, list: Vec::new(), place: Vec::new(), notes: Vec::new() }
    }

    /// Does `work` one place further in.
    pub(super) fn within(&mut self, place: String, work: impl FnOnce(&mut Self)) {
        self.place.push(place);
        work(self);
        self.place.pop();
    }

    /// The present place.
    fn place(&self) -> String {
        self.place.join(" > ")
    }

    /// Adds a cause seen once.
    pub(super) fn add(&mut self, cause: Cause) {
        self.add_many(cause, 1);
    }

    /// Adds a cause seen so often.
    pub(super) fn add_many(&mut self, cause: Cause, count: u64) {
        let known = self
            .list
            .iter_mut()
            .find(|clue| (clue.class, &clue.what) == (cause.class, &cause.what));
        if let Some(known) = known {
            known.count = known.count.saturating_add(count);
            known.certainty = known.certainty.max(cause.certainty);
            return;
        }
        let place = self.place();
        if self.list.len() >= MAX_CLUES {
            // The rest is not lost, but told as unknown.
            if let Some(last) = self.list.last_mut() {
                last.class = Class::Unknown;
                last.certainty = Certainty::Possible;
                "more differences of other kinds".clone_into(&mut last.what);
                last.count = last.count.saturating_add(count);
            }
            return;
        }
        let Cause { class, certainty, what, claimed, ours } = cause;
        self.list.push(Clue { class, certainty, what, place, claimed, ours, count });
    }

    /// Says that something could not be looked into.
    pub(super) fn note(&mut self, note: &str) {
        let place = self.place();
        self.notes.push(if place.is_empty() {
            note.to_owned()
        } else {
            format!("{place}: {note}")
        });
    }

    /// Whether something speaks for a class already.
    pub(super) fn has(&self, class: Class) -> bool {
        self.list.iter().any(|clue| clue.class == class)
    }

    /// Clues so far.
    pub(super) const fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether a real cause was found, more than possible, since there were `since` clues.
    pub(super) fn found_since(&self, since: usize) -> bool {
        let later = self.list.iter().skip(since);
        later.clone().any(|clue| {
            !matches!(clue.class, Class::Unknown | Class::Consequence)
                && clue.certainty > Certainty::Possible
        })
    }

    /// Takes what was unknown since then for a consequence of what was found.
    pub(super) fn demote_unknown(&mut self, since: usize, why: &str) {
        for clue in self.list.iter_mut().skip(since) {
            if clue.class == Class::Unknown {
                clue.class = Class::Consequence;
                // It was not shown to follow, so it explains nothing.
                clue.certainty = Certainty::Possible;
                clue.what = format!("{} ({why})", clue.what);
            }
        }
    }

    /// The clues, the strongest first, and what could not be looked into.
    pub(super) fn finish(mut self) -> (Vec<Clue>, Vec<String>) {
        self.list.sort_by(|a, b| {
            let rank = |clue: &Clue| {
                let last = matches!(clue.class, Class::Unknown | Class::Consequence);
                (last, std::cmp::Reverse(clue.certainty), clue.class)
            };
            rank(a).cmp(&rank(b))
        });
        self.notes.dedup();
        (self.list, self.notes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alike_clues_are_counted_and_kinds_are_bounded() {
        let (context, budget) = (Context::default(), Budget::default());
        let mut clues = Clues::new(&context, &budget);
        let cause = |class, what: &str| Cause::new(class, Certainty::Likely, what, b"a", b"b");
        clues.within("member x".to_owned(), |clues| {
            clues.add(cause(Class::Timestamp, "date"));
        });
        clues.add_many(cause(Class::Timestamp, "date"), 4);
        for n in 0..100 {
            clues.add(cause(Class::BuildHost, &n.to_string()));
        }
        let (list, _) = clues.finish();
        assert_eq!(list.len(), MAX_CLUES);
        assert_eq!((list[0].count, list[0].place.as_str()), (5, "member x"));
        assert_eq!(list.last().unwrap().class, Class::Unknown);
    }

    #[test]
    fn bytes_are_shown_as_text_of_bounded_length() {
        assert_eq!(excerpt(b"a\xffb"), "a\\xffb");
        assert_eq!(excerpt(&[b'x'; 200]).len(), MAX_SHOWN + 3);
    }
}
