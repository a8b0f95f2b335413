//! Dates and times in text.
//!
//! Only forms that programs write are recognised: what could be any number is
//! judged elsewhere, by how near it is to the time of the build.

use std::ops::Range;

/// English names of months, as `date`, compilers and mail write them.
const MONTHS: [&[u8]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];

/// Text that holds a date, a time of day or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Where it stands.
    pub(super) at: Range<usize>,
    /// What form it has.
    pub(super) form: &'static str,
}

/// All dates and times in a line of text, left to right.
pub(super) fn find(text: &[u8]) -> Vec<Stamp> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let begins_word = at
            .checked_sub(1)
            .and_then(|before| text.get(before))
            .is_none_or(|before| !before.is_ascii_alphanumeric());
        match begins_word.then(|| stamp(text.get(at..).unwrap_or_default())).flatten() {
            Some((length, form)) => {
                let end = at.saturating_add(length);
                found.push(Stamp { at: at..end, form });
                at = end;
            }
            None => at = at.saturating_add(1),
        }
    }
    found
}

/// A reader of one form: how many bytes of the beginning are of it.
type Form = fn(&[u8]) -> Option<usize>;

/// The forms, the longest first where one begins with another.
const FORMS: [(&str, Form); 6] = [
    ("date", iso_date),
    ("date", named_date),
    ("date", slashed_date),
    ("date without separators", packed_date),
    ("time of day", time_of_day),
    ("PDF date", pdf_date),
];

fn stamp(text: &[u8]) -> Option<(usize, &'static str)> {
    FORMS.into_iter().find_map(|(name, form)| {
        let length = form(text)?;
        let ends = text.get(length).is_none_or(|next| !next.is_ascii_alphanumeric());
        ends.then_some((length, name))
    })
}

/// `2026-11-22`, also with `T20:00:01Z` and the like behind it.
fn iso_date(text: &[u8]) -> Option<usize> {
    let mut rest = Scan::new(text);
    rest.number(4, 1970..=2200)?;
    let separator = rest.one_of(b"-./")?;
    rest.number(2, 1..=12)?;
    rest.exactly(separator)?;
    rest.number(2, 1..=31)?;
    let date = rest.at;
    if rest.one_of(b"T _t").is_some()
        && let Some(time) = time_of_day(rest.text())
    {
        return Some(rest.at.saturating_add(time));
    }
    Some(date)
}

/// `Thu Nov 12 20:00:01 UTC 2026`, `12 Nov 2026`, `Nov 12 2026`, `Nov  2`.
fn named_date(text: &[u8]) -> Option<usize> {
    let mut scan = Scan::new(text);
    if scan.weekday() {
        scan.blanks();
    }
    let day_first = scan.number_up_to(2, 1..=31).is_some();
    if day_first {
        scan.blanks();
        scan.one_of(b"-");
    }
    scan.month()?;
    scan.blanks();
    scan.one_of(b"-,");
    scan.blanks();
    if !day_first {
        scan.number_up_to(2, 1..=31)?;
        scan.one_of(b",");
    }
    // A time, a zone and a year may follow, in several orders.
    let mut end = scan.at;
    for _ in 0..4 {
        scan.blanks();
        let part = scan.text();
        if let Some(length) = time_of_day(part) {
            scan.skip(length);
        } else if scan.number(4, 1970..=2200).is_none() && !scan.zone() {
            break;
        }
        end = scan.at;
    }
    Some(end)
}

/// `11/22/2026`, `22/11/2026`, `22.11.2026`, `11/22/26`.
fn slashed_date(text: &[u8]) -> Option<usize> {
    let mut scan = Scan::new(text);
    scan.number_up_to(2, 1..=31)?;
    let separator = scan.one_of(b"/.-")?;
    scan.number_up_to(2, 1..=31)?;
    scan.exactly(separator)?;
    if scan.number(4, 1970..=2200).is_none() {
        // Two digits of a year with slashes only: versions have dots.
        (separator == b'/').then(|| scan.number(2, 0..=99)).flatten()?;
    }
    Some(scan.at)
}

/// `20261122`, `20261122200001`, `20261122T200001Z`.
fn packed_date(text: &[u8]) -> Option<usize> {
    let mut scan = Scan::new(text);
    scan.number(4, 1970..=2200)?;
    scan.number(2, 1..=12)?;
    scan.number(2, 1..=31)?;
    let date = scan.at;
    scan.one_of(b"T-_");
    let timed = scan.number(2, 0..=23).and_then(|_| scan.number(2, 0..=59));
    if timed.is_none() {
        return Some(date);
    }
    if scan.number(2, 0..=60).is_some() {
        // Hundredths, as ISO 9660 has them.
        scan.number(2, 0..=99);
    }
    scan.one_of(b"Zz");
    Some(scan.at)
}

/// `D:20261122200001`.
fn pdf_date(text: &[u8]) -> Option<usize> {
    let packed = packed_date(text.strip_prefix(b"D:")?)?;
    Some(packed.saturating_add(2))
}

/// `20:00:01`, also with a fraction, a zone, AM or PM.
fn time_of_day(text: &[u8]) -> Option<usize> {
    let mut scan = Scan::new(text);
    scan.number_up_to(2, 0..=23)?;
    scan.exactly(b':')?;
    scan.number(2, 0..=59)?;
    if scan.exactly(b':').is_some() {
        scan.number(2, 0..=60)?;
    }
    if scan.one_of(b".,").is_some() && !scan.digits() {
        scan.back(1);
    }
    let end = scan.at;
    scan.blanks();
    if scan.one_of(b"AaPp").is_some() && scan.one_of(b"Mm").is_some() {
        return Some(scan.at);
    }
    scan.at = end;
    if scan.one_of(b"Zz").is_some() {
        return Some(scan.at);
    }
    if scan.one_of(b"+-").is_some() && scan.number(2, 0..=14).is_some() {
        scan.exactly(b':');
        if scan.number(2, 0..=59).is_some() {
            return Some(scan.at);
        }
    }
    Some(end)
}

/// A place in a text.
struct Scan<'t> {
    whole: &'t [u8],
    at: usize,
}

impl<'t> Scan<'t> {
    const fn new(whole: &'t [u8]) -> Self {
        Self { whole, at: 0 }
    }

    fn text(&self) -> &'t [u8] {
        self.whole.get(self.at..).unwrap_or_default()
    }

    const fn skip(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    const fn back(&mut self, bytes: usize) {
        self.at = self.at.saturating_sub(bytes);
    }

    /// One of these bytes.
    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let next = *self.text().first()?;
        bytes.contains(&next).then(|| {
            self.skip(1);
            next
        })
    }

    fn exactly(&mut self, byte: u8) -> Option<u8> {
        self.one_of(&[byte])
    }

    fn blanks(&mut self) {
        while self.one_of(b" ").is_some() {}
    }

    /// Any number of digits; whether there were some.
    fn digits(&mut self) -> bool {
        let digits = self.text().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.skip(digits);
        digits > 0
    }

    /// A number of exactly so many digits.
    fn number(&mut self, digits: usize, values: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let text = self.text().get(..digits)?;
        let value = text.iter().try_fold(0_u32, |value, byte| {
            let digit = char::from(*byte).to_digit(10)?;
            value.checked_mul(10)?.checked_add(digit)
        })?;
        values.contains(&value).then(|| {
            self.skip(digits);
            value
        })
    }

    /// A number of at most so many digits.
    fn number_up_to(
        &mut self,
        digits: usize,
        values: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        let there = self.text().iter().take(digits).take_while(|byte| byte.is_ascii_digit());
        let there = there.count();
        if there == 0 { None } else { self.number(there, values) }
    }

    /// The name of a month, short or long.
    fn month(&mut self) -> Option<()> {
        let letters = self.letters();
        let word = letters.to_ascii_lowercase();
        let known = MONTHS.iter().any(|month| word.starts_with(month)) && word.len() <= 9;
        known.then(|| self.skip(letters.len()))
    }

    /// The name of a day of the week, with its comma.
    fn weekday(&mut self) -> bool {
        const DAYS: [&[u8]; 7] = [b"mon", b"tue", b"wed", b"thu", b"fri", b"sat", b"sun"];
        let letters = self.letters();
        let word = letters.to_ascii_lowercase();
        let known = DAYS.iter().any(|day| word.starts_with(day)) && word.len() <= 9;
        if known {
            self.skip(letters.len());
            self.one_of(b",");
        }
        known
    }

    /// A time zone: `UTC`, `CEST`, `+0200`.
    fn zone(&mut self) -> bool {
        let letters = self.letters();
        if (2..=5).contains(&letters.len()) && letters.iter().all(u8::is_ascii_uppercase) {
            self.skip(letters.len());
            return true;
        }
        let start = self.at;
        if self.one_of(b"+-").is_some() && self.number(4, 0..=1459).is_some() {
            return true;
        }
        self.at = start;
        false
    }

    fn letters(&self) -> &'t [u8] {
        let text = self.text();
        let letters = text.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        text.get(..letters).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps(text: &str) -> Vec<&str> {
        find(text.as_bytes()).into_iter().map(|stamp| &text[stamp.at]).collect()
    }

    #[test]
    fn forms_that_programs_write_are_found_whole() {
        for whole in [
            "2026-11-22",
            "2026-11-22T20:00:01Z",
            "2026-11-22 20:00:01.123456",
            "2026-11-22T20:00:01+01:00",
            "2026/11/22",
            "Sun Nov 22 20:00:01 UTC 2026",
            "Sun Nov  2 20:00:01 2026",
            "Sun, 22 Nov 2026 20:00:01 +0000",
            "Nov 22 2026",
            "22-Nov-2026",
            "November 22, 2026",
            "20:00:01",
            "8:05 PM",
            "20261122",
            "20261122200001",
            "20261122T200001Z",
            "11/22/2026",
            "22.11.2026",
            "D:20261122200001",
        ] {
            assert_eq!(stamps(whole), [whole]);
            let inside = format!("built \"{whole}\" here");
            assert_eq!(stamps(&inside), [whole]);
        }
    }

    #[test]
    fn other_numbers_and_words_are_not() {
        for none in [
            "version 1.2.3",
            "may the force",
            "marching on",
            "127.0.0.1",
            "0x20261122aa",
            "12345678",
            "99:99:99",
            "1:1",
            "deadbeef20261122",
        ] {
            assert_eq!(stamps(none), Vec::<&str>::new(), "{none}");
        }
    }

    #[test]
    fn several_in_one_line_are_told_apart() {
        assert_eq!(
            stamps("from 2026-11-22 to 2026-11-23, 20:00"),
            ["2026-11-22", "2026-11-23", "20:00"]
        );
    }

    #[test]
    fn any_bytes_are_read_in_bounds() {
        let mut random = fastrand::Rng::with_seed(3);
        let alphabet = b"0123456789:-/., TZDJanFebSunUTC+";
        for _ in 0..2000 {
            let text: Vec<u8> =
                (0..random.usize(..60)).map(|_| *random.choice(alphabet).unwrap()).collect();
            for stamp in find(&text) {
                assert!(stamp.at.start < stamp.at.end && stamp.at.end <= text.len());
            }
        }
    }
}
