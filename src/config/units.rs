//! Sizes (`"5 MiB"`), durations (`"1h30m"`), shares (`"80%"`) and places to begin (`"latest"`) as people write them.

use std::fmt::Write as _;
use std::time::Duration;

use chrono::DateTime;

use super::{DiskBudget, StartAt};
use crate::error::{Error, Result};

/// Units of sizes: by 1,000 and by 1,024, as their names say.
const SIZES: &[(&str, u64)] = &[
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

/// Units of durations in milliseconds, from long to short: the order in which they may follow one another.
const DURATIONS: &[(&str, u64)] = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Digits after the point of a size: more than a byte of a tebibyte has.
const FRACTION_DIGITS_MAX: usize = 12;

/// Bytes: `"5 MiB"`, `"64KB"`, `"1.5 GiB"`, or a bare number of bytes. Units are read without regard to case; parts of
/// a byte are cut.
pub fn size(text: &str) -> Result<u64> {
    let fault = || Error::invalid(format!("{text:?} is not a size: write a number and a unit, such as \"5 MiB\""));
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit = match unit.trim() {
        "" if unit.is_empty() && !number.contains('.') => 1,
        name => SIZES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).ok_or_else(fault)?.1,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > FRACTION_DIGITS_MAX || fraction.contains('.') {
        return Err(fault());
    }
    let too_much = || Error::invalid(format!("{text:?} is more bytes than can be counted"));
    let whole = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(unit)).ok_or_else(too_much)?;
    let parts = fraction.parse::<u128>().map_err(|_| fault())? * u128::from(unit) / 10u128.pow(fraction.len() as u32);
    // Less than one unit, so it fits.
    whole.checked_add(parts as u64).ok_or_else(too_much)
}

/// A duration: `"300s"`, `"5m"`, `"1h30m"`, `"24h"`, `"7d"`, `"500ms"`; units from long to short, each once.
pub fn duration(text: &str) -> Result<Duration> {
    let fault = || {
        Error::invalid(format!("{text:?} is not a duration: write a number and a unit, such as \"300s\" or \"1h30m\""))
    };
    let mut units = DURATIONS;
    let mut rest = text;
    let mut total_ms = 0u64;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(fault)?);
        let tail = tail.trim_start();
        let (name, tail) = tail.split_at(tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len()));
        let index = units.iter().position(|(known, _)| *known == name).ok_or_else(fault)?;
        let number = number.parse::<u64>().map_err(|_| fault())?;
        total_ms = number.checked_mul(units[index].1).and_then(|ms| total_ms.checked_add(ms)).ok_or_else(fault)?;
        units = &units[index + 1..];
        rest = tail.trim_start();
    }
    if units.len() == DURATIONS.len() { Err(fault()) } else { Ok(Duration::from_millis(total_ms)) }
}

/// A share of the disk: `"80%"`, or a size.
pub fn disk_budget(text: &str) -> Result<DiskBudget> {
    let Some(number) = text.strip_suffix('%') else {
        return size(text).map(DiskBudget::Bytes);
    };
    match number.trim_end().parse::<u8>() {
        Ok(percent @ 1..=99) => Ok(DiskBudget::Percent(percent)),
        _ => Err(Error::invalid(format!("{text:?} is not a share of the disk: write \"1%\" to \"99%\", or a size"))),
    }
}

/// Where reading begins: `"horizon"`, `"latest"`, or a time as RFC 3339 writes it, not before 1970.
pub fn start_at(text: &str) -> Result<StartAt> {
    let time = || u64::try_from(DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis()).ok();
    match text {
        "horizon" => Ok(StartAt::Horizon),
        "latest" => Ok(StartAt::Latest),
        _ => time().map(StartAt::Time).ok_or_else(|| {
            let shown: String = text.chars().take(64).collect();
            Error::invalid(format!(
                "{shown:?} is no place to begin: write \"horizon\", \"latest\" or a time such as \"2026-01-02T03:04:05Z\""
            ))
        }),
    }
}

/// `bytes` as a person would write it: `5 MiB`; exact where a unit fits, so that it reads back as the same number.
pub fn show_size(bytes: u64) -> String {
    let unit = SIZES
        .iter()
        .rev()
        .find(|(name, unit)| (name.ends_with("ib") || *unit == 1) && bytes >= *unit && bytes.is_multiple_of(*unit));
    match unit {
        Some((name, unit)) if *unit > 1 => format!("{} {}iB", bytes / unit, name[..1].to_ascii_uppercase()),
        _ => format!("{bytes} B"),
    }
}

/// `duration` as a person would write it: `300s`, `1h30m`, `24h`, `7d`; reads back as the same, down to milliseconds.
pub fn show_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    // Seconds up to an hour: that is how Firehose's intervals are known.
    if rest.is_multiple_of(1_000) && rest < 3_600_000 {
        return format!("{}s", rest / 1_000);
    }
    let mut out = String::new();
    let units = if rest < 172_800_000 { &DURATIONS[1..] } else { DURATIONS };
    for (name, unit) in units {
        if rest >= *unit {
            let _ = write!(out, "{}{name}", rest / unit);
            rest %= unit;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1_048_576),
            ("5 MiB", 5 << 20),
            ("5MiB", 5 << 20),
            ("5 mib", 5 << 20),
            ("64KB", 64_000),
            ("64 KiB", 65_536),
            ("1.5 GiB", 3 << 29),
            ("0.5 B", 0),
            ("10 TB", 10_000_000_000_000),
        ] {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
        }
        for text in
            ["", " ", "MiB", "5 M", "5 MiB ?", "-5 MiB", "1.5", "1.2.3 MB", ".5 MiB", "5. MiB", "5 ", "1e3 B", "५ MiB"]
        {
            assert!(size(text).unwrap_err().message().contains("is not a size"), "{text}");
        }
        for text in ["18446744073709551616", "99999999 TiB"] {
            assert!(size(text).unwrap_err().message().contains("more bytes than can be counted"), "{text}");
        }
    }

    #[test]
    fn durations_have_units_from_long_to_short() {
        for (text, ms) in [
            ("0s", 0),
            ("300s", 300_000),
            ("300 s", 300_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("24h", 86_400_000),
            ("7d", 604_800_000),
            ("1s500ms", 1_500),
        ] {
            assert_eq!(duration(text).unwrap(), Duration::from_millis(ms), "{text}");
        }
        for text in [
            "",
            "300",
            "s",
            "5 minutes",
            "30m1h",
            "1h1h",
            "-5s",
            "1.5h",
            "5s!",
            "99999999999999999999s",
            "9999999999999999d",
        ] {
            assert!(duration(text).unwrap_err().message().contains("is not a duration"), "{text}");
        }
    }

    #[test]
    fn budgets_are_shares_or_sizes() {
        assert_eq!(disk_budget("80%").unwrap(), DiskBudget::Percent(80));
        assert_eq!(disk_budget("1 GiB").unwrap(), DiskBudget::Bytes(1 << 30));
        for text in ["0%", "100%", "%", "-1%", "80.5%", "300%"] {
            assert!(disk_budget(text).unwrap_err().message().contains("not a share of the disk"), "{text}");
        }
    }

    #[test]
    fn reading_begins_at_a_word_or_a_time() {
        for (text, start) in [
            ("horizon", StartAt::Horizon),
            ("latest", StartAt::Latest),
            ("1970-01-01T00:00:01Z", StartAt::Time(1_000)),
            ("2026-01-02T03:04:05.678+01:00", StartAt::Time(1_767_319_445_678)),
        ] {
            assert_eq!(start_at(text).unwrap(), start, "{text}");
        }
        for text in ["", "Latest", "2026-01-02", "2026-01-02T03:04:05", "1969-12-31T23:59:59Z", "1767319445"] {
            assert!(start_at(text).unwrap_err().message().contains("no place to begin"), "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_short() {
        assert_eq!(show_size(5 << 20), "5 MiB");
        assert_eq!(show_size(1_500), "1500 B");
        assert_eq!(show_duration(Duration::from_mins(5)), "300s");
        assert_eq!(show_duration(Duration::from_mins(90)), "1h30m");
    }

    proptest! {
        #[test]
        fn nothing_panics(text in any::<String>()) {
            let _ = (size(&text), duration(&text), disk_budget(&text), start_at(&text));
        }

        #[test]
        fn what_is_shown_reads_back(bytes in any::<u64>(), ms in 0..u64::MAX / 2) {
            prop_assert_eq!(size(&show_size(bytes)).unwrap(), bytes);
            prop_assert_eq!(duration(&show_duration(Duration::from_millis(ms))).unwrap(), Duration::from_millis(ms));
        }
    }
}
