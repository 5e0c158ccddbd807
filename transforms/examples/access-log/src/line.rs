//! The format: `client - user [10/Oct/2000:13:55:36 -0700] "GET /path HTTP/1.1" 200 2326`, and in the combined format
//! `"referer" "agent"` after it.
use serde::Serialize;

#[derive(Serialize)]
pub struct Line {
    client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    time: String,
    #[serde(flatten)]
    request: Request,
    pub status: u16,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    referer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
}

/// What the client asked for; what is no request (port scanners send such) stays as it is.
#[derive(Serialize)]
#[serde(untagged)]
enum Request {
    Http { method: String, path: String, protocol: String },
    Other { request: String },
}

/// Takes a line apart. The error names the field that is missing or wrong.
pub fn parse(text: &str) -> Result<Line, &'static str> {
    let mut rest = text;
    let client = word(&mut rest).ok_or("client")?;
    word(&mut rest).ok_or("identity")?;
    let user = word(&mut rest).ok_or("user")?;
    let time = enclosed(&mut rest, '[', ']').and_then(|time| iso(&time)).ok_or("time")?;
    let request = enclosed(&mut rest, '"', '"').ok_or("request")?;
    let status = word(&mut rest).and_then(|status| status.parse().ok()).ok_or("status")?;
    let bytes = word(&mut rest).ok_or("size")?;
    Ok(Line {
        client: client.to_owned(),
        user: present(user),
        time,
        request: parse_request(request),
        status,
        bytes: if bytes == "-" { 0 } else { bytes.parse().map_err(|_| "size")? },
        referer: enclosed(&mut rest, '"', '"').and_then(|referer| present(&referer)),
        agent: enclosed(&mut rest, '"', '"').and_then(|agent| present(&agent)),
    })
}

fn parse_request(request: String) -> Request {
    match request.split(' ').collect::<Vec<_>>().as_slice() {
        [method, path, protocol] => {
            Request::Http { method: method.to_string(), path: path.to_string(), protocol: protocol.to_string() }
        }
        _ => Request::Other { request },
    }
}

fn word<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
    *rest = after;
    (!word.is_empty()).then_some(word)
}

/// What stands between `open` and `close`, without its escapes.
fn enclosed(rest: &mut &str, open: char, close: char) -> Option<String> {
    let mut text = Vec::new();
    let mut bytes = rest.strip_prefix(open)?.bytes();
    loop {
        match bytes.next()? {
            b'\\' => text.push(unescape(&mut bytes)?),
            byte if byte == close as u8 => break,
            byte => text.push(byte),
        }
    }
    let after = &rest[rest.len() - bytes.len()..];
    *rest = after.strip_prefix(' ').unwrap_or(after);
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// `\"`, `\\`, `\n`, `\t`, and `\x22` as both servers write bytes that they do not trust.
fn unescape(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    match bytes.next()? {
        b'n' => Some(b'\n'),
        b't' => Some(b'\t'),
        b'x' => {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            u8::try_from(digit()? * 16 + digit()?).ok()
        }
        other => Some(other),
    }
}

fn present(text: &str) -> Option<String> {
    (text != "-" && !text.is_empty()).then(|| text.to_owned())
}

/// `10/Oct/2000:13:55:36 -0700` as `2000-10-10T13:55:36-07:00`.
fn iso(time: &str) -> Option<String> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (date, clock) = time.split_once(':')?;
    let (clock, zone) = clock.split_once(' ')?;
    let [day, month, year] = date.split('/').collect::<Vec<_>>().try_into().ok()?;
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let (hours, minutes) = zone.split_at_checked(3)?;
    Some(format!("{year}-{month:02}-{day}T{clock}{hours}:{minutes}"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lines_cut_short_name_what_is_missing() {
        let line = r#"192.0.2.1 - - [21/Nov/2026:08:15:02 +0000] "GET / HTTP/1.1" 200 17"#;
        for (length, missing) in
            [(0, "client"), (10, "identity"), (12, "user"), (20, "time"), (50, "request"), (60, "status")]
        {
            assert_eq!(parse(&line[..length]).err(), Some(missing), "{}", &line[..length]);
        }
        assert!(parse(line).is_ok());
    }

    #[test]
    fn hostile_text_is_refused() {
        for text in [
            "é é é [é",
            "a b c [\\",
            "a b c [\\x",
            "a b c [\\xé",
            "a b c [1/Jan/1:é é]",
            "a b c [1/Jan/1:é éé+] \"\" 1 1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
