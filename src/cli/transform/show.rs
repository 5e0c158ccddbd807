//! A report as a table for a person.

use std::fmt::Write as _;

use super::super::terminal::{count, harmless, size};
use super::fate::{Became, Cost, Fate, Report, Row, Shown, Total};

/// Characters of one text in the table.
const CHARS_MAX: usize = 100;

/// A line for each record, one more for each further row, and the sums.
pub(super) fn table(report: &Report) -> String {
    let mut out = format!("{:>6}  {:<9} {:>12} {:>10}  {}\n", "record", "result", "fuel", "time", "what becomes of it");
    for fate in &report.records {
        record(fate, &mut out);
    }
    let _ = writeln!(out, "\n{}: {}", harmless(&report.plugin), sums(&report.total));
    out
}

// Writing to a String cannot fail.
fn record(fate: &Fate, out: &mut String) {
    let result = match fate.result {
        Became::Delivered => "delivered",
        Became::Dropped => "dropped",
        Became::Failed => "failed",
    };
    let (fuel, time) =
        fate.cost.map_or_else(Default::default, |Cost { fuel, microseconds }| (count(fuel), duration(microseconds)));
    let _ = write!(out, "{:>6}  {result:<9} {fuel:>12} {time:>10}  ", fate.record);
    match fate.result {
        Became::Delivered => {
            for (number, row) in fate.rows.iter().enumerate() {
                let margin = if number == 0 { 0 } else { 43 };
                let _ = writeln!(out, "{:margin$}{}", "", row_line(row));
            }
        }
        Became::Dropped => {
            let _ = writeln!(out, "{}", short(&fate.input));
        }
        Became::Failed => {
            let code = fate.code.as_deref().unwrap_or_default();
            let message = harmless(fate.message.as_deref().unwrap_or_default());
            let _ = writeln!(out, "{code}: {message}\n{:43}{}", "", short(&fate.input));
        }
    }
}

fn row_line(row: &Row) -> String {
    let mut line = short(&row.data);
    for (name, value) in &row.keys {
        let _ = write!(line, "  [{}={}]", harmless(name), harmless(value));
    }
    line
}

/// The beginning of a text, fit for a terminal.
fn short(shown: &Shown) -> String {
    let (text, mark) = match shown {
        Shown::Text(text) => (text, ""),
        Shown::Base64(text) => (text, "base64 "),
    };
    let cut: String = text.chars().take(CHARS_MAX).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("{mark}{}{more}", harmless(&cut))
}

fn sums(total: &Total) -> String {
    let numbers = |number: usize| count(number as u64);
    let mut said = format!(
        "{} records of {} became {} rows of {}, {} dropped, {} failed; {}",
        numbers(total.records),
        size(total.bytes as u64),
        numbers(total.rows),
        size(total.row_bytes as u64),
        numbers(total.dropped),
        numbers(total.failed),
        duration(total.microseconds),
    );
    if let Some(fuel) = total.fuel {
        let each = fuel / (total.bytes as u64).max(1);
        let _ = write!(said, ", fuel {} ({} a byte)", count(fuel), count(each));
    }
    if let Some(batches) = total.batches {
        let _ = write!(said, ", {} {}", count(batches), if batches == 1 { "batch" } else { "batches" });
    }
    if let Some(memory) = total.memory_bytes {
        let _ = write!(said, ", memory {}", size(memory as u64));
    }
    said
}

fn duration(microseconds: u64) -> String {
    match microseconds {
        0..1_000 => format!("{microseconds} µs"),
        1_000..1_000_000 => format!("{:.1} ms", microseconds as f64 / 1e3),
        _ => format!("{:.2} s", microseconds as f64 / 1e6),
    }
}
