//! What a person or a script sees: lines on standard output, complaints and progress on standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::clock::{Clock, Instant};

/// How often progress is told where there is no terminal to draw on.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// A line on standard output. A reader that went away (`| head`) is no fault of ours.
pub(super) fn say(line: impl Display) {
    _ = writeln!(io::stdout().lock(), "{line}");
}

/// A line on standard error, under our name.
pub(super) fn complain(line: impl Display) {
    _ = writeln!(io::stderr().lock(), "standpipe: {line}");
}

/// Text from elsewhere, made fit for a terminal: control characters could move its cursor or worse.
pub(super) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// `1.5 MiB`: three digits or so, in the unit that fits.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// `12,345,678`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Rows of texts in columns, the first row their heads.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(column) {
                Some(known) => *known = width.max(*known),
                None => widths.push(width),
            }
        }
    }
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// `3 s`, `4 min`, `2 h`, `5 d`: one unit, rounded down.
pub(super) fn age(seconds: f64) -> String {
    match seconds.max(0.0) {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", (s / 60.0).floor()),
        s if s < 172_800.0 => format!("{:.0} h", (s / 3_600.0).floor()),
        s => format!("{:.0} d", (s / 86_400.0).floor()),
    }
}

/// Progress: a bar on a terminal, a plain line every few seconds elsewhere.
pub(super) struct Progress {
    bar: ProgressBar,
    plain: Option<(Clock, Instant)>,
}

impl Progress {
    /// Towards `total` (of bytes or of whatever the messages say), or with no known end.
    pub(super) fn new(clock: &Clock, total: Option<u64>) -> Self {
        if !io::stderr().is_terminal() {
            return Progress { bar: ProgressBar::hidden(), plain: Some((clock.clone(), clock.instant())) };
        }
        let (bar, template) = match total {
            Some(total) => (ProgressBar::new(total), "{bar:32} {percent:>3} %  {msg}"),
            None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
        };
        let style = ProgressStyle::with_template(template).expect("the template above is one of indicatif's");
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress { bar, plain: None }
    }

    /// Where it stands now, and how to say it.
    pub(super) fn at(&mut self, position: u64, message: impl FnOnce() -> String) {
        if let Some((clock, told)) = &mut self.plain {
            if told.elapsed() >= PLAIN_EVERY {
                *told = clock.instant();
                complain(message());
            }
            return;
        }
        self.bar.set_position(position);
        self.bar.set_message(message());
    }

    /// Takes the bar away, so that what follows stands alone.
    pub(super) fn done(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (5 << 20, "5.00 MiB"), (123 << 30, "123 GiB")]
        {
            assert_eq!(size(bytes), text);
        }
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(count(number), text);
        }
        for (seconds, text) in
            [(0.04, "0.0 s"), (11.0, "11 s"), (119.0, "119 s"), (3_599.0, "59 min"), (86_400.0, "24 h")]
        {
            assert_eq!(age(seconds), text);
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_widest() {
        let rows = [["A", "B", "C"], ["größe", "", "c d"], ["x", "yy", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(columns(&rows), "A      B   C\ngröße      c d\nx      yy\n");
        assert_eq!(columns(&[]), "");
    }

    #[test]
    fn nothing_from_elsewhere_steers_the_terminal() {
        assert_eq!(harmless("a\x1b[2Jb\r\nc"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c");
    }
}
