//! Numbers in decimal digits, many of them for each record of an answer: eight digits at once.

const EIGHT_DIGITS: u64 = 100_000_000;

/// The last `N` digits of `number`, leading zeros included; at most 24.
#[inline]
pub(super) fn digits<const N: usize>(mut number: u64) -> [u8; N] {
    let mut digits = [[0; 8]; 3];
    for eight in digits.iter_mut().rev() {
        *eight = eight_digits(number % EIGHT_DIGITS);
        number /= EIGHT_DIGITS;
    }
    *digits.as_flattened().last_chunk().expect("nobody asks for more than 24 digits")
}

/// The digits of a number below 10^8. Each step halves all parts of it at once, the higher half to the lower byte: two
/// of four digits, four of two, eight of one. Divisions by 100 and by 10 are multiplications that are exact for numbers
/// below 10,000 and below 100.
fn eight_digits(number: u64) -> [u8; 8] {
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | (fours - 100 * hundreds) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | (twos - 10 * tens) << 8;
    (ones | 0x3030_3030_3030_3030).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written<const N: usize>(number: u64) -> String {
        String::from_utf8(digits::<N>(number).to_vec()).unwrap()
    }

    #[test]
    fn leading_zeros_stand_and_what_has_no_place_is_cut() {
        assert_eq!([written::<0>(0), written::<1>(7), written::<3>(7)], ["", "7", "007"]);
        assert_eq!([written::<12>(71), written::<8>(123_456_789)], ["000000000071", "23456789"]);
        assert_eq!(written::<24>(u64::MAX), "000018446744073709551615");
        // Every pair of four digits, so every division by 100 and by 10.
        for four in 0..10_000 {
            let number = four * 10_000 + (9_999 - four);
            assert_eq!(written::<8>(number), format!("{number:08}"));
        }
    }

    proptest! {
        #[test]
        fn digits_are_those_of_the_formatter(number: u64) {
            prop_assert_eq!(written::<20>(number), format!("{number:020}"));
            prop_assert_eq!(written::<19>(number / 10), format!("{:019}", number / 10));
        }
    }
}
