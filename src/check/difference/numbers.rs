//! Times and addresses among bytes and digits.

use std::ops::Range;

use super::clues::{Cause, Context};
use super::explanation::{Certainty, Class};

/// How far from the time of the build a number may be to be one of its times:
/// a long build, or one that was resumed.
const NEAR: u64 = 2 * DAY;

const DAY: u64 = 24 * 60 * 60;

/// The first second of 1980, before which nothing that is built today was.
const EARLIEST: u64 = 315_532_800;

/// The first second of 2003: a number before it is more often something else.
const FIRST_LIKELY: u64 = 1_041_379_200;

/// Seconds between 1601, where Windows begins to count, and 1970.
const WINDOWS_EPOCH: u64 = 11_644_473_600;

/// Parts of a second that times are counted in, with what 1601 adds.
const UNITS: [(&str, u64, u64); 5] = [
    ("seconds", 1, 0),
    ("milliseconds", 1000, 0),
    ("microseconds", 1_000_000, 0),
    ("nanoseconds", 1_000_000_000, 0),
    ("tenths of microseconds since 1601", 10_000_000, WINDOWS_EPOCH),
];

/// How likely two numbers of seconds are the times of two builds.
pub(super) fn both_times(context: &Context, claimed: u64, ours: u64) -> Option<Certainty> {
    if !(EARLIEST..=context.now.saturating_add(NEAR)).contains(&claimed) || claimed == ours {
        return None;
    }
    match context.built_at {
        Some(built) => (ours.abs_diff(built) <= NEAR).then_some(Certainty::Likely),
        None => {
            let likely = FIRST_LIKELY..=context.now.saturating_add(NEAR);
            (likely.contains(&claimed) && likely.contains(&ours)).then_some(Certainty::Possible)
        }
    }
}

/// Two numbers in digits that are times, in whichever unit.
pub(super) fn times_in_digits(context: &Context, a: &[u8], b: &[u8]) -> Option<Cause> {
    let (claimed, ours) = (decimal(a)?, decimal(b)?);
    // Nine digits end in 2001; shorter ones are any number.
    if a.len() < 9 || b.len() < 9 {
        return None;
    }
    let (unit, certainty, seconds) = in_some_unit(context, claimed, ours)?;
    Some(Cause {
        class: Class::Timestamp,
        certainty,
        what: format!("number of {unit}"),
        claimed: format!("{claimed} ({})", calendar(seconds.0)),
        ours: format!("{ours} ({})", calendar(seconds.1)),
    })
}

fn in_some_unit(
    context: &Context,
    claimed: u64,
    ours: u64,
) -> Option<(&'static str, Certainty, (u64, u64))> {
    UNITS.into_iter().find_map(|(unit, per_second, epoch)| {
        let seconds = |value: u64| value.checked_div(per_second)?.checked_sub(epoch);
        let (a, b) = (seconds(claimed)?, seconds(ours)?);
        // Two times within one second differ in the parts alone.
        let certainty = if a == b {
            both_times(context, a, b.saturating_add(1))
        } else {
            both_times(context, a, b)
        };
        certainty.map(|certainty| (unit, certainty, (a, b)))
    })
}

/// A number in digits.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    all_digits.then(|| text.parse().ok()).flatten()
}

/// A binary time that covers a short difference: four or eight bytes, either
/// end first.
pub(super) fn binary_time(
    context: &Context,
    a: &[u8],
    b: &[u8],
    at: (&Range<usize>, &Range<usize>),
) -> Option<Cause> {
    let (ra, rb) = at;
    // Nearly any bytes are some time; only one near our build's is telling.
    context.built_at?;
    if ra.len() != rb.len() || ra.is_empty() || ra.len() > 8 {
        return None;
    }
    for size in [4_usize, 8] {
        let Some(slack) = size.checked_sub(ra.len()) else { continue };
        for before in 0..=slack {
            let (Some(i), Some(j)) = (ra.start.checked_sub(before), rb.start.checked_sub(before))
            else {
                continue;
            };
            let x = a.get(i..i.saturating_add(size)).unwrap_or_default();
            let y = b.get(j..j.saturating_add(size)).unwrap_or_default();
            if let Some(cause) = time_in(context, x, y) {
                return Some(cause);
            }
        }
    }
    None
}

fn time_in(context: &Context, x: &[u8], y: &[u8]) -> Option<Cause> {
    for big in [false, true] {
        let (Some(claimed), Some(ours)) = (number(x, big), number(y, big)) else { continue };
        let found = if x.len() == 4 {
            both_times(context, claimed, ours)
                .map(|certainty| ("seconds", certainty, (claimed, ours)))
        } else {
            in_some_unit(context, claimed, ours)
        };
        let Some((unit, certainty, seconds)) = found else { continue };
        let bits = x.len().saturating_mul(8);
        let end = if big { "big" } else { "little" };
        return Some(Cause {
            class: Class::Timestamp,
            certainty,
            what: format!("{bits}-bit {end}-endian number of {unit}"),
            claimed: calendar(seconds.0),
            ours: calendar(seconds.1),
        });
    }
    None
}

/// Up to eight bytes as a number.
pub(super) fn number(bytes: &[u8], big_endian: bool) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > 8 {
        return None;
    }
    let fold = |value: u64, byte: &u8| (value << 8) | u64::from(*byte);
    Some(if big_endian { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) })
}

/// Whether eight bytes look like where a program keeps something in memory:
/// stack, mapped libraries, or the program itself, as Linux lays them out.
fn is_address(word: &[u8]) -> bool {
    let Some(value) = number(word, false).filter(|_| word.len() == 8) else { return false };
    matches!(value >> 40, 0x7f | 0x7e | 0x55 | 0x56)
}

/// Bytes of a difference that are looked at for being random.
const MAX_SAMPLE: usize = 4096;

/// Random-looking bytes: addresses, identifiers, what was never written.
pub(super) fn random_bytes(
    a: &[u8],
    b: &[u8],
    at: (&Range<usize>, &Range<usize>),
) -> Option<Cause> {
    let (ra, rb) = at;
    let x = a.get(ra.clone()).unwrap_or_default();
    let y = b.get(rb.clone()).unwrap_or_default();
    let cause = |certainty, what: &str| {
        Some(Cause::new(Class::Randomness, certainty, what, &hex(x), &hex(y)))
    };
    if addresses(a, ra) || addresses(b, rb) {
        return cause(Certainty::Likely, "addresses of memory, as uninitialised bytes hold them");
    }
    if x.len() != y.len() || x.len() < 8 {
        return None;
    }
    let (x, y) = (x.get(..MAX_SAMPLE).unwrap_or(x), y.get(..MAX_SAMPLE).unwrap_or(y));
    if !(is_random(x) && is_random(y)) {
        return None;
    }
    let equal = x.iter().zip(y).filter(|(p, q)| p == q).count();
    if equal.saturating_mul(8) > x.len() {
        return None;
    }
    let certainty = if (16..=64).contains(&x.len()) {
        Certainty::Likely
    } else {
        // Eight bytes are few; many could be packed or encrypted data.
        Certainty::Possible
    };
    cause(certainty, "bytes without any pattern")
}

/// Whether a difference stands in aligned words that are addresses.
fn addresses(bytes: &[u8], range: &Range<usize>) -> bool {
    let start = range.start & !7;
    let end = range.end.min(range.start.saturating_add(MAX_SAMPLE));
    let words = bytes.get(start..).unwrap_or_default().chunks_exact(8);
    let count = end.saturating_sub(start).div_ceil(8);
    let (mut seen, mut all) = (0_usize, 0_usize);
    for word in words.take(count) {
        all = all.saturating_add(1);
        seen = seen.saturating_add(usize::from(is_address(word)));
    }
    seen > 0 && seen.saturating_mul(8) >= all
}

/// Whether bytes have about as many different values as random ones.
fn is_random(bytes: &[u8]) -> bool {
    let mut seen = [0_u16; 256];
    for byte in bytes {
        if let Some(count) = seen.get_mut(usize::from(*byte)) {
            *count = count.saturating_add(1);
        }
    }
    let distinct = seen.iter().filter(|count| **count > 0).count();
    let most = seen.iter().copied().max().map_or(0, usize::from);
    let printable = bytes.iter().filter(|byte| (b' '..=b'~').contains(*byte)).count();
    let length = bytes.len();
    // Of n random bytes about 256 (1 - e^(-n/256)) are different.
    let enough = match length {
        0..=32 => distinct.saturating_mul(10) >= length.saturating_mul(8),
        33..=255 => distinct.saturating_mul(10) >= length.saturating_mul(6),
        _ => distinct >= 150,
    };
    enough
        && most.saturating_mul(8) <= length.max(16)
        && printable.saturating_mul(4) < length.saturating_mul(3)
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    let shown = bytes.iter().take(24);
    let mut text: Vec<u8> = shown.flat_map(|byte| format!("{byte:02x}").into_bytes()).collect();
    if bytes.len() > 24 {
        text.extend(b"...");
    }
    text
}

/// A number of seconds as date and time: `2026-11-22 20:00:01`.
pub(super) fn calendar(seconds: u64) -> String {
    let days = seconds / DAY;
    let of_day = seconds % DAY;
    // Days are counted from 1 March of the year 0, so that leap days come last;
    // <https://howardhinnant.github.io/date_algorithms.html>, from the calendar.
    let shifted = days.saturating_add(719_468);
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let (month, later) =
        if shifted_month < 10 { (shifted_month + 3, 0) } else { (shifted_month - 9, 1) };
    let year = year_of_era + era.saturating_mul(400) + later;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_377_600;

    fn context() -> Context {
        Context { built_at: Some(NOW), now: NOW, host: Vec::new() }
    }

    fn binary(context: &Context, a: &[u8], b: &[u8]) -> Option<Cause> {
        let differing = a.iter().zip(b).position(|(x, y)| x != y).unwrap();
        let last = a.len() - a.iter().rev().zip(b.iter().rev()).position(|(x, y)| x != y).unwrap();
        binary_time(context, a, b, (&(differing..last), &(differing..last)))
    }

    #[test]
    fn seconds_are_shown_as_dates() {
        assert_eq!(calendar(0), "1970-01-01 00:00:00");
        assert_eq!(calendar(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(calendar(NOW), "2026-11-22 20:00:00");
        assert!(!calendar(u64::MAX).is_empty());
    }

    #[test]
    fn times_are_told_from_other_numbers_by_the_time_of_the_build() {
        let (old, new) = (1_600_000_000_u32, u32::try_from(NOW).unwrap() + 90);
        for bytes in [u32::to_le_bytes, u32::to_be_bytes] {
            let file = |time: u32| [b"magic\0\0\0".as_slice(), &bytes(time), b"rest"].concat();
            let found = binary(&context(), &file(old), &file(new)).unwrap();
            assert_eq!(found.class, Class::Timestamp);
            assert_eq!(found.claimed, "2020-09-13 12:26:40");
            // Not near the build, or nothing is known of one.
            assert_eq!(binary(&context(), &file(new), &file(old)), None);
            let unknown = Context { built_at: None, ..context() };
            assert_eq!(binary(&unknown, &file(old), &file(new)), None);
        }
        let nanoseconds = |seconds: u64| (seconds * 1_000_000_000 + 5).to_le_bytes();
        let found = binary(&context(), &nanoseconds(1_600_000_000), &nanoseconds(NOW)).unwrap();
        assert!(found.what.contains("nanoseconds"), "{found:?}");
    }

    #[test]
    fn digits_are_times_near_the_build_only() {
        let digits = |a: &str, b: &str| times_in_digits(&context(), a.as_bytes(), b.as_bytes());
        assert!(digits("1600000000", "1795377700").is_some());
        assert!(digits("1600000000123", "1795377700999").is_some());
        assert!(digits("1600000000", "1700000000").is_none());
        assert!(digits("1600", "1700").is_none());
        assert!(digits("99999999999999999999999", "1795377700").is_none());
    }

    #[test]
    fn random_bytes_and_addresses_look_unlike_text_and_code() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut bytes = |n: usize| (0..n).map(|_| random.u8(..)).collect::<Vec<u8>>();
        let (a, b) = (bytes(32), bytes(32));
        let found = random_bytes(&a, &b, (&(0..32), &(0..32))).unwrap();
        assert_eq!((found.class, found.certainty), (Class::Randomness, Certainty::Likely));
        let text = b"these words are not random bytes";
        assert_eq!(random_bytes(text, &a, (&(0..32), &(0..32))), None);
        let pointers = |low: u64| {
            [0x7fff_0000_1234 + low, 0x5555_1234_0000 + low]
                .iter()
                .flat_map(|word| word.to_le_bytes())
                .collect::<Vec<u8>>()
        };
        let found = random_bytes(&pointers(0), &pointers(0x990), (&(0..9), &(0..9))).unwrap();
        assert!(found.what.contains("addresses"));
    }
}
