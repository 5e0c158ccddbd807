//! Sequence numbers, laid out as AWS's are (version 2): decimal digits of a number of 186 bits.
//!
//! Hexadecimal digits from the left: `2` | 9: second of the shard's creation | 1: shard & 0xf | 16: index | 2: `00` |
//! 9: second of the record's arrival | 8: shard | `2`. The index of the record at position `p` is `p + 1`; 0 is the
//! shard's start, `7fffffffffffffff` its end.

use std::cmp::Ordering;

use super::decimal::digits;
use crate::error::{Error, Result};

/// The index of a shard's end.
pub(super) const INDEX_END: u64 = 0x7fff_ffff_ffff_ffff;
/// Every number has so many decimal digits: the first hexadecimal one is always `2`.
const DIGITS: usize = 56;
const SECONDS_MAX: u64 = (1 << 36) - 1;
const TEN_TO_19: u128 = 10_000_000_000_000_000_000;
/// 2^128 / 10^19, without the highest of its 65 bits.
const INVERSE: u64 = (u128::MAX / TEN_TO_19 - (1 << 64)) as u64;

/// One sequence number; ordered as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceNumber {
    /// When its shard was made, seconds since 1970; at most 36 bits of it are kept.
    pub created_s: u64,
    /// See the module.
    pub index: u64,
    /// When the record arrived, seconds since 1970; at most 36 bits of it are kept.
    pub arrived_s: u64,
    /// The shard.
    pub shard: u32,
}

impl SequenceNumber {
    /// Reads one from decimal digits.
    ///
    /// # Errors
    /// `Invalid` for what is none of ours.
    pub fn parse(text: &str) -> Result<Self> {
        let none_of_ours = || Error::invalid("it is not a sequence number of a stream of this service");
        from_decimal(text.as_bytes()).and_then(|(high, low)| Self::of_bits(high, low)).ok_or_else(none_of_ours)
    }

    /// Appends its decimal digits; called for each record of an answer, so it is fast.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (high, low) = self.bits();
        // Long division by 10^19, the largest power of ten in 64 bits: the quotient of the top 64 bits is 0.
        let (upper, rest) = divide(high, (low >> 64) as u64);
        let (lower, last) = divide(rest, low as u64);
        let (first, middle) = divide(upper, lower);
        let mut all = [0; DIGITS];
        all[..18].copy_from_slice(&digits::<18>(first));
        all[18..37].copy_from_slice(&digits::<19>(middle));
        all[37..].copy_from_slice(&digits::<19>(last));
        out.extend_from_slice(&all);
    }

    /// The record's position in its shard; none for a shard's start or end.
    pub fn position(&self) -> Option<u64> {
        if self.index == INDEX_END { None } else { self.index.checked_sub(1) }
    }

    /// The number: its upper 64 bits and its lower 128.
    fn bits(&self) -> (u64, u128) {
        let created = self.created_s.min(SECONDS_MAX);
        let high = 2 << 56 | created << 20 | u64::from(self.shard & 0xf) << 16 | self.index >> 48;
        let arrived = u128::from(self.arrived_s.min(SECONDS_MAX));
        let low = u128::from(self.index) << 80 | arrived << 36 | u128::from(self.shard) << 4 | 2;
        (high, low)
    }

    fn of_bits(high: u64, low: u128) -> Option<Self> {
        let number = SequenceNumber {
            created_s: high >> 20 & SECONDS_MAX,
            index: high << 48 | (low >> 80) as u64,
            arrived_s: (low >> 36) as u64 & SECONDS_MAX,
            shard: (low >> 4) as u32,
        };
        // Whatever the layout fixes shows when the fields are put together again.
        (number.bits() == (high, low) && number.index <= INDEX_END).then_some(number)
    }
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bits().cmp(&other.bits())
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Its decimal digits.
impl std::fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut digits = Vec::with_capacity(DIGITS);
        self.write(&mut digits);
        f.write_str(std::str::from_utf8(&digits).expect("digits are ASCII"))
    }
}

/// A number of two words, the higher one below 10^19, divided by 10^19; and the rest. What the compiler makes of a
/// division of 128 bits takes several times as long. Möller and Granlund, "Improved division by invariant integers",
/// algorithm 4.
#[inline]
fn divide(high: u64, low: u64) -> (u64, u64) {
    const DIVISOR: u64 = TEN_TO_19 as u64;
    let guess = u128::from(INVERSE) * u128::from(high) + (u128::from(high) << 64 | u128::from(low));
    let quotient = ((guess >> 64) as u64).wrapping_add(1);
    let rest = low.wrapping_sub(quotient.wrapping_mul(DIVISOR));
    // One too high in half of all cases, one too low almost never.
    let (quotient, rest) =
        if rest > guess as u64 { (quotient.wrapping_sub(1), rest.wrapping_add(DIVISOR)) } else { (quotient, rest) };
    if rest >= DIVISOR { (quotient + 1, rest - DIVISOR) } else { (quotient, rest) }
}

/// The number's upper 64 bits and lower 128; none for what has not exactly the digits of ours.
fn from_decimal(text: &[u8]) -> Option<(u64, u128)> {
    if text.len() != DIGITS || text[0] == b'0' || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let part = |digits: &[u8]| digits.iter().fold(0, |sum, digit| sum * 10 + u128::from(digit - b'0'));
    let upper = part(&text[..18]) * TEN_TO_19 + part(&text[18..37]);
    let bottom = (upper & u128::from(u64::MAX)) * TEN_TO_19 + part(&text[37..]);
    let middle = (upper >> 64) * TEN_TO_19 + (bottom >> 64);
    Some(((middle >> 64) as u64, middle << 64 | bottom & u128::from(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    fn number() -> impl Strategy<Value = SequenceNumber> {
        (0..=SECONDS_MAX, 0..=INDEX_END, 0..=SECONDS_MAX, any::<u32>())
            .prop_map(|(created_s, index, arrived_s, shard)| SequenceNumber { created_s, index, arrived_s, shard })
    }

    /// The number in hexadecimal, from its decimal digits by school arithmetic.
    fn hexadecimal(decimal: &str) -> String {
        let mut digits: Vec<u32> = decimal.bytes().map(|digit| u32::from(digit - b'0')).collect();
        let mut hex = String::new();
        while digits.iter().any(|digit| *digit != 0) {
            let mut rest = 0;
            for digit in &mut digits {
                let value = rest * 10 + *digit;
                (*digit, rest) = (value / 16, value % 16);
            }
            hex.insert(0, char::from_digit(rest, 16).unwrap());
        }
        hex
    }

    #[test]
    fn it_looks_as_awss_do() {
        // The pattern of the tests of kinesalite, for shards with one hexadecimal digit.
        for shard in [0, 7, 15] {
            let number = SequenceNumber { created_s: 1_460_000_000, index: 77, arrived_s: 1_460_000_500, shard };
            let pattern = format!("^20[0-9a-f]{{8}}{shard:x}[0-9a-f]{{16}}000[0-9a-f]{{8}}0000000{shard:x}2$");
            let hex = hexadecimal(&number.to_string());
            assert!(Regex::new(&pattern).unwrap().is_match(&hex), "{hex} is not {pattern}");
        }
    }

    #[test]
    fn a_number_of_awss_documentation_is_read_and_written() {
        let text = "49546986683135544286507457936321625675700192471156785154";
        let number = SequenceNumber::parse(text).unwrap();
        assert_eq!(number, SequenceNumber { created_s: 1_421_279_230, index: 469, arrived_s: 1_421_279_386, shard: 0 });
        assert_eq!((number.to_string().as_str(), number.position()), (text, Some(468)));
    }

    proptest! {
        #[test]
        fn divisions_are_those_of_the_compiler(high in 0..TEN_TO_19 as u64, low: u64) {
            for (high, low) in [(high, low), (TEN_TO_19 as u64 - 1, low), (high, u64::MAX), (high, 0), (0, low)] {
                let number = u128::from(high) << 64 | u128::from(low);
                let (quotient, rest) = divide(high, low);
                prop_assert_eq!((u128::from(quotient), u128::from(rest)), (number / TEN_TO_19, number % TEN_TO_19));
            }
        }

        #[test]
        fn divisions_near_a_multiple_are_those_of_the_compiler(quotient: u64, off in -2..=2_i128) {
            let Some(number) = (u128::from(quotient) * TEN_TO_19).checked_add_signed(off) else { return Ok(()) };
            prop_assume!(number >> 64 < TEN_TO_19);
            let (quotient, rest) = divide((number >> 64) as u64, number as u64);
            prop_assert_eq!((u128::from(quotient), u128::from(rest)), (number / TEN_TO_19, number % TEN_TO_19));
        }
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let ours = SequenceNumber { created_s: 1, index: 2, arrived_s: 3, shard: 4 };
        let text = ours.to_string();
        let zeros = format!("0{}", &text[1..]);
        let longer = format!("{text}0");
        let nines = "9".repeat(56);
        let enormous = "1".repeat(129);
        let with_sign = format!("+{}", &text[1..]);
        let with_letter = format!("{}x", &text[..55]);
        for wrong in ["", "0", &text[1..], &zeros, &longer, &nines, &enormous, &with_sign, &with_letter] {
            assert!(SequenceNumber::parse(wrong).is_err(), "{wrong}");
        }
        // The version, the shard's low digit, and an index past a shard's end.
        let (high, low) = ours.bits();
        for (high, low) in [(high, low ^ 1), (high ^ 1 << 16, low), (high ^ 1 << 15, low), (high, low ^ 1 << 72)] {
            assert!(SequenceNumber::of_bits(high, low).is_none());
        }
    }

    #[test]
    fn positions_begin_after_the_start_and_before_the_end() {
        let at = |index| SequenceNumber { created_s: 1, index, arrived_s: 1, shard: 0 }.position();
        assert_eq!([0, 1, 9, INDEX_END].map(at), [None, Some(0), Some(8), None]);
    }

    proptest! {
        #[test]
        fn it_is_read_back(number in number()) {
            prop_assert_eq!(SequenceNumber::parse(&number.to_string()).unwrap(), number);
        }

        #[test]
        fn the_order_is_that_of_the_numbers(a in number(), b in number()) {
            // All have the same length, so text compares as numbers do.
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn it_rises_with_positions(number in number(), further in 1..1000_u64, later in 0..=SECONDS_MAX) {
            let index = number.index.saturating_sub(further);
            let before = SequenceNumber { index, arrived_s: later, ..number };
            prop_assert!(before < number || index == number.index);
        }

        #[test]
        fn nothing_panics(text in "[0-9]{50,60}|\\PC*") {
            if let Ok(number) = SequenceNumber::parse(&text) {
                prop_assert_eq!(number.to_string(), text);
            }
        }
    }
}
