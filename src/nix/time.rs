//! Moments on the command line and in reports: RFC 3339 in UTC, whole seconds.

use std::fmt;
use std::str::FromStr;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// The last second that four digits can name, 9999-12-31T23:59:59Z.
const LATEST: i64 = 253_402_300_799;

/// A moment between 1970 and 9999, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

/// Why a text names no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a time in UTC such as 2026-01-31T12:00:00Z or 2026-01-31, or @ and seconds since 1970"
)]
pub struct TimeError;

impl Timestamp {
    /// The moment so many seconds after 1970 began, if it has four digits of
    /// a year.
    #[must_use]
    pub fn from_seconds(seconds: i64) -> Option<Self> {
        (0..=LATEST).contains(&seconds).then_some(Self(seconds))
    }

    /// The latest moment there is.
    pub const LAST: Self = Self(LATEST);

    /// The day, as `2026-01-31`.
    #[must_use]
    pub fn date(self) -> String {
        self.to_string().split('T').next().unwrap_or_default().to_owned()
    }

    /// Seconds since 1970.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let seconds = match text.strip_prefix('@') {
            Some(digits) => number(digits)?,
            None => {
                let (date, time) = match text.split_once('T') {
                    Some((date, time)) => (date, time.strip_suffix('Z').ok_or(TimeError)?),
                    None => (text, "00:00:00"),
                };
                let [year, month, day] = fields(date, '-', [4, 2, 2])?;
                let [hour, minute, second] = fields(time, ':', [2, 2, 2])?;
                if hour > 23 || minute > 59 || second > 59 {
                    return Err(TimeError);
                }
                let days = days_since_1970(year, month, day).ok_or(TimeError)?;
                days * DAY + hour * 3600 + minute * 60 + second
            }
        };
        if (0..=LATEST).contains(&seconds) { Ok(Self(seconds)) } else { Err(TimeError) }
    }
}

fn number(digits: &str) -> Result<i64, TimeError> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(TimeError);
    }
    digits.parse().map_err(|_| TimeError)
}

fn fields(text: &str, separator: char, widths: [usize; 3]) -> Result<[i64; 3], TimeError> {
    let mut parts = text.split(separator);
    let mut take = |width: usize| {
        parts.next().filter(|part| part.len() == width).ok_or(TimeError).and_then(number)
    };
    let [first, second, third] = widths;
    let all = [take(first)?, take(second)?, take(third)?];
    if parts.next().is_some() { Err(TimeError) } else { Ok(all) }
}

/// Days from 1970-01-01 in the Gregorian calendar; years are counted from
/// March so that the leap day comes last.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let longest = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if !(1..=longest).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    Some(365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut days, second) = (self.0 / DAY, self.0 % DAY);
        let mut year = 1970;
        let length = |year: i64| {
            if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 { 366 } else { 365 }
        };
        while days >= length(year) {
            days -= length(year);
            year += 1;
        }
        let month = (1..=12)
            .rev()
            .find(|month| {
                days_since_1970(year, *month, 1)
                    .zip(days_since_1970(year, 1, 1))
                    .is_some_and(|(first, january)| first - january <= days)
            })
            .unwrap_or(1);
        let first = days_since_1970(year, month, 1)
            .zip(days_since_1970(year, 1, 1))
            .map_or(0, |(first, january)| first - january);
        write!(
            f,
            "{year:04}-{month:02}-{:02}T{:02}:{:02}:{:02}Z",
            days - first + 1,
            second / 3600,
            second / 60 % 60,
            second % 60
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_and_print() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-01-31T12:00:00Z", 1_769_860_800),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("9999-12-31T23:59:59Z", LATEST),
        ] {
            assert_eq!(text.parse(), Ok(Timestamp(seconds)), "{text}");
            assert_eq!(Timestamp(seconds).to_string(), text);
            assert_eq!(format!("@{seconds}").parse(), Ok(Timestamp(seconds)));
        }
        assert_eq!("2026-01-31".parse::<Timestamp>().unwrap().to_string(), "2026-01-31T00:00:00Z");
    }

    #[test]
    fn days_of_eight_hundred_years_come_back() {
        for day in (0..292_194).step_by(5) {
            let time = Timestamp(day * DAY + 1);
            assert_eq!(time.to_string().parse(), Ok(time));
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in [
            "",
            "now",
            "@",
            "@-1",
            "@1.5",
            "2026-1-31",
            "2026-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-01-32",
            "1969-12-31",
            "2026-01-01T00:00:00",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00+01:00",
            "2026-01-01 00:00:00Z",
            "@253402300800",
            "2026-01-01-01",
        ] {
            assert_eq!(bad.parse::<Timestamp>(), Err(TimeError), "{bad}");
        }
    }
}
