//! Date patterns as Java's `DateTimeFormatter` prints them: what stands in `!{timestamp:…}`.
//!
//! The rules are those of `DateTimeFormatterBuilder.appendPattern` (Java 17, locale en-US: weeks begin on Sunday, the
//! first week has at least one day). Letters in runs are fields, text in single quotes is literal, `''` is a quote,
//! `[` and `]` (optional sections) print nothing, `{ } #` are reserved. Times have second precision, so fractions
//! print zeros. Differences from Java:
//! - the letters that Firehose rejects are refused (`C I J P R T U V b f i j l o p r t`: those that mean nothing to
//!   Java, and `V` and `p`);
//! - zone names: `z` prints the abbreviation of the time zone database (`PST`, and where that has none the offset, `-03`); the long
//!   names `zzzz` and the generic names `v` are refused, since they need translated tables;
//! - years end at 9999.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike, NaiveDate, Offset as _, Timelike};
use chrono_tz::{OffsetName as _, Tz};

mod read;
#[cfg(test)]
mod tests;

pub(super) use read::TimeFormat;

/// Later times are taken for this one, 9999-12-20T00:00:00Z, so that years of dates and of weeks have four digits.
const SECONDS_MAX: i64 = 253_401_264_000;
/// Characters of the longest zone abbreviation, as in `+0530`.
const ZONE_CHARS_MAX: usize = 6;

/// A parsed pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DatePattern {
    items: Vec<Item>,
}

/// The instant at which patterns are evaluated: milliseconds since 1970 cut to seconds, in a time zone.
pub(super) fn local_time(ms: u64, time_zone: Tz) -> DateTime<Tz> {
    let seconds = i64::try_from(ms / 1_000).unwrap_or(i64::MAX).min(SECONDS_MAX);
    DateTime::from_timestamp(seconds, 0).expect("a time before the year 10000 is one").with_timezone(&time_zone)
}

/// Whether a time, in milliseconds since 1970, is one that patterns print as it is.
pub(super) fn is_printable(ms: u64) -> bool {
    i64::try_from(ms / 1_000).is_ok_and(|seconds| seconds <= SECONDS_MAX)
}

impl DatePattern {
    /// Parses; `None` for what Java or Firehose refuses.
    pub(super) fn parse(pattern: &str) -> Option<Self> {
        let mut items = Vec::new();
        let mut open_sections = 0usize;
        let mut rest = pattern.chars().peekable();
        while let Some(first) = rest.next() {
            match first {
                'a'..='z' | 'A'..='Z' => {
                    let mut count = 1;
                    while rest.next_if_eq(&first).is_some() {
                        count += 1;
                    }
                    items.push(field(first, count)?);
                }
                '\'' => push_literal(&mut items, &quoted(&mut rest)?),
                '[' => open_sections += 1,
                ']' => open_sections = open_sections.checked_sub(1)?,
                '{' | '}' | '#' => return None,
                other => push_literal(&mut items, other.encode_utf8(&mut [0; 4])),
            }
        }
        (!pattern.is_empty()).then_some(DatePattern { items })
    }

    /// Prints `at`.
    pub(super) fn format(&self, at: &DateTime<Tz>, out: &mut String) {
        for item in &self.items {
            item.format(at, out);
        }
    }

    /// Characters of the longest text that the pattern can print.
    pub(super) fn chars_max(&self) -> usize {
        self.items.iter().map(Item::chars_max).sum()
    }

    /// Bytes of the longest text that the pattern can print: only literals go beyond ASCII.
    pub(super) fn bytes_max(&self) -> usize {
        self.items.iter().map(|item| if let Item::Literal(text) = item { text.len() } else { item.chars_max() }).sum()
    }
}

/// What a run of one letter, or literal text, prints.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Literal(String),
    /// A number, with zeros before it up to `width`.
    Number {
        field: Number,
        width: usize,
    },
    /// The last two digits of a year.
    TwoDigits(Number),
    Text(Text, Style),
    /// So many zeros: fractions of seconds.
    Fraction(usize),
    /// `+01:00` in one of its forms.
    Offset {
        form: OffsetForm,
        zero: &'static str,
    },
    /// `GMT+1`, long `GMT+01:00`.
    GmtOffset {
        long: bool,
    },
    /// `CET`.
    ZoneName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Year,
    Month,
    Day,
    DayOfYear,
    Hour,
    ClockHour,
    HourOfHalf,
    ClockHourOfHalf,
    Minute,
    Second,
    MilliOfDay,
    NanoOfSecond,
    NanoOfDay,
    Quarter,
    WeekYear,
    WeekOfYear,
    WeekOfMonth,
    LocalWeekday,
    AlignedWeekday,
    ModifiedJulianDay,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Era,
    Month,
    Quarter,
    Weekday,
    HalfOfDay,
    PeriodOfDay,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Short,
    Full,
    Narrow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OffsetForm {
    colon: bool,
    /// `+05`, with minutes only where there are any.
    short: bool,
    /// With seconds where there are any.
    seconds: bool,
}

/// The item of `count` times `letter`, by the tables of `appendPattern`.
fn field(letter: char, count: usize) -> Option<Item> {
    use Number as N;
    let number = |field| Some(Item::Number { field, width: count });
    match (letter, count) {
        ('u' | 'y', 2) => Some(Item::TwoDigits(N::Year)),
        ('Y', 2) => Some(Item::TwoDigits(N::WeekYear)),
        ('u' | 'y', 1..=19) => number(N::Year),
        ('Y', 1..=19) => number(N::WeekYear),
        ('M' | 'L', 1..=2) => number(N::Month),
        ('Q' | 'q', 1..=2) => number(N::Quarter),
        ('e', 1..=2) | ('c', 1) => number(N::LocalWeekday),
        ('d', 1..=2) => number(N::Day),
        ('D', 1..=3) => number(N::DayOfYear),
        ('H', 1..=2) => number(N::Hour),
        ('k', 1..=2) => number(N::ClockHour),
        ('K', 1..=2) => number(N::HourOfHalf),
        ('h', 1..=2) => number(N::ClockHourOfHalf),
        ('m', 1..=2) => number(N::Minute),
        ('s', 1..=2) => number(N::Second),
        ('A', 1..=19) => number(N::MilliOfDay),
        ('n', 1..=19) => number(N::NanoOfSecond),
        ('N', 1..=19) => number(N::NanoOfDay),
        ('g', 1..=19) => number(N::ModifiedJulianDay),
        ('w', 1..=2) => number(N::WeekOfYear),
        ('W', 1) => number(N::WeekOfMonth),
        ('F', 1) => number(N::AlignedWeekday),
        ('S', 1..=9) => Some(Item::Fraction(count)),
        _ => text_field(letter, count).or_else(|| zone_field(letter, count)),
    }
}

fn text_field(letter: char, count: usize) -> Option<Item> {
    let style = match count {
        1..=3 => Style::Short,
        4 => Style::Full,
        5 => Style::Narrow,
        _ => return None,
    };
    let text = match (letter, count) {
        ('G', _) => Text::Era,
        ('M' | 'L', 3..) => Text::Month,
        ('Q' | 'q', 3..) => Text::Quarter,
        ('E', _) | ('e' | 'c', 3..) => Text::Weekday,
        ('a', 1) => Text::HalfOfDay,
        ('B', 1 | 4 | 5) => Text::PeriodOfDay,
        _ => return None,
    };
    Some(Item::Text(text, style))
}

fn zone_field(letter: char, count: usize) -> Option<Item> {
    let offset = |colon, short, seconds, zero| Some(Item::Offset { form: OffsetForm { colon, short, seconds }, zero });
    match (letter, count) {
        ('z', 1..=3) => Some(Item::ZoneName),
        ('Z', 1..=3) => offset(false, false, false, "+0000"),
        ('Z', 5) => offset(true, false, true, "Z"),
        ('O', 1) => Some(Item::GmtOffset { long: false }),
        ('O' | 'Z', 4) => Some(Item::GmtOffset { long: true }),
        ('X', 1) => offset(false, true, false, "Z"),
        ('X', 2 | 4) => offset(false, false, count == 4, "Z"),
        ('X', 3 | 5) => offset(true, false, count == 5, "Z"),
        ('x', 1) => offset(false, true, false, "+00"),
        ('x', 2 | 4) => offset(false, false, count == 4, "+0000"),
        ('x', 3 | 5) => offset(true, false, count == 5, "+00:00"),
        _ => None,
    }
}

/// The rest of a literal whose opening quote has been read; two quotes in it are one, and `''` alone is a quote too.
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

fn push_literal(items: &mut Vec<Item>, text: &str) {
    if let Some(Item::Literal(last)) = items.last_mut() {
        last.push_str(text);
    } else {
        items.push(Item::Literal(text.to_owned()));
    }
}

impl Item {
    fn format(&self, at: &DateTime<Tz>, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = match *self {
            Item::Literal(ref text) => out.write_str(text),
            Item::Number { field, width } => write!(out, "{:0width$}", field.of(at)),
            Item::TwoDigits(field) => write!(out, "{:02}", field.of(at) % 100),
            Item::Text(text, style) => out.write_str(text.of(at, style)),
            Item::Fraction(digits) => write!(out, "{:0digits$}", 0),
            Item::Offset { form, zero } => form.format(offset_seconds(at), zero, out),
            Item::GmtOffset { long } => format_gmt(offset_seconds(at), long, out),
            Item::ZoneName => match at.offset().abbreviation() {
                Some(name) => out.write_str(name),
                None => OffsetForm { colon: false, short: true, seconds: false }.format(offset_seconds(at), "GMT", out),
            },
        };
    }

    fn chars_max(&self) -> usize {
        match *self {
            Item::Literal(ref text) => text.chars().count(),
            Item::Number { field, width } => width.max(field.digits_max()),
            Item::TwoDigits(_) => 2,
            Item::Text(text, style) => text.chars_max(style),
            Item::Fraction(digits) => digits,
            // +hh:mm:ss, GMT+hh:mm:ss
            Item::Offset { .. } => 9,
            Item::GmtOffset { .. } => 12,
            Item::ZoneName => ZONE_CHARS_MAX,
        }
    }
}

impl Number {
    fn of(self, at: &DateTime<Tz>) -> i64 {
        let seconds = i64::from(at.num_seconds_from_midnight());
        let hour = at.hour();
        i64::from(match self {
            Number::Year => return i64::from(at.year()),
            Number::WeekYear => return i64::from(at.year()) + i64::from(in_first_week_of_next_year(at)),
            Number::ModifiedJulianDay => return modified_julian_day(at),
            Number::MilliOfDay => return seconds * 1_000,
            Number::NanoOfDay => return seconds * 1_000_000_000,
            Number::NanoOfSecond => 0,
            Number::Month => at.month(),
            Number::Day => at.day(),
            Number::DayOfYear => at.ordinal(),
            Number::Hour => hour,
            Number::ClockHour => clock_hour(hour, 24),
            Number::HourOfHalf => hour % 12,
            Number::ClockHourOfHalf => clock_hour(hour, 12),
            Number::Minute => at.minute(),
            Number::Second => at.second(),
            Number::Quarter => at.month0() / 3 + 1,
            Number::WeekOfYear if in_first_week_of_next_year(at) => 1,
            Number::WeekOfYear => week(at.ordinal(), at),
            Number::WeekOfMonth => week(at.day(), at),
            Number::LocalWeekday => at.weekday().num_days_from_sunday() + 1,
            Number::AlignedWeekday => at.day0() % 7 + 1,
        })
    }

    fn digits_max(self) -> usize {
        match self {
            Number::NanoOfDay => 14,
            Number::MilliOfDay => 8,
            Number::ModifiedJulianDay => 7,
            Number::Year | Number::WeekYear => 4,
            Number::DayOfYear => 3,
            Number::NanoOfSecond
            | Number::Quarter
            | Number::WeekOfMonth
            | Number::LocalWeekday
            | Number::AlignedWeekday => 1,
            _ => 2,
        }
    }
}

/// 12 or 24 where the hour is 0.
fn clock_hour(hour: u32, hours: u32) -> u32 {
    if hour.is_multiple_of(hours) { hours } else { hour % hours }
}

/// The week that holds day number `day` (of the month or the year, from 1), weeks beginning on Sunday.
fn week(day: u32, at: &DateTime<Tz>) -> u32 {
    // Days of the first week that lie before day 1.
    let before = (at.weekday().num_days_from_sunday() + 7 - (day - 1) % 7) % 7;
    (before + day - 1) / 7 + 1
}

/// Whether the next 1 January lies in the same week.
fn in_first_week_of_next_year(at: &DateTime<Tz>) -> bool {
    let to_saturday = 6 - at.weekday().num_days_from_sunday();
    at.month() == 12 && at.day() + to_saturday > 31
}

fn modified_julian_day(at: &DateTime<Tz>) -> i64 {
    let epoch = NaiveDate::from_ymd_opt(1858, 11, 17).expect("the first modified Julian day is a date");
    at.date_naive().signed_duration_since(epoch).num_days()
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const QUARTERS: [[&str; 4]; 3] =
    [["Q1", "Q2", "Q3", "Q4"], ["1st quarter", "2nd quarter", "3rd quarter", "4th quarter"], ["1", "2", "3", "4"]];

impl Text {
    fn of(self, at: &DateTime<Tz>, style: Style) -> &'static str {
        match self {
            Text::Era => ["AD", "Anno Domini", "A"][style as usize],
            Text::Month => abbreviated(MONTHS[at.month0() as usize], style),
            Text::Quarter => QUARTERS[style as usize][at.month0() as usize / 3],
            Text::Weekday => abbreviated(WEEKDAYS[at.weekday().num_days_from_sunday() as usize], style),
            Text::HalfOfDay => ["AM", "PM"][at.hour() as usize / 12],
            Text::PeriodOfDay => period_of_day(at, style),
        }
    }

    fn chars_max(self, style: Style) -> usize {
        match (self, style) {
            (Text::PeriodOfDay, _) => "in the afternoon".len(),
            (Text::Era | Text::Quarter, Style::Full) => 11,
            (Text::Month | Text::Weekday, Style::Full) => 9,
            (Text::HalfOfDay, _) | (Text::Era | Text::Quarter, Style::Short) => 2,
            (Text::Month | Text::Weekday, Style::Short) => 3,
            (_, Style::Narrow) => 1,
        }
    }
}

fn abbreviated(name: &'static str, style: Style) -> &'static str {
    match style {
        Style::Short => &name[..3],
        Style::Full => name,
        Style::Narrow => &name[..1],
    }
}

/// The day periods of English in the Unicode CLDR.
fn period_of_day(at: &DateTime<Tz>, style: Style) -> &'static str {
    match (at.hour(), at.minute(), style) {
        (0, 0, Style::Narrow) => "mi",
        (0, 0, _) => "midnight",
        (12, 0, Style::Narrow) => "n",
        (12, 0, _) => "noon",
        (6..12, ..) => "in the morning",
        (12..18, ..) => "in the afternoon",
        (18..21, ..) => "in the evening",
        _ => "at night",
    }
}

fn offset_seconds(at: &DateTime<Tz>) -> i32 {
    at.offset().fix().local_minus_utc()
}

impl OffsetForm {
    fn format(self, offset: i32, zero: &str, out: &mut String) -> std::fmt::Result {
        let (sign, hours, minutes, seconds) = split_offset(offset);
        if hours == 0 && minutes == 0 && (seconds == 0 || !self.seconds) {
            return out.write_str(zero);
        }
        let colon = if self.colon { ":" } else { "" };
        write!(out, "{sign}{hours:02}")?;
        if !self.short || minutes != 0 {
            write!(out, "{colon}{minutes:02}")?;
        }
        if self.seconds && seconds != 0 {
            write!(out, "{colon}{seconds:02}")?;
        }
        Ok(())
    }
}

fn format_gmt(offset: i32, long: bool, out: &mut String) -> std::fmt::Result {
    let (sign, hours, minutes, seconds) = split_offset(offset);
    out.write_str("GMT")?;
    if offset == 0 {
        return Ok(());
    }
    let width = if long { 2 } else { 1 };
    write!(out, "{sign}{hours:0width$}")?;
    if long || minutes != 0 || seconds != 0 {
        write!(out, ":{minutes:02}")?;
    }
    if seconds != 0 {
        write!(out, ":{seconds:02}")?;
    }
    Ok(())
}

fn split_offset(offset: i32) -> (char, u32, u32, u32) {
    let size = offset.unsigned_abs();
    (if offset < 0 { '-' } else { '+' }, size / 3_600, size / 60 % 60, size % 60)
}
