//! What somebody may have meant.

/// `; did you mean 'x'?` for the nearest of the known words, or nothing.
pub fn suggest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let length = word.chars().count();
    let near = known
        .into_iter()
        .map(|one| (distance(word, one), one))
        .min()
        .filter(|(away, one)| *away <= length.max(one.chars().count()).div_ceil(3));
    near.map_or_else(String::new, |(_, one)| format!("; did you mean '{one}'?"))
}

/// How many letters have to be put in, left out, changed or swapped with their
/// neighbour (the restricted Damerau-Levenshtein distance).
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut last = None;
    for (at, letter) in a.chars().enumerate() {
        let mut next = vec![at + 1];
        for (place, other) in b.iter().enumerate() {
            let cost = |list: &[usize], at: usize| list.get(at).copied().unwrap_or(usize::MAX / 2);
            let mut best = (cost(&row, place) + usize::from(letter != *other))
                .min(cost(&row, place + 1) + 1)
                .min(cost(&next, place) + 1);
            let swapped = place
                .checked_sub(1)
                .filter(|one| last == Some(*other) && b.get(*one) == Some(&letter));
            if let Some(one) = swapped {
                best = best.min(cost(&before, one) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
        last = Some(letter);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let known = ["licence", "require", "scope", "max-age-days"];
        for (word, wanted) in [
            ("lisence", "; did you mean 'licence'?"),
            ("requrie", "; did you mean 'require'?"),
            ("scop", "; did you mean 'scope'?"),
            ("max_age_days", "; did you mean 'max-age-days'?"),
            ("zzz", ""),
            ("", ""),
        ] {
            assert_eq!(suggest(word, known), wanted, "{word}");
        }
    }

    #[test]
    fn distances() {
        for (a, b, wanted) in
            [("", "", 0), ("a", "", 1), ("", "ab", 2), ("ab", "ba", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(a, b), wanted, "{a} {b}");
        }
    }
}
