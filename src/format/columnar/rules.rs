//! How the values of records become values of columns, as one of Firehose's two deserializers does it.

use crate::config::time_pattern::{DAY_MICROS, TimePattern, days, fraction_micros, offset_seconds, time_micros};
use crate::config::{Columnar, Format, Json};
use crate::error::Result;

use crate::json::{Number, Scan};

/// Seconds since 1970 that are taken for milliseconds from here on (OpenX).
const MILLISECONDS_FROM: i128 = 1_000_000_000_000;
/// 0001-01-01T00:00:00Z.
const MICROS_MIN: i64 = -62_135_596_800_000_000;
/// 9999-12-31T23:59:59.999999Z.
const MICROS_MAX: i64 = 253_402_300_799_999_999;

/// Everything beside the schema that says what becomes of a value.
pub(super) struct Rules {
    pub(super) json: Json,
    /// Hive's formats of times, in order.
    times: Vec<TimeFormat>,
    /// ORC's encoding has no times within the last second before 1970 (ORC-763).
    pub(super) orc: bool,
}

enum TimeFormat {
    Millis,
    Pattern(TimePattern),
}

impl Rules {
    pub(super) fn new(settings: &Columnar) -> Result<Self> {
        let times = match &settings.json {
            Json::Openx { .. } => Vec::new(),
            Json::Hive { timestamp_formats } => timestamp_formats
                .iter()
                .map(|format| match format.as_str() {
                    "millis" => Ok(TimeFormat::Millis),
                    pattern => TimePattern::parse(pattern).map(TimeFormat::Pattern),
                })
                .collect::<Result<_>>()?,
        };
        Ok(Rules { json: settings.json.clone(), times, orc: matches!(settings.format, Format::Orc(_)) })
    }

    /// OpenX reads numbers and truth values in texts too, and takes whole objects for text.
    pub(super) fn lenient(&self) -> bool {
        matches!(self.json, Json::Openx { .. })
    }

    /// Microseconds since 1970 of a number.
    pub(super) fn time_of_number(&self, number: &Number<'_>) -> Option<i64> {
        let micros = match self.json {
            Json::Openx { .. } => epoch(number)?,
            Json::Hive { .. } => self.time_of_hive(std::str::from_utf8(number.text).ok()?)?,
        };
        in_years(micros)
    }

    /// Microseconds since 1970 of a text.
    pub(super) fn time_of_text(&self, text: &str) -> Option<i64> {
        let micros = match self.json {
            Json::Openx { .. } => iso_time(text).or_else(|| plain_time(text)).or_else(|| epoch(&number(text)?))?,
            Json::Hive { .. } => self.time_of_hive(text)?,
        };
        in_years(micros)
    }

    /// The first format that fits, and at last that of `java.sql.Timestamp`.
    fn time_of_hive(&self, text: &str) -> Option<i64> {
        let found = self.times.iter().find_map(|format| match format {
            TimeFormat::Millis => text.parse::<i64>().ok()?.checked_mul(1_000),
            TimeFormat::Pattern(pattern) => pattern.read(text),
        });
        found.or_else(|| plain_time(text))
    }
}

fn in_years(micros: i64) -> Option<i64> {
    (MICROS_MIN..=MICROS_MAX).contains(&micros).then_some(micros)
}

/// A number in a text, whole.
pub(super) fn number(text: &str) -> Option<Number<'_>> {
    let mut scan = Scan::new(text.as_bytes());
    let number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-').then(|| scan.number().ok())??;
    (scan.at == text.len()).then_some(number)
}

/// Seconds, or milliseconds if there are a million million of them.
fn epoch(number: &Number<'_>) -> Option<i64> {
    let micros = scaled(number, 6, Rounding::Down)?;
    let micros = if micros.abs() >= MILLISECONDS_FROM * 1_000_000 { micros.div_euclid(1_000) } else { micros };
    i64::try_from(micros).ok()
}

/// `2026-11-21T19:16:40[.5]Z`; ours: an offset in the place of `Z`.
fn iso_time(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if bytes.len() < 20 || marks.iter().any(|(at, mark)| bytes[*at] != *mark) {
        return None;
    }
    let digits = |range: std::ops::Range<usize>| {
        bytes[range].iter().try_fold(0, |all, byte| byte.is_ascii_digit().then(|| all * 10 + i64::from(byte - b'0')))
    };
    let day = days(digits(0..4)?, digits(5..7)?, digits(8..10)?)?;
    let time = time_micros(digits(11..13)?, digits(14..16)?, digits(17..19)?)?;
    let rest = text.get(19..)?;
    let zone_at = rest.find(['Z', '+', '-'])?;
    let (fraction, zone) = rest.split_at(zone_at);
    let fraction = if fraction.is_empty() { 0 } else { fraction_micros(fraction.strip_prefix('.')?)? };
    let offset = if zone == "Z" { 0 } else { offset_seconds(zone)? };
    Some(day * DAY_MICROS + time + fraction - offset * 1_000_000)
}

/// `2026-11-21 19:16:40[.123456789]`, where months, days and times of day may have one digit.
fn plain_time(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(' ')?;
    let (clock, fraction) = match time.split_once('.') {
        Some((clock, digits)) if digits.len() <= 9 => (clock, fraction_micros(digits)?),
        Some(_) => return None,
        None => (time, 0),
    };
    let mut parts = clock.split(':').map(|part| digits(part, 2));
    let mut next = || parts.next().flatten();
    let clock = time_micros(next()?, next()?, next()?)?;
    if parts.next().is_some() {
        return None;
    }
    Some(day(date)? * DAY_MICROS + clock + fraction)
}

/// Days since 1970 of `2026-11-21`; month and day may have one digit.
pub(super) fn day(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let year = parts.next().filter(|year| year.len() == 4).and_then(|year| digits(year, 4))?;
    let (month, day) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    if parts.next().is_some() { None } else { days(year, month, day) }
}

fn digits(text: &str, digits_max: usize) -> Option<i64> {
    let sound = (1..=digits_max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    sound.then(|| text.parse().ok())?
}

/// What is done with digits for which there is no place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounding {
    /// Away from zero from 5 on, as Hive does.
    HalfUp,
    /// To the lesser number.
    Down,
    /// There must be none but zeros.
    Exact,
}

/// A number times ten to `scale`, as an integer; nothing beyond 38 digits.
pub(super) fn scaled(number: &Number<'_>, scale: i64, rounding: Rounding) -> Option<i128> {
    let shift = number.exponent + scale;
    if number.exact && shift == 0 {
        let value = i128::from(number.mantissa);
        return Some(if number.negative { -value } else { value });
    }
    let digits = number.text.iter().filter(|byte| !matches!(byte, b'-' | b'.'));
    let digits = digits.take_while(|byte| byte.is_ascii_digit()).skip_while(|byte| **byte == b'0');
    let digits: Vec<u8> = digits.map(|byte| byte - b'0').collect();
    let kept = i64::try_from(digits.len()).unwrap_or(i64::MAX).saturating_add(shift);
    if digits.is_empty() {
        return Some(0);
    }
    if kept > 38 {
        return None;
    }
    let before_all = kept < 0;
    let kept = usize::try_from(kept).unwrap_or(0);
    let mut value =
        digits.iter().chain(std::iter::repeat(&0)).take(kept).fold(0i128, |all, digit| all * 10 + i128::from(*digit));
    // Where `kept` would be below 0, the first digit cut is a zero before all digits.
    let first_cut = if before_all { 0 } else { digits.get(kept).copied().unwrap_or(0) };
    let cut = digits.get(kept..).is_some_and(|cut| cut.iter().any(|digit| *digit != 0));
    match rounding {
        Rounding::Exact if cut => return None,
        Rounding::HalfUp if first_cut >= 5 => value += 1,
        Rounding::Down if cut && number.negative => value += 1,
        _ => {}
    }
    Some(if number.negative { -value } else { value })
}

/// The nearest 64-bit fraction; nothing if the number is beyond all of them.
#[inline]
pub(super) fn double(number: &Number<'_>) -> Option<f64> {
    const TENS: [f64; 23] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22,
    ];
    // Both are exact then, so one operation gives the nearest (Clinger).
    if number.exact && number.mantissa <= 1 << 53 && (-22..=22).contains(&number.exponent) {
        let (value, ten) = (number.mantissa as f64, TENS[number.exponent.unsigned_abs() as usize]);
        let value = if number.exponent < 0 { value / ten } else { value * ten };
        return Some(if number.negative { -value } else { value });
    }
    std::str::from_utf8(number.text).ok()?.parse().ok().filter(|value: &f64| value.is_finite())
}
