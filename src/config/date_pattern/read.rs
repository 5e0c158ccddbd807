//! Reads times: as RFC 3339 has them, as numbers since 1970, or as a date pattern writes them.
//!
//! A pattern reads what it would print: a field of one letter takes one or two digits, one of several exactly so many;
//! names of months and halves of days are those that are printed; weekdays are passed over. A pattern must say the year, the
//! month and the day, or the year and the day of the year.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, TimeDelta, TimeZone};
use chrono_tz::Tz;

use super::{DatePattern, Item, MONTHS, Number, Style, Text, WEEKDAYS, abbreviated};
use crate::error::{Error, Result};

/// How times are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum TimeFormat {
    Rfc3339,
    EpochSeconds,
    EpochMillis,
    Pattern(DatePattern),
}

impl TimeFormat {
    /// Reads the name of a format, or a pattern.
    pub(in crate::config) fn parse(text: &str) -> Result<Self> {
        match text {
            "rfc3339" => return Ok(TimeFormat::Rfc3339),
            "epoch-seconds" => return Ok(TimeFormat::EpochSeconds),
            "epoch-millis" => return Ok(TimeFormat::EpochMillis),
            _ => {}
        }
        let pattern = DatePattern::parse(text).ok_or_else(|| {
            Error::invalid("it must be \"rfc3339\", \"epoch-seconds\", \"epoch-millis\" or a pattern such as \"yyyy-MM-dd HH:mm:ss\"")
        })?;
        pattern.check_readable()?;
        Ok(TimeFormat::Pattern(pattern))
    }

    /// The time that `text` says, milliseconds since 1970; nothing for one before that, and for what is no such time.
    pub(in crate::config) fn read(&self, text: &str, is_number: bool, zone: Tz) -> Option<u64> {
        match self {
            TimeFormat::EpochSeconds => epoch_ms(text, 3),
            TimeFormat::EpochMillis => epoch_ms(text, 0),
            TimeFormat::Rfc3339 if is_number => None,
            TimeFormat::Rfc3339 => match DateTime::parse_from_rfc3339(text) {
                Ok(at) => u64::try_from(at.timestamp_millis()).ok(),
                Err(_) => local_ms(NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?, zone),
            },
            TimeFormat::Pattern(pattern) => pattern.read(text)?.ms(zone),
        }
    }
}

/// A number with perhaps a fraction, whose unit is so many decimals from milliseconds.
fn epoch_ms(text: &str, decimals: usize) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 15 || !is_digits(whole) || !is_digits(fraction) || text.ends_with('.') {
        return None;
    }
    let shown: String = fraction.chars().chain(std::iter::repeat('0')).take(decimals).collect();
    format!("{whole}{shown}").parse().ok()
}

/// A time that says no zone. Where a clock was set forward over it, it is an hour later; where set back, the first of two.
fn local_ms(at: NaiveDateTime, zone: Tz) -> Option<u64> {
    let later = || zone.from_local_datetime(&at.checked_add_signed(TimeDelta::hours(1))?).earliest();
    let at = zone.from_local_datetime(&at).earliest().or_else(later)?;
    u64::try_from(at.timestamp_millis()).ok()
}

/// What was read of a time.
#[derive(Default)]
struct Read {
    year: Option<i64>,
    month: Option<u32>,
    day: Option<u32>,
    day_of_year: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    nanos: u32,
    is_afternoon: bool,
    offset: Option<i32>,
}

impl Read {
    fn ms(self, zone: Tz) -> Option<u64> {
        let year = i32::try_from(self.year?).ok()?;
        let date = match self.day_of_year {
            Some(day) => NaiveDate::from_yo_opt(year, day)?,
            None => NaiveDate::from_ymd_opt(year, self.month?, self.day?)?,
        };
        let hour = self.hour + if self.is_afternoon { 12 } else { 0 };
        let at = date.and_hms_nano_opt(hour, self.minute, self.second, self.nanos)?;
        match self.offset {
            Some(offset) => {
                let at = FixedOffset::east_opt(offset)?.from_local_datetime(&at).single()?;
                u64::try_from(at.timestamp_millis()).ok()
            }
            None => local_ms(at, zone),
        }
    }

    fn set(&mut self, field: Number, value: u32) -> Option<()> {
        match field {
            Number::Year => self.year = Some(i64::from(value)),
            Number::Month => self.month = Some(value),
            Number::Day => self.day = Some(value),
            Number::DayOfYear => self.day_of_year = Some(value),
            Number::Hour => self.hour = value,
            Number::ClockHour if value <= 24 => self.hour = value % 24,
            Number::HourOfHalf if value < 12 => self.hour = value,
            Number::ClockHourOfHalf if (1..=12).contains(&value) => self.hour = value % 12,
            Number::Minute => self.minute = value,
            Number::Second => self.second = value,
            _ => return None,
        }
        Some(())
    }
}

impl DatePattern {
    /// Whether times can be read by it.
    fn check_readable(&self) -> Result<()> {
        let has = |wanted: &dyn Fn(&Item) -> bool| self.items.iter().any(wanted);
        let number = |field: Number| has(&move |item| matches!(item, Item::Number { field: is, .. } if *is == field));
        let year = number(Number::Year) || has(&|item| matches!(item, Item::TwoDigits(Number::Year)));
        let month = number(Number::Month) || has(&|item| matches!(item, Item::Text(Text::Month, _)));
        if !(year && (month && number(Number::Day) || number(Number::DayOfYear))) {
            return Err(Error::invalid("the pattern must have the year, the month and the day"));
        }
        let in_halves = number(Number::HourOfHalf) || number(Number::ClockHourOfHalf);
        if in_halves != has(&|item| matches!(item, Item::Text(Text::HalfOfDay, _))) {
            return Err(Error::invalid("h and K need a, and a needs h or K"));
        }
        if self.items.iter().all(is_readable) {
            return Ok(());
        }
        Err(Error::invalid("the pattern has a field that can be printed and not read"))
    }

    /// Takes `text` apart, all of it.
    fn read(&self, text: &str) -> Option<Read> {
        let (mut read, mut rest) = (Read::default(), text);
        for item in &self.items {
            rest = item.read(rest, &mut read)?;
        }
        rest.is_empty().then_some(read)
    }
}

fn is_readable(item: &Item) -> bool {
    match item {
        Item::Literal(_)
        | Item::TwoDigits(Number::Year)
        | Item::Fraction(_)
        | Item::Offset { .. }
        | Item::Text(Text::HalfOfDay, _) => true,
        Item::Number { field, width } => match field {
            Number::Year => *width == 4 || *width == 1,
            Number::Month
            | Number::Day
            | Number::DayOfYear
            | Number::Hour
            | Number::ClockHour
            | Number::HourOfHalf
            | Number::ClockHourOfHalf
            | Number::Minute
            | Number::Second => true,
            _ => false,
        },
        Item::Text(Text::Month | Text::Weekday, style) => *style != Style::Narrow,
        _ => false,
    }
}

impl Item {
    /// Takes what it would have printed off the front of `text`.
    fn read<'t>(&self, text: &'t str, read: &mut Read) -> Option<&'t str> {
        match self {
            Item::Literal(literal) => text.strip_prefix(literal.as_str()),
            Item::Number { field, width } => {
                let most = match (field, width) {
                    (Number::Year, _) => 4,
                    (Number::DayOfYear, _) => 3,
                    _ => 2,
                };
                let (value, rest) = digits(text, if *width == 1 { 1 } else { *width }, most.max(*width))?;
                read.set(*field, value)?;
                Some(rest)
            }
            Item::TwoDigits(_) => {
                let (value, rest) = digits(text, 2, 2)?;
                read.year = Some(2_000 + i64::from(value));
                Some(rest)
            }
            Item::Fraction(wanted) => {
                let (value, rest) = digits(text, *wanted, *wanted)?;
                read.nanos = value * 10u32.pow(9 - *wanted as u32);
                Some(rest)
            }
            Item::Text(Text::Month, style) => {
                let (month, rest) = name(text, MONTHS, *style)?;
                read.month = Some(month as u32 + 1);
                Some(rest)
            }
            Item::Text(Text::Weekday, style) => name(text, WEEKDAYS, *style).map(|(_, rest)| rest),
            Item::Text(Text::HalfOfDay, _) => {
                read.is_afternoon = text.starts_with("PM");
                text.strip_prefix("AM").or_else(|| text.strip_prefix("PM"))
            }
            Item::Offset { .. } => {
                let (offset, rest) = offset(text)?;
                read.offset = Some(offset);
                Some(rest)
            }
            _ => None,
        }
    }
}

/// `least` to `most` digits.
fn digits(text: &str, least: usize, most: usize) -> Option<(u32, &str)> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(count);
    if count < least { None } else { Some((digits.parse().ok()?, rest)) }
}

fn name<'t, const N: usize>(text: &'t str, names: [&'static str; N], style: Style) -> Option<(usize, &'t str)> {
    names.into_iter().enumerate().find_map(|(at, name)| Some((at, text.strip_prefix(abbreviated(name, style))?)))
}

/// `Z`, `+01`, `+0130`, `+01:30`, with seconds or without: seconds east of Greenwich.
fn offset(text: &str) -> Option<(i32, &str)> {
    if let Some(rest) = text.strip_prefix('Z') {
        return Some((0, rest));
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (mut seconds, mut rest) = digits(&text[1..], 2, 2)?;
    seconds *= 3_600;
    for unit in [60, 1] {
        let tail = rest.strip_prefix(':').unwrap_or(rest);
        let Some((value, after)) = digits(tail, 2, 2) else { break };
        seconds += value * unit;
        rest = after;
    }
    Some((sign * i32::try_from(seconds).ok()?, rest))
}
