//! Patterns of times as Joda-Time's `DateTimeFormat` reads them: the TimestampFormats of Firehose's Hive SerDe.
//!
//! Letters in runs are fields, text in single quotes is literal, `''` is a quote. Fields that a text does not have are those
//! of 1970-01-01T00:00:00; a text without a zone is UTC. Differences from Joda: years are 1 to 9999, two digits of a year
//! mean 1946 to 2045 (Joda: as near as possible to the present year, which would not be the same next year), and the letters
//! `C`, `x` and `w` (centuries, years and numbers of weeks) are refused.

use crate::error::{Error, Result};
use crate::limits::TIME_PATTERN_CHARS_MAX;

/// Microseconds of a day.
pub const DAY_MICROS: i64 = 86_400_000_000;

/// A parsed pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimePattern {
    items: Vec<Item>,
    /// What stands for a year that is not there: Joda's 2000 beside a month or a day, so that 29 February is one.
    year: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Literal(String),
    Number { field: Field, digits_max: usize },
    TwoDigitYear,
    MonthName,
    WeekdayName,
    HalfOfDay,
    Era,
    Fraction(usize),
    Zone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Year,
    Month,
    Day,
    DayOfYear,
    Hour,
    HourOfHalf,
    Minute,
    Second,
    Ignored,
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

impl TimePattern {
    /// Parses a pattern.
    pub fn parse(pattern: &str) -> Result<Self> {
        let fault = |what: String| Error::invalid(format!("the pattern {pattern:?} {what}"));
        if pattern.is_empty() || pattern.chars().count() > TIME_PATTERN_CHARS_MAX {
            return Err(fault(format!("must have 1 to {TIME_PATTERN_CHARS_MAX} characters")));
        }
        let mut items: Vec<Item> = Vec::new();
        let mut rest = pattern.chars().peekable();
        while let Some(first) = rest.next() {
            match first {
                'a'..='z' | 'A'..='Z' => {
                    let mut count = 1;
                    while rest.next_if_eq(&first).is_some() {
                        count += 1;
                    }
                    let before_number = rest.peek().is_some_and(|next| is_numeric(*next));
                    let item = item(first, count, before_number);
                    items.push(item.ok_or_else(|| fault(format!("has the letter {first:?}, which is not known")))?);
                }
                '\'' => literal(&mut items, &quoted(&mut rest).ok_or_else(|| fault("has an open quote".to_owned()))?),
                other => literal(&mut items, other.encode_utf8(&mut [0; 4])),
            }
        }
        let has = |field| items.iter().any(|item| matches!(item, Item::Number { field: there, .. } if *there == field));
        let dated = has(Field::Month) || has(Field::Day) || items.contains(&Item::MonthName);
        Ok(TimePattern { items, year: if dated { 2000 } else { 1970 } })
    }

    /// Microseconds since 1970 of a text that fits the pattern to its end.
    pub fn read(&self, text: &str) -> Option<i64> {
        let mut read = Read { rest: text, time: Time { year: self.year, ..Time::default() } };
        for item in &self.items {
            read.item(item)?;
        }
        if read.rest.is_empty() { read.time.micros() } else { None }
    }
}

/// Whether a letter stands for digits: Joda then reads no more digits of a year before it than there are letters.
fn is_numeric(letter: char) -> bool {
    matches!(letter, 'y' | 'Y' | 'M' | 'd' | 'D' | 'H' | 'k' | 'K' | 'h' | 'm' | 's' | 'S' | 'e')
}

fn item(letter: char, count: usize, before_number: bool) -> Option<Item> {
    let number = |field, digits_max| Some(Item::Number { field, digits_max });
    match (letter, count) {
        ('y' | 'Y', 2) => Some(Item::TwoDigitYear),
        ('y' | 'Y', _) => number(Field::Year, if before_number { count } else { 9 }),
        ('M', 1..=2) => number(Field::Month, 2),
        ('M', _) => Some(Item::MonthName),
        ('d', _) => number(Field::Day, 2),
        ('D', _) => number(Field::DayOfYear, 3),
        ('H' | 'k', _) => number(Field::Hour, 2),
        ('K' | 'h', _) => number(Field::HourOfHalf, 2),
        ('m', _) => number(Field::Minute, 2),
        ('s', _) => number(Field::Second, 2),
        ('e', _) => number(Field::Ignored, 1),
        ('S', 1..=18) => Some(Item::Fraction(count)),
        ('E', _) => Some(Item::WeekdayName),
        ('a', _) => Some(Item::HalfOfDay),
        ('G', _) => Some(Item::Era),
        ('z' | 'Z', _) => Some(Item::Zone),
        _ => None,
    }
}

fn quoted(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let mut text = String::new();
    loop {
        match rest.next()? {
            '\'' if rest.next_if_eq(&'\'').is_some() => text.push('\''),
            '\'' if text.is_empty() => return Some("'".to_owned()),
            '\'' => return Some(text),
            other => text.push(other),
        }
    }
}

fn literal(items: &mut Vec<Item>, text: &str) {
    if let Some(Item::Literal(last)) = items.last_mut() {
        last.push_str(text);
    } else {
        items.push(Item::Literal(text.to_owned()));
    }
}

struct Read<'a> {
    rest: &'a str,
    time: Time,
}

impl Read<'_> {
    fn item(&mut self, item: &Item) -> Option<()> {
        match item {
            Item::Literal(text) => self.rest = without_prefix(self.rest, text)?,
            Item::Number { field, digits_max } => {
                let number = self.digits(*digits_max)?;
                self.time.set(*field, number);
            }
            Item::TwoDigitYear => {
                let before = self.rest.len();
                let year = self.digits(9)?;
                // Joda's lenient form: other than two digits are the year itself.
                self.time.year = match before - self.rest.len() {
                    2 => year + if year < 46 { 2000 } else { 1900 },
                    _ => year,
                };
            }
            Item::MonthName => self.time.month = self.name(&MONTHS)?,
            Item::WeekdayName => drop(self.name(&WEEKDAYS)?),
            Item::HalfOfDay => self.time.afternoon = Some(self.name(&["am", "pm"])? == 2),
            Item::Era => drop(self.name(&["ad"])?),
            Item::Fraction(digits_max) => self.fraction(*digits_max)?,
            Item::Zone => self.zone()?,
        }
        Some(())
    }

    fn digits(&mut self, digits_max: usize) -> Option<i64> {
        let length = self.rest.bytes().take(digits_max.min(18)).take_while(u8::is_ascii_digit).count();
        let number = self.rest[..length].parse().ok()?;
        self.rest = &self.rest[length..];
        Some(number)
    }

    fn fraction(&mut self, digits_max: usize) -> Option<()> {
        let length = self.rest.bytes().take(digits_max).take_while(u8::is_ascii_digit).count();
        self.time.micros = fraction_micros(&self.rest[..length])?;
        self.rest = &self.rest[length..];
        Some(())
    }

    /// The number from 1 of the name that comes, whole or its first three letters.
    fn name(&mut self, names: &[&str]) -> Option<i64> {
        for whole in [true, false] {
            for (number, name) in (1..).zip(names) {
                let name = if whole { name } else { &name[..name.len().min(3)] };
                if let Some(rest) = without_prefix(self.rest, name) {
                    self.rest = rest;
                    return Some(number);
                }
            }
        }
        None
    }

    /// `Z`, `+01`, `+0100`, `+01:00`, or a name of the time zone database.
    fn zone(&mut self) -> Option<()> {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '-' | ':' | '/' | '_'));
        let (zone, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        if matches!(zone, "Z" | "UTC" | "GMT") {
            return Some(());
        }
        if !zone.starts_with(['+', '-']) {
            self.time.zone = Some(zone.parse().ok()?);
            return Some(());
        }
        self.time.offset_seconds = offset_seconds(zone)?;
        Some(())
    }
}

/// Seconds of `+01`, `+0100` or `+01:00`.
pub fn offset_seconds(zone: &str) -> Option<i64> {
    let (sign, digits) = (if zone.starts_with('-') { -1 } else { 1 }, zone.get(1..)?.replace(':', ""));
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let hours: i64 = digits[..2].parse().ok()?;
    let minutes: i64 = digits.get(2..4).map_or(Ok(0), str::parse).ok()?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

/// Microseconds of the digits after a point; further digits are cut.
pub fn fraction_micros(digits: &str) -> Option<i64> {
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let six: i64 = digits[..digits.len().min(6)].parse().ok()?;
    Some(six * 10i64.pow(6 - digits.len().min(6) as u32))
}

fn without_prefix<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

struct Time {
    year: i64,
    month: i64,
    day: i64,
    day_of_year: Option<i64>,
    hour: i64,
    afternoon: Option<bool>,
    minute: i64,
    second: i64,
    micros: i64,
    offset_seconds: i64,
    zone: Option<chrono_tz::Tz>,
}

impl Default for Time {
    fn default() -> Self {
        Time {
            year: 1970,
            month: 1,
            day: 1,
            day_of_year: None,
            hour: 0,
            afternoon: None,
            minute: 0,
            second: 0,
            micros: 0,
            offset_seconds: 0,
            zone: None,
        }
    }
}

impl Time {
    fn set(&mut self, field: Field, number: i64) {
        match field {
            Field::Year => self.year = number,
            Field::Month => self.month = number,
            Field::Day => self.day = number,
            Field::DayOfYear => self.day_of_year = Some(number),
            Field::Hour => self.hour = if number == 24 { 0 } else { number },
            Field::HourOfHalf => self.hour = number % 12,
            Field::Minute => self.minute = number,
            Field::Second => self.second = number,
            Field::Ignored => {}
        }
    }

    fn micros(&self) -> Option<i64> {
        let hour = self.hour + if self.afternoon == Some(true) { 12 } else { 0 };
        let day = match self.day_of_year {
            Some(day) => (1..=if days_of_month(self.year, 2) == 29 { 366 } else { 365 })
                .contains(&day)
                .then(|| days(self.year, 1, 1).map(|first| first + day - 1))??,
            None => days(self.year, self.month, self.day)?,
        };
        let local = day * DAY_MICROS + time_micros(hour, self.minute, self.second)? + self.micros;
        let offset = match self.zone {
            Some(zone) => zone_offset(zone, local)?,
            None => self.offset_seconds,
        };
        Some(local - offset * 1_000_000)
    }
}

/// Seconds east of Greenwich where clocks show `local` (microseconds); the earlier one where they show it twice.
fn zone_offset(zone: chrono_tz::Tz, local: i64) -> Option<i64> {
    use chrono::{Offset as _, TimeZone as _};
    let naive = chrono::DateTime::from_timestamp_micros(local)?.naive_utc();
    let offset = zone.offset_from_local_datetime(&naive).earliest()?;
    Some(i64::from(offset.fix().local_minus_utc()))
}

/// Days since 1970 of a date of the years 1 to 9999.
pub fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=days_of_month(year, month)).contains(&day) {
        return None;
    }
    // Years that begin in March, so that the leap day is their last; eras of 400 years are alike.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Microseconds of a time of day.
pub fn time_micros(hour: i64, minute: i64, second: i64) -> Option<i64> {
    let there = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
    there.then_some((hour * 3_600 + minute * 60 + second) * 1_000_000)
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_joda_does() {
        let micros = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros();
        for (pattern, text, expected) in [
            ("yyyy-MM-dd HH:mm:ss", "2026-11-21 19:16:40", "2026-11-21T19:16:40Z"),
            ("yyyyMMddHHmmssSSS", "20261121191640123", "2026-11-21T19:16:40.123Z"),
            ("yyyy-MM-dd'T'HH:mm:ss.SSSZ", "2026-11-21T19:16:40.5+0100", "2026-11-21T18:16:40.5Z"),
            ("yyyy-MM-dd'T'HH:mm:ssZZ", "2026-11-21T19:16:40-02:30", "2026-11-21T21:46:40Z"),
            ("EEE, dd MMM yyyy hh:mm a z", "Sat, 21 Nov 2026 07:16 PM UTC", "2026-11-21T19:16:00Z"),
            ("dd MMMM yyyy HH:mm ZZZ", "21 november 2026 12:00 Europe/Berlin", "2026-11-21T11:00:00Z"),
            ("yy.M.d", "26.1.2", "2026-01-02T00:00:00Z"),
            ("yy.M.d", "70.1.2", "1970-01-02T00:00:00Z"),
            ("yyyy/DDD", "2024/366", "2024-12-31T00:00:00Z"),
            ("d.M.", "29.2.", "2000-02-29T00:00:00Z"),
            ("h 'o''clock' a", "12 o'clock am", "1970-01-01T00:00:00Z"),
            ("yyyy-MM-dd", "0001-01-01", "0001-01-01T00:00:00Z"),
            ("yyyy-MM-dd", "9999-12-31", "9999-12-31T00:00:00Z"),
        ] {
            let read = TimePattern::parse(pattern).unwrap().read(text);
            assert_eq!(read, Some(micros(expected)), "{pattern} {text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_nothing() {
        for (pattern, text) in [
            ("yyyy-MM-dd", "2026-11-31"),
            ("yyyy-MM-dd", "2026-11-21 "),
            ("yyyy-MM-dd", "0000-01-01"),
            ("yyyy-MM-dd", "999999999-01-01"),
            ("yyyy-DDD", "2023-366"),
            ("HH:mm", "24:60"),
            ("HH:mm", "1"),
            ("S", ""),
            ("MMM", "Foo"),
            ("Z", "+25:00"),
            ("Z", "Mars/Olympus"),
            ("'é'", "e"),
        ] {
            assert_eq!(TimePattern::parse(pattern).unwrap().read(text), None, "{pattern} {text}");
        }
        for pattern in ["", "yyyy-ww", "C", "'open", "tt", &"y-".repeat(200)] {
            assert!(TimePattern::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for day in (-719_162..2_932_896).step_by(97) {
            use chrono::Datelike as _;
            let date = chrono::NaiveDate::from_epoch_days(day).unwrap();
            let found = days(i64::from(date.year()), i64::from(date.month()), i64::from(date.day()));
            assert_eq!(found, Some(i64::from(day)), "{date}");
        }
    }
}
