//! Masking in the text of a JSON document as it stands, without taking it apart: the last number of an IPv4 address, the
//! last five groups of an IPv6 address, and what stands before the @ of an e-mail address.
use std::net::{Ipv4Addr, Ipv6Addr};

/// Appends `text` to `out`, masked.
pub fn append(text: &[u8], out: &mut Vec<u8>) {
    let mut copied = 0;
    let mut name_floor = 0;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if byte == b'\\' {
            // The letters of an escape (`\n`, `\u0041`) belong to no name.
            at += if text.get(at + 1) == Some(&b'u') { 6 } else { 2 };
            name_floor = at;
        } else if byte == b'@' {
            let start = name_before(text, at, name_floor.max(copied));
            if start < at && text.get(at + 1).is_some_and(u8::is_ascii_alphanumeric) {
                out.extend_from_slice(&text[copied..start]);
                out.extend_from_slice(b"***");
                copied = at;
            }
            at += 1;
        } else if is_word(byte) {
            let (end, may_be_address) = word(text, at);
            if let Some(masked) = may_be_address.then(|| mask_word(&text[at..end])).flatten() {
                out.extend_from_slice(&text[copied..at]);
                out.extend_from_slice(masked.as_bytes());
                copied = end;
            }
            at = end;
        } else {
            at += 1;
        }
    }
    out.extend_from_slice(&text[copied..]);
}

/// What addresses, times and plain words are made of.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'.' || byte == b':'
}

/// What each byte adds while a word is read: dots are counted in the low bits, colons from `COLON` on.
static ADDS: [u64; 256] = {
    let mut adds = [STOP; 256];
    let mut byte = 0_u8;
    loop {
        if is_word(byte) {
            adds[byte as usize] = match byte {
                b'.' => 1,
                b':' => COLON,
                _ => 0,
            };
        }
        if byte == u8::MAX {
            break adds;
        }
        byte += 1;
    }
};
const COLON: u64 = 1 << 31;
/// The byte belongs to no word.
const STOP: u64 = 1 << 63;

/// Where the word ends that begins at `at`, and whether it has the dots or colons of an address. Four bytes at a time: a
/// loop costs more in here than what it does to a byte.
fn word(text: &[u8], mut at: usize) -> (usize, bool) {
    let mut sum = 0;
    while let Some([a, b, c, d]) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let [a, b, c, d] = [a, b, c, d].map(|&byte| ADDS[byte as usize]);
        if (a | b | c | d) & STOP != 0 {
            break;
        }
        sum += a + b + c + d;
        at += 4;
    }
    while let Some(add) = text.get(at).map(|&byte| ADDS[byte as usize]).filter(|&add| add != STOP) {
        sum += add;
        at += 1;
    }
    (at, sum % COLON >= 3 || sum >= 2 * COLON)
}

/// What can be the name before an @; more than the standards allow, as is much in real life.
fn is_name(byte: u8) -> bool {
    !byte.is_ascii_whitespace() && !b"\"\\(),:;<>@[]".contains(&byte)
}

/// Where the name begins that ends at `end`; not before `floor`.
fn name_before(text: &[u8], end: usize, floor: usize) -> usize {
    text[floor..end].iter().rposition(|&byte| !is_name(byte)).map_or(floor, |last| floor + last + 1)
}

/// A word masked, if it is or contains an address: `10.0.0.1:8080` does.
fn mask_word(word: &[u8]) -> Option<String> {
    let word = str::from_utf8(word).ok()?;
    if word.trim_end_matches(['.', ':']).parse::<Ipv6Addr>().is_ok() {
        let leading = word.split("::").next().unwrap_or_default();
        return Some(leading.split(':').take(3).collect::<Vec<_>>().join(":") + "::");
    }
    let parts: Vec<String> = word.split(':').map(mask_ipv4).collect();
    let masked = parts.join(":");
    (masked != word).then_some(masked)
}

fn mask_ipv4(text: &str) -> String {
    match text.trim_end_matches('.').parse::<Ipv4Addr>() {
        Ok(address) => {
            let [a, b, c, _] = address.octets();
            Ipv4Addr::from([a, b, c, 0]).to_string()
        }
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::append;

    #[test]
    fn masks_addresses_and_nothing_else() {
        let table = [
            (r#""10.1.2.3""#, r#""10.1.2.0""#),
            ("from 10.1.2.3:8080, 10.1.2.4-10.1.2.5.", "from 10.1.2.0:8080, 10.1.2.0-10.1.2.0"),
            ("2001:db8:85a3::8a2e:370:7334", "2001:db8:85a3::"),
            ("fe80::1, ::1, 1:2:3:4:5:6:7:8", "fe80::, ::, 1:2:3::"),
            ("12:34:56.789 and 1.2.3 and 300.1.2.3", "12:34:56.789 and 1.2.3 and 300.1.2.3"),
            (r#""<bob.smith+x@example.com>""#, r#""<***@example.com>""#),
            (r#""a\nbob@example.com\u003cbob@example.com""#, r#""a\n***@example.com\u003c***@example.com""#),
            ("@home a@ @", "@home a@ @"),
            ("10.1.2.3@example.com", "10.1.2.0@example.com"),
            (r"\", r"\"),
            (r"\u00", r"\u00"),
        ];
        for (text, masked) in table {
            let mut out = b"before ".to_vec();
            append(text.as_bytes(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), format!("before {masked}"), "{text}");
        }
    }
}
