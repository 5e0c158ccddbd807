//! Web-server access logs as JSON lines: about 320 bytes each, of which zlib 6 leaves 17 %, as it does of real ones.
//!
//! A line is a function of the seed and its number. The number stands in the line as `request`, so that a reader can
//! say which line it has before it.

use std::fmt::Write as _;

use chrono::DateTime;

/// Milliseconds between one line and the next, at most; on average half of it.
const STEP_MS_MAX: u64 = 9;

const HOSTS: [&str; 6] = ["web-01", "web-02", "web-03", "web-04", "web-05", "web-06"];

/// User agents: what stands before the version that varies, and after it.
const AGENTS: [(&str, &str); 8] = [
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit Chrome/", " Safari"),
    ("Mozilla/5.0 (iPhone; iOS 18_6) AppleWebKit Version/", " Mobile"),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Firefox/", ""),
    ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit Chrome/", " Mobile Safari"),
    ("Shop/", " (Android 15; okhttp 5.1)"),
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html) ", ""),
    ("curl/", ""),
    ("python-requests/", ""),
];

const PLACES: [&str; 10] = [
    "/",
    "/products",
    "/search",
    "/cart",
    "/checkout",
    "/static/app.js",
    "/static/style.css",
    "/api/v1/orders",
    "/api/v1/users",
    "/healthz",
];

const REFERERS: [&str; 6] = [
    "-",
    "https://a.example/",
    "https://example.com/",
    "https://www.google.com/",
    "https://example.com/search",
    "https://news.example.org/",
];

/// An endless sequence of lines.
pub struct WebLog {
    state: u64,
    number: u64,
    now_ms: u64,
    /// The text of the current second, made once for all of its lines.
    second: (u64, String),
}

impl WebLog {
    /// The sequence that belongs to `seed`; its first line is from `start_ms` (milliseconds since 1970).
    pub fn new(seed: u64, start_ms: u64) -> Self {
        WebLog { state: seed, number: 0, now_ms: start_ms, second: (u64::MAX, String::new()) }
    }

    /// The number that the next line will have; the first one's is 0.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Appends the next line, with its line feed, to `out`.
    pub fn write_line(&mut self, out: &mut String) {
        self.now_ms += self.below(STEP_MS_MAX + 1);
        self.tick();
        let place = self.skewed(PLACES.len());
        let agent = AGENTS[self.skewed(AGENTS.len())];
        let version = (100 + self.below(44), self.below(9_000), self.below(900));
        let status = self.status();
        let address = self.address();
        let host = HOSTS[self.below(HOSTS.len() as u64) as usize];
        let method = if place >= 7 && self.below(3) == 0 { "POST" } else { "GET" };
        let referer = REFERERS[self.skewed(REFERERS.len())];
        let bytes = 200 + self.below(250) * self.below(250);
        let micros = 400 + self.below(700) * self.below(700);
        let session = u128::from(self.next()) << 56 | u128::from(self.below(1 << 56));
        write!(
            out,
            r#"{{"time":"{}.{:03}Z","request":"{:012}","host":"{host}","client":"{address}","method":"{method}","path":""#,
            self.second.1,
            self.now_ms % 1_000,
            self.number,
        )
        .expect("a String takes everything");
        self.write_path(place, out);
        writeln!(
            out,
            r#"","status":{status},"bytes":{bytes},"micros":{micros},"session":"{session:030x}","referer":"{referer}","agent":"{}{}.0.{}.{}{}"}}"#,
            agent.0, version.0, version.1, version.2, agent.1,
        )
        .expect("a String takes everything");
        self.number += 1;
    }

    /// The next line, with its line feed.
    pub fn line(&mut self) -> String {
        let mut line = String::with_capacity(400);
        self.write_line(&mut line);
        line
    }

    fn tick(&mut self) {
        let second = self.now_ms / 1_000;
        if self.second.0 != second {
            let at = i64::try_from(second).ok().and_then(|second| DateTime::from_timestamp(second, 0));
            self.second = (second, at.unwrap_or_default().format("%Y-%m-%dT%H:%M:%S").to_string());
        }
    }

    fn write_path(&mut self, place: usize, out: &mut String) {
        out.push_str(PLACES[place]);
        let id = self.below(300) * self.below(300);
        match place {
            1 | 7 | 8 => write!(out, "/{id}"),
            2 => write!(out, "?q=item+{id}&page={}", 1 + id % 4),
            _ => Ok(()),
        }
        .expect("a String takes everything");
    }

    fn status(&mut self) -> u16 {
        match self.below(100) {
            0..=88 => 200,
            89..=92 => 304,
            93..=95 => 404,
            96..=97 => 302,
            98 => 403,
            _ => 500,
        }
    }

    /// One of some 65,000 clients.
    fn address(&mut self) -> String {
        let net = [(203, 0), (198, 51), (192, 0), (100, 64)][self.skewed(4)];
        format!("{}.{}.{}.{}", net.0, net.1, self.below(128), self.below(256))
    }

    /// Uniform below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Below `bound`, the small numbers more often.
    fn skewed(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        let (a, b) = (self.below(bound), self.below(bound));
        a.min(b) as usize
    }

    /// SplitMix64: reproducible, and not for keys.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The number of a line that [`WebLog`] made, from its text; `None` for any other text.
pub fn number_of(line: &[u8]) -> Option<u64> {
    const MARK: &[u8] = br#","request":""#;
    let at = memchr::memmem::find(line, MARK)? + MARK.len();
    std::str::from_utf8(line.get(at..at + 12)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const START_MS: u64 = 1_700_000_000_000;

    #[test]
    fn lines_are_json_with_their_number_and_the_same_for_the_same_seed() {
        let (mut a, mut b) = (WebLog::new(7, START_MS), WebLog::new(7, START_MS));
        for number in 0..500 {
            let line = a.line();
            assert_eq!(line, b.line());
            assert_eq!(number_of(line.as_bytes()), Some(number));
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert!(value["status"].is_u64() && value["agent"].is_string(), "{line}");
            assert!(line.ends_with("}\n"));
        }
        assert_ne!(WebLog::new(8, START_MS).line(), WebLog::new(7, START_MS).line());
    }

    #[test]
    fn other_text_has_no_number() {
        for text in ["", "{}", r#"{"a":1,"request":"12"}"#, r#"{"a":1,"request":"abcdefghijkl"}"#] {
            assert_eq!(number_of(text.as_bytes()), None, "{text}");
        }
    }

    /// The figures that performance tests stand on.
    #[test]
    fn size_and_compressibility_are_those_of_real_logs() {
        let mut log = WebLog::new(1, START_MS);
        let mut text = String::new();
        while text.len() < 4 << 20 {
            log.write_line(&mut text);
        }
        let mean = text.len() as u64 / log.number();
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(6));
        encoder.write_all(text.as_bytes()).unwrap();
        let ratio = encoder.finish().unwrap().len() as f64 / text.len() as f64;
        assert!((310..=335).contains(&mean), "{mean} bytes");
        assert!((0.165..=0.175).contains(&ratio), "ratio {ratio:.4}");
    }
}
