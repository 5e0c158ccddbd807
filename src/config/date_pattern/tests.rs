//! What Java prints, pattern by pattern: the table was made by `java.time.format.DateTimeFormatter` of OpenJDK 17.

use proptest::prelude::*;

use super::*;

fn print(pattern: &str, seconds: u64, zone: &str) -> String {
    let pattern = DatePattern::parse(pattern).unwrap_or_else(|| panic!("{pattern} is a pattern"));
    let mut out = String::new();
    pattern.format(&local_time(seconds * 1_000 + 999, zone.parse().unwrap()), &mut out);
    out
}

/// Pattern; then 2026-07-13T14:04:05 in UTC, 2024-12-28T20:30 in Saint John's, 2026-01-01T05:29:59 in Kolkata.
#[rustfmt::skip]
const PRINTED: &[(&str, &str, &str, &str)] = &[
    ("a", "PM", "PM", "AM"),
    ("c", "2", "7", "5"),
    ("ccc", "Mon", "Sat", "Thu"),
    ("cccc", "Monday", "Saturday", "Thursday"),
    ("ccccc", "M", "S", "T"),
    ("d", "13", "28", "1"),
    ("dd", "13", "28", "01"),
    ("e", "2", "7", "5"),
    ("ee", "02", "07", "05"),
    ("eee", "Mon", "Sat", "Thu"),
    ("eeee", "Monday", "Saturday", "Thursday"),
    ("eeeee", "M", "S", "T"),
    ("g", "61234", "60672", "61041"),
    ("gg", "61234", "60672", "61041"),
    ("ggg", "61234", "60672", "61041"),
    ("gggg", "61234", "60672", "61041"),
    ("ggggg", "61234", "60672", "61041"),
    ("gggggg", "061234", "060672", "061041"),
    ("ggggggggg", "000061234", "000060672", "000061041"),
    ("gggggggggg", "0000061234", "0000060672", "0000061041"),
    ("h", "2", "8", "5"),
    ("hh", "02", "08", "05"),
    ("k", "14", "20", "5"),
    ("kk", "14", "20", "05"),
    ("m", "4", "30", "29"),
    ("mm", "04", "30", "29"),
    ("n", "0", "0", "0"),
    ("nn", "00", "00", "00"),
    ("nnn", "000", "000", "000"),
    ("nnnn", "0000", "0000", "0000"),
    ("nnnnn", "00000", "00000", "00000"),
    ("nnnnnn", "000000", "000000", "000000"),
    ("nnnnnnnnn", "000000000", "000000000", "000000000"),
    ("nnnnnnnnnn", "0000000000", "0000000000", "0000000000"),
    ("q", "3", "4", "1"),
    ("qq", "03", "04", "01"),
    ("qqq", "Q3", "Q4", "Q1"),
    ("qqqq", "3rd quarter", "4th quarter", "1st quarter"),
    ("qqqqq", "3", "4", "1"),
    ("s", "5", "0", "59"),
    ("ss", "05", "00", "59"),
    ("u", "2026", "2024", "2026"),
    ("uu", "26", "24", "26"),
    ("uuu", "2026", "2024", "2026"),
    ("uuuu", "2026", "2024", "2026"),
    ("uuuuu", "02026", "02024", "02026"),
    ("uuuuuu", "002026", "002024", "002026"),
    ("uuuuuuuuu", "000002026", "000002024", "000002026"),
    ("uuuuuuuuuu", "0000002026", "0000002024", "0000002026"),
    ("w", "29", "52", "1"),
    ("ww", "29", "52", "01"),
    ("x", "+00", "-0330", "+0530"),
    ("xx", "+0000", "-0330", "+0530"),
    ("xxx", "+00:00", "-03:30", "+05:30"),
    ("xxxx", "+0000", "-0330", "+0530"),
    ("xxxxx", "+00:00", "-03:30", "+05:30"),
    ("y", "2026", "2024", "2026"),
    ("yy", "26", "24", "26"),
    ("yyy", "2026", "2024", "2026"),
    ("yyyy", "2026", "2024", "2026"),
    ("yyyyy", "02026", "02024", "02026"),
    ("yyyyyy", "002026", "002024", "002026"),
    ("yyyyyyyyy", "000002026", "000002024", "000002026"),
    ("yyyyyyyyyy", "0000002026", "0000002024", "0000002026"),
    ("A", "50645000", "73800000", "19799000"),
    ("AA", "50645000", "73800000", "19799000"),
    ("AAA", "50645000", "73800000", "19799000"),
    ("AAAA", "50645000", "73800000", "19799000"),
    ("AAAAA", "50645000", "73800000", "19799000"),
    ("AAAAAA", "50645000", "73800000", "19799000"),
    ("AAAAAAAAA", "050645000", "073800000", "019799000"),
    ("AAAAAAAAAA", "0050645000", "0073800000", "0019799000"),
    ("B", "in the afternoon", "in the evening", "at night"),
    ("BBBB", "in the afternoon", "in the evening", "at night"),
    ("BBBBB", "in the afternoon", "in the evening", "at night"),
    ("D", "194", "363", "1"),
    ("DD", "194", "363", "01"),
    ("DDD", "194", "363", "001"),
    ("E", "Mon", "Sat", "Thu"),
    ("EE", "Mon", "Sat", "Thu"),
    ("EEE", "Mon", "Sat", "Thu"),
    ("EEEE", "Monday", "Saturday", "Thursday"),
    ("EEEEE", "M", "S", "T"),
    ("F", "6", "7", "1"),
    ("G", "AD", "AD", "AD"),
    ("GG", "AD", "AD", "AD"),
    ("GGG", "AD", "AD", "AD"),
    ("GGGG", "Anno Domini", "Anno Domini", "Anno Domini"),
    ("GGGGG", "A", "A", "A"),
    ("H", "14", "20", "5"),
    ("HH", "14", "20", "05"),
    ("K", "2", "8", "5"),
    ("KK", "02", "08", "05"),
    ("L", "7", "12", "1"),
    ("LL", "07", "12", "01"),
    ("LLL", "Jul", "Dec", "Jan"),
    ("LLLL", "July", "December", "January"),
    ("LLLLL", "J", "D", "J"),
    ("M", "7", "12", "1"),
    ("MM", "07", "12", "01"),
    ("MMM", "Jul", "Dec", "Jan"),
    ("MMMM", "July", "December", "January"),
    ("MMMMM", "J", "D", "J"),
    ("N", "50645000000000", "73800000000000", "19799000000000"),
    ("NN", "50645000000000", "73800000000000", "19799000000000"),
    ("NNN", "50645000000000", "73800000000000", "19799000000000"),
    ("NNNN", "50645000000000", "73800000000000", "19799000000000"),
    ("NNNNN", "50645000000000", "73800000000000", "19799000000000"),
    ("NNNNNN", "50645000000000", "73800000000000", "19799000000000"),
    ("NNNNNNNNN", "50645000000000", "73800000000000", "19799000000000"),
    ("NNNNNNNNNN", "50645000000000", "73800000000000", "19799000000000"),
    ("O", "GMT", "GMT-3:30", "GMT+5:30"),
    ("OOOO", "GMT", "GMT-03:30", "GMT+05:30"),
    ("Q", "3", "4", "1"),
    ("QQ", "03", "04", "01"),
    ("QQQ", "Q3", "Q4", "Q1"),
    ("QQQQ", "3rd quarter", "4th quarter", "1st quarter"),
    ("QQQQQ", "3", "4", "1"),
    ("S", "0", "0", "0"),
    ("SS", "00", "00", "00"),
    ("SSS", "000", "000", "000"),
    ("SSSS", "0000", "0000", "0000"),
    ("SSSSS", "00000", "00000", "00000"),
    ("SSSSSS", "000000", "000000", "000000"),
    ("SSSSSSSSS", "000000000", "000000000", "000000000"),
    ("W", "3", "4", "1"),
    ("X", "Z", "-0330", "+0530"),
    ("XX", "Z", "-0330", "+0530"),
    ("XXX", "Z", "-03:30", "+05:30"),
    ("XXXX", "Z", "-0330", "+0530"),
    ("XXXXX", "Z", "-03:30", "+05:30"),
    ("Y", "2026", "2024", "2026"),
    ("YY", "26", "24", "26"),
    ("YYY", "2026", "2024", "2026"),
    ("YYYY", "2026", "2024", "2026"),
    ("YYYYY", "02026", "02024", "02026"),
    ("YYYYYY", "002026", "002024", "002026"),
    ("YYYYYYYYY", "000002026", "000002024", "000002026"),
    ("YYYYYYYYYY", "0000002026", "0000002024", "0000002026"),
    ("Z", "+0000", "-0330", "+0530"),
    ("ZZ", "+0000", "-0330", "+0530"),
    ("ZZZ", "+0000", "-0330", "+0530"),
    ("ZZZZ", "GMT", "GMT-03:30", "GMT+05:30"),
    ("ZZZZZ", "Z", "-03:30", "+05:30"),
    ("yyyy/MM/dd/HH", "2026/07/13/14", "2024/12/28/20", "2026/01/01/05"),
    ("yyyy-MM-dd'T'HH:mm:ss.SSSX", "2026-07-13T14:04:05.000Z", "2024-12-28T20:30:00.000-0330", "2026-01-01T05:29:59.000+0530"),
    ("''", "'", "'", "'"),
    ("'a''b'", "a'b", "a'b", "a'b"),
    ("''''", "'", "'", "'"),
    ("'''a'", "'a", "'a", "'a"),
    ("'year='yyyy/'month='MM/'day='dd/'hour='HH/", "year=2026/month=07/day=13/hour=14/", "year=2024/month=12/day=28/hour=20/", "year=2026/month=01/day=01/hour=05/"),
    ("[yyyy][MM", "202607", "202412", "202601"),
    ("yyyy|MM,dd;HH", "2026|07,13;14", "2024|12,28;20", "2026|01,01;05"),
    ("EEEE, d MMMM uuuu", "Monday, 13 July 2026", "Saturday, 28 December 2024", "Thursday, 1 January 2026"),
    ("YYYY-'W'ww-e", "2026-W29-2", "2024-W52-7", "2026-W01-5"),
    ("hh:mm a", "02:04 PM", "08:30 PM", "05:29 AM"),
    ("yyyy/MM/dd/HH/", "2026/07/13/14/", "2024/12/28/20/", "2026/01/01/05/"),
    ("_-=+&%$@!~`^*()<>?\".\\", "_-=+&%$@!~`^*()<>?\".\\", "_-=+&%$@!~`^*()<>?\".\\", "_-=+&%$@!~`^*()<>?\".\\"),
    ("é'ü'yyyy", "éü2026", "éü2024", "éü2026"),
    ("''yyyy''", "'2026'", "'2024'", "'2026'"),
    ("'' ''", "' '", "' '", "' '"),
    ("a'b'", "PMb", "PMb", "AMb"),
    ("dd'' MM", "13' 07", "28' 12", "01' 01"),
];

#[test]
fn prints_as_java_does() {
    for (pattern, utc, st_johns, kolkata) in PRINTED {
        assert_eq!(&print(pattern, 1_783_951_445, "UTC"), utc, "{pattern}");
        assert_eq!(&print(pattern, 1_735_430_400, "America/St_Johns"), st_johns, "{pattern}");
        assert_eq!(&print(pattern, 1_767_225_599, "Asia/Kolkata"), kolkata, "{pattern}");
    }
}

/// What Java refuses.
#[rustfmt::skip]
const REFUSED: &[&str] = &[
    "aa", "aaa", "aaaa", "aaaaa", "aaaaaa", "b", "bb", "bbb", "bbbb", "bbbbb", "bbbbbb", "cc",
    "cccccc", "ddd", "dddd", "ddddd", "dddddd", "eeeeee", "f", "ff", "fff", "ffff", "fffff", "ffffff",
    "hhh", "hhhh", "hhhhh", "hhhhhh", "i", "ii", "iii", "iiii", "iiiii", "iiiiii", "j", "jj",
    "jjj", "jjjj", "jjjjj", "jjjjjj", "kkk", "kkkk", "kkkkk", "kkkkkk", "l", "ll", "lll", "llll",
    "lllll", "llllll", "mmm", "mmmm", "mmmmm", "mmmmmm", "o", "oo", "ooo", "oooo", "ooooo", "oooooo",
    "p", "pp", "ppp", "pppp", "ppppp", "pppppp", "qqqqqq", "r", "rr", "rrr", "rrrr", "rrrrr",
    "rrrrrr", "sss", "ssss", "sssss", "ssssss", "t", "tt", "ttt", "tttt", "ttttt", "tttttt", "vv",
    "vvv", "vvvvv", "vvvvvv", "www", "wwww", "wwwww", "wwwwww", "xxxxxx", "zzzzz", "zzzzzz", "BB", "BBB",
    "BBBBBB", "C", "CC", "CCC", "CCCC", "CCCCC", "CCCCCC", "DDDD", "DDDDD", "DDDDDD", "EEEEEE", "FF",
    "FFF", "FFFF", "FFFFF", "FFFFFF", "GGGGGG", "HHH", "HHHH", "HHHHH", "HHHHHH", "I", "II", "III",
    "IIII", "IIIII", "IIIIII", "J", "JJ", "JJJ", "JJJJ", "JJJJJ", "JJJJJJ", "KKK", "KKKK", "KKKKK",
    "KKKKKK", "LLLLLL", "MMMMMM", "OO", "OOO", "OOOOO", "OOOOOO", "P", "PP", "PPP", "PPPP", "PPPPP",
    "PPPPPP", "QQQQQQ", "R", "RR", "RRR", "RRRR", "RRRRR", "RRRRRR", "T", "TT", "TTT", "TTTT",
    "TTTTT", "TTTTTT", "U", "UU", "UUU", "UUUU", "UUUUU", "UUUUUU", "V", "VVV", "VVVV", "VVVVV",
    "VVVVVV", "WW", "WWW", "WWWW", "WWWWW", "WWWWWW", "XXXXXX", "ZZZZZZ", "'", "'abc", "yyyy]", "{yyyy",
    "yyyy#",
];

#[test]
fn refuses_what_java_or_firehose_refuses() {
    for pattern in REFUSED.iter().chain(&["", "V", "VV", "p", "pp", "ppH", "zzzz", "v", "vvvv"]) {
        assert_eq!(DatePattern::parse(pattern), None, "{pattern}");
    }
    // The letters that Firehose refuses, each alone.
    for letter in "CIJPRTUVbfijloprt".chars() {
        assert_eq!(DatePattern::parse(&letter.to_string()), None, "{letter}");
    }
}

#[test]
fn weeks_turn_on_sunday_and_belong_to_the_year_of_the_next_january() {
    // Seconds, week-year and week, week of month, from Java: Saturday 2021-12-25, Sunday 2021-12-26, Sunday 2000-01-02.
    for (seconds, expected) in
        [(1_640_390_400, "2021-52 4 7"), (1_640_476_800, "2022-01 5 1"), (946_771_200, "2000-02 2 1")]
    {
        assert_eq!(print("YYYY-ww W e", seconds, "UTC"), expected);
    }
}

#[test]
fn zone_names_are_abbreviations_or_offsets() {
    assert_eq!(print("z", 1_783_951_445, "UTC"), "UTC");
    assert_eq!(print("z", 1_783_951_445, "America/Los_Angeles"), "PDT");
    assert_eq!(print("zzz", 1_767_225_599, "America/Los_Angeles"), "PST");
    assert_eq!(print("z", 1_783_951_445, "America/Sao_Paulo"), "-03");
    assert_eq!(print("z", 1_783_951_445, "Asia/Kathmandu"), "+0545");
}

#[test]
fn times_beyond_the_year_9999_are_held() {
    let mut out = String::new();
    DatePattern::parse("yyyy-MM-dd YYYY").unwrap().format(&local_time(u64::MAX, Tz::UTC), &mut out);
    assert_eq!(out, "9999-12-20 9999");
}

proptest! {
    #[test]
    fn parsing_never_panics_and_printing_keeps_its_bound(
        pattern in "([A-Za-z]{1,6}|'[^']{0,5}'|[ -~]|é){0,8}",
        ms in prop_oneof![any::<u64>(), 0..4_102_444_800_000u64],
        zone in 0..chrono_tz::TZ_VARIANTS.len(),
    ) {
        if let Some(parsed) = DatePattern::parse(&pattern) {
            let mut out = String::new();
            parsed.format(&local_time(ms, chrono_tz::TZ_VARIANTS[zone]), &mut out);
            prop_assert!(out.chars().count() <= parsed.chars_max(), "{out} from {pattern}");
            prop_assert!(out.len() <= parsed.bytes_max(), "{out} from {pattern}");
        }
    }
}

#[test]
fn every_zone_keeps_the_bound_of_names() {
    let pattern = DatePattern::parse("z").unwrap();
    for zone in chrono_tz::TZ_VARIANTS {
        for seconds in (0..2_000_000_000).step_by(10_000_000) {
            let mut out = String::new();
            pattern.format(&local_time(seconds * 1_000, zone), &mut out);
            assert!((1..=ZONE_CHARS_MAX).contains(&out.len()), "{zone} {out}");
        }
    }
}
