//! Patterns of gitattributes(5) and gitignore(5), matched against paths.
//!
//! `*` and `?` stop at slashes, `**/`, `/**` and `/**/` do not, `[…]` is a set
//! with ranges, classes and `!` or `^` for all others, `\` takes the next
//! character as it is.

/// Most steps that one match takes: patterns with many stars would otherwise
/// need exponentially many over hostile names.
const MAX_STEPS: u32 = 100_000;

/// Whether `pattern` matches the whole of `text`; `None` if that takes too
/// many steps to find out.
#[must_use]
pub fn matches(pattern: &[u8], text: &[u8]) -> Option<bool> {
    let mut steps = MAX_STEPS;
    match_here(pattern, text, true, &mut steps)
}

/// `start` says whether the pattern stands at its beginning or after a slash.
fn match_here(pattern: &[u8], text: &[u8], start: bool, steps: &mut u32) -> Option<bool> {
    let (mut pattern, mut text, mut start) = (pattern, text, start);
    loop {
        *steps = steps.checked_sub(1)?;
        let Some((&first, rest)) = pattern.split_first() else {
            return Some(text.is_empty());
        };
        match first {
            b'*' => {
                let stars = pattern.iter().take_while(|&&byte| byte == b'*').count();
                let after = pattern.get(stars..).unwrap_or_default();
                let whole = start && stars >= 2 && matches!(after.first(), None | Some(b'/'));
                if !whole {
                    return any_tail(after, text, false, false, steps);
                }
                return match after.split_first() {
                    // Nothing after `**`: everything, but something.
                    None => Some(true),
                    Some((_, after)) => any_tail(after, text, true, true, steps),
                };
            }
            b'?' => match text.split_first() {
                Some((&byte, more)) if byte != b'/' => (pattern, text) = (rest, more),
                _ => return Some(false),
            },
            b'[' => {
                let Some((&byte, more)) = text.split_first() else { return Some(false) };
                match set(rest, byte) {
                    Some((true, after)) if byte != b'/' => (pattern, text) = (after, more),
                    // A set that does not end matches nothing.
                    _ => return Some(false),
                }
            }
            _ => {
                let (wanted, after) = match (first, rest.split_first()) {
                    (b'\\', Some((&escaped, after))) => (escaped, after),
                    (b'\\', None) => return Some(false),
                    _ => (first, rest),
                };
                match text.split_first() {
                    Some((&byte, more)) if byte == wanted => (pattern, text) = (after, more),
                    _ => return Some(false),
                }
            }
        }
        start = first == b'/';
    }
}

/// Whether the pattern matches some tail of the text. Whole components are
/// left out if `components`, and only then may slashes be.
fn any_tail(
    pattern: &[u8],
    text: &[u8],
    components: bool,
    start: bool,
    steps: &mut u32,
) -> Option<bool> {
    let mut text = text;
    loop {
        if match_here(pattern, text, start, steps)? {
            return Some(true);
        }
        let skip = if components {
            match text.iter().position(|&byte| byte == b'/') {
                Some(at) => at + 1,
                None => return Some(false),
            }
        } else if text.first().is_none_or(|&byte| byte == b'/') {
            return Some(false);
        } else {
            1
        };
        text = text.get(skip..).unwrap_or_default();
    }
}

/// Reads a set after its `[`: whether `byte` is in it, and what follows it.
fn set(pattern: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (negated, mut rest) = match pattern.split_first() {
        Some((b'!' | b'^', rest)) => (true, rest),
        _ => (false, pattern),
    };
    let (mut found, mut first) = (false, true);
    loop {
        let (&item, after) = rest.split_first()?;
        if item == b']' && !first {
            return Some((found != negated, after));
        }
        first = false;
        if item == b'['
            && let Some(class) = after.strip_prefix(b":")
        {
            let end = class.windows(2).position(|pair| pair == b":]")?;
            found |= in_class(class.get(..end)?, byte)?;
            rest = class.get(end + 2..)?;
            continue;
        }
        let (low, after) = literal(item, after)?;
        match after.split_first() {
            Some((b'-', more)) if more.first().is_some_and(|&next| next != b']') => {
                let (&high, more) = more.split_first()?;
                let (high, more) = literal(high, more)?;
                found |= (low..=high).contains(&byte);
                rest = more;
            }
            _ => {
                found |= low == byte;
                rest = after;
            }
        }
    }
}

fn literal(item: u8, rest: &[u8]) -> Option<(u8, &[u8])> {
    if item == b'\\' {
        rest.split_first().map(|(&byte, rest)| (byte, rest))
    } else {
        Some((item, rest))
    }
}

fn in_class(name: &[u8], byte: u8) -> Option<bool> {
    Some(match name {
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"alpha" => byte.is_ascii_alphabetic(),
        b"blank" => matches!(byte, b' ' | b'\t'),
        b"cntrl" => byte.is_ascii_control(),
        b"digit" => byte.is_ascii_digit(),
        b"graph" => byte.is_ascii_graphic(),
        b"lower" => byte.is_ascii_lowercase(),
        b"print" => byte.is_ascii_graphic() || byte == b' ',
        b"punct" => byte.is_ascii_punctuation(),
        b"space" => byte.is_ascii_whitespace() || byte == 0x0b,
        b"upper" => byte.is_ascii_uppercase(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_git_has_them() {
        for (pattern, text, wanted) in [
            ("foo", "foo", true),
            ("foo", "bar", false),
            ("", "", true),
            ("*", "foo", true),
            ("f*", "foo", true),
            ("*f", "foo", false),
            ("*foo*", "foo", true),
            ("*ob*a*r*", "foobar", true),
            ("*ab", "aaaaaaabababab", true),
            ("foo\\*", "foo*", true),
            ("foo\\*bar", "foobar", false),
            ("*[al]?", "ball", true),
            ("[ten]", "ten", false),
            ("t[a-g]n", "ten", true),
            ("t[!a-g]n", "ten", false),
            ("t[^a-g]n", "ton", true),
            ("a[]]b", "a]b", true),
            ("a[]-]b", "a-b", true),
            ("a[]a-]b", "aab", true),
            ("]", "]", true),
            ("foo*bar", "foo/baz/bar", false),
            ("foo**bar", "foo/baz/bar", false),
            ("foo**bar", "foobazbar", true),
            ("foo/**/bar", "foo/baz/bar", true),
            ("foo/**/**/bar", "foo/b/a/z/bar", true),
            ("foo/**/bar", "foo/bar", true),
            ("foo?bar", "foo/bar", false),
            ("foo[/]bar", "foo/bar", false),
            ("**/foo", "foo", true),
            ("**/foo", "XXX/foo", true),
            ("**/foo", "bar/baz/foo", true),
            ("*/foo", "bar/baz/foo", false),
            ("**/bar*", "foo/bar/baz", false),
            ("**/bar/*", "deep/foo/bar/baz", true),
            ("**/bar/**", "deep/foo/bar/baz/", true),
            ("**/bar/**", "deep/foo/bar", false),
            ("*/bar/**", "foo/bar/baz/x", true),
            ("[[:alpha:]][[:digit:]][[:upper:]]", "a1B", true),
            ("[a-c]b*", "abcdef", true),
            ("[", "[", false),
            (
                "-*-*-*-*-*-*-12-*-*-*-m-*-*-*",
                "-adobe-courier-bold-o-normal--12-120-75-75-m-70-iso8859-1",
                true,
            ),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                Some(wanted),
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn hostile_patterns_end() {
        let pattern = "*a".repeat(40);
        assert_eq!(
            matches(pattern.as_bytes(), "a".repeat(200).replace("aa", "ab").as_bytes()),
            None
        );
    }
}
