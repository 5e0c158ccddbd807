//! Web logs that look real, by seed: what the benchmarks and the choice of compression levels are measured on.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each benchmark takes a part of it")]

pub mod cpu;

/// The one in the middle.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A small generator of numbers (SplitMix64), the same everywhere.
pub struct Random(u64);

impl Random {
    /// Numbers that follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; small ones are much more frequent, as with real visitors and pages.
    fn skewed(&mut self, bound: u64) -> u64 {
        let (a, b) = (self.next() % bound, self.next() % bound);
        a * b / bound
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.skewed(of.len() as u64) as usize]
    }
}

const PATHS: &[&str] = &[
    "/products/",
    "/api/v1/items/",
    "/search?q=",
    "/static/img/",
    "/cart/",
    "/account/orders/",
    "/blog/2026/11/",
    "/healthz?n=",
];
const REFERERS: &[&str] = &[
    "https://www.example.com/",
    "https://www.example.com/products/",
    "-",
    "https://www.google.com/",
    "https://news.example.org/item?id=",
    "https://t.co/",
];
const AGENTS: &[&str] = &[
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "curl/8.17.0",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
];
const METHODS: &[&str] = &["GET", "POST", "HEAD", "PUT"];
const STATUSES: &[&str] = &["200", "304", "404", "302", "500"];

/// JSON web-log lines, at least `bytes` of them and whole lines; about 338 bytes each, of which zlib 6 makes .17.
pub fn weblogs(seed: u64, bytes: usize) -> Vec<u8> {
    use std::io::Write;
    let mut random = Random::new(seed);
    let mut out = Vec::with_capacity(bytes + 512);
    let mut ms = 35_473_000_u64;
    while out.len() < bytes {
        ms += random.next() % 40;
        let visitor = random.skewed(2_000_000);
        let address = Random::new(visitor).next();
        let agent = AGENTS[(address % AGENTS.len() as u64) as usize];
        let path = random.pick(PATHS);
        let page = random.next() % 100_000;
        let referer = random.pick(REFERERS);
        let referred = if referer == "-" { 0 } else { random.next() % 100_000 };
        writeln!(
            out,
            r#"{{"time":"2026-11-21T{:02}:{:02}:{:02}.{:03}Z","remote_addr":"{}.{}.{}.{}","method":"{}","path":"{}{}?s={:04x}","status":{},"bytes":{},"referer":"{}{}","user_agent":"{}","request_time":{}.{:03},"request_id":"{:016x}{:016x}"}}"#,
            ms / 3_600_000 % 24, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000,
            address >> 8 & 0xff, address >> 16 & 0xff, address >> 24 & 0xff, address >> 32 & 0xff,
            random.pick(METHODS), path, page, random.next() as u16, random.pick(STATUSES), random.next() % 60_000, referer, referred, agent,
            random.skewed(10), random.next() % 1_000, random.next(), random.next(),
        ).expect("a vector takes everything");
    }
    out
}
