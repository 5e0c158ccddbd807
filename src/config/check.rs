//! From what is written to what is meant: every rule that the schema cannot say, with the place where it is broken.
//!
//! A value that is missing here because its shape was wrong has been reported already; the default stands in for it, so
//! that the rest is checked too.

use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::at::{Amount, At, Lapse};
use super::fault::Findings;
use super::load::Surroundings;
use super::{AccessKey, Buckets, Config, DiskBudget, JournalConfig, Plugin, ServerConfig, Tls, names, raw, units};
use crate::error::Result;
use crate::limits::{DISK_BYTES_MIN, GRACE_MAX, STREAMS_MAX};

mod data_stream;
mod destination;
mod endpoint;
mod files;
mod format;
mod plugin;
mod process;
mod source;
mod store;
mod stream;
mod webhook;

/// What is gathered while a file is checked.
pub(super) struct Checker<'a> {
    pub(super) findings: Findings,
    pub(super) warnings: Vec<String>,
    /// Whether a secret stands in the file itself.
    pub(super) has_literal_secrets: bool,
    /// Modules that streams name without giving them a name.
    unnamed: Vec<Plugin>,
    /// Plugins that are there, though not as they should be: a step that names one is not told that it is missing.
    faulty_plugins: Vec<String>,
    surroundings: Surroundings<'a>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(findings: Findings, surroundings: Surroundings<'a>) -> Self {
        Checker {
            findings,
            warnings: Vec::new(),
            has_literal_secrets: false,
            unnamed: Vec::new(),
            faulty_plugins: Vec::new(),
            surroundings,
        }
    }

    /// The whole file; worth something only if `findings` is empty afterwards.
    pub(super) fn config(&mut self, file: raw::File) -> Config {
        let mut config = Config::new(PathBuf::new());
        if let Some(data_dir) = file.data_dir.and_then(|path| self.path("data_dir", &path)) {
            config.data_dir = data_dir;
        }
        if let Some(id) = self.checked("account_id", file.account_id, names::account_id) {
            config.account_id = id;
        }
        if let Some(region) = self.checked("region", file.region, names::region) {
            config.region = region;
        }
        config.encryption_key = file.encryption_key.and_then(|key| self.encryption_key(&key));
        config.journal = self.journal(file.journal);
        let has_keys = !file.access_key.is_empty();
        config.server = self.server(file.server, has_keys);
        config.access_keys = self.access_keys(file.access_key);
        let place = file.buckets.as_ref().map_or(0..0, |buckets| buckets.span.clone());
        if let Some(buckets) = file.buckets.and_then(|buckets| self.buckets(buckets)) {
            if let Buckets::Local(path) = &buckets {
                self.apart(&place, path, &config.data_dir);
            }
            config.buckets = buckets;
        }
        config.kinesis = self.kinesis(file.kinesis);
        config.plugins = self.plugins(file.plugin);
        config.data_streams = self.data_streams(file.data_stream, &config);
        let mut streams: Vec<_> = file.delivery_stream.into_iter().collect();
        streams.sort_by_key(|(name, _)| name.span.start);
        if let Some((name, _)) = streams.get(STREAMS_MAX) {
            self.findings.add(name.span.clone(), format!("there are more than {STREAMS_MAX} delivery streams"));
        }
        for (name, stream) in streams {
            config.delivery_streams.extend(self.stream(&name, stream, &config));
        }
        config.plugins.append(&mut self.unnamed);
        config
    }

    fn journal(&mut self, journal: raw::Journal) -> JournalConfig {
        let mut checked = JournalConfig::default();
        if let Some(written) = journal.max_bytes {
            let budget = units::disk_budget(&written.value.0);
            match self.accept("max_bytes", &written.span, budget) {
                Some(DiskBudget::Bytes(bytes)) if bytes < DISK_BYTES_MIN => self.too_little_disk(&written.span, bytes),
                Some(budget) => checked.max = budget,
                None => {}
            }
        }
        checked
    }

    fn server(&mut self, server: raw::Server, has_keys: bool) -> ServerConfig {
        let mut checked = ServerConfig::default();
        let listen_span = server.listen.as_ref().map(|listen| listen.span.clone());
        if let Some(listen) = self.address("listen", server.listen) {
            checked.listen = listen;
        }
        let admin_span = server.admin_listen.as_ref().map(|listen| listen.span.clone());
        if let Some(listen) = self.address("admin_listen", server.admin_listen) {
            checked.admin_listen = listen;
        }
        if let Some(span) = &listen_span
            && !has_keys
            && !checked.listen.ip().is_loopback()
        {
            let message = format!(
                "listen {} is not loopback: without any [[access_key]] everybody who reaches it could put records",
                checked.listen
            );
            self.findings.add(span.clone(), message);
        }
        if let Some(span) = admin_span.or(listen_span)
            && same_address(checked.listen, checked.admin_listen)
        {
            let message = format!("listen {} and admin_listen {} collide", checked.listen, checked.admin_listen);
            self.findings.add(span, message);
        }
        checked.tls = server.tls.and_then(|tls| self.tls(tls));
        checked.ingest_tokens =
            server.ingest_tokens.iter().filter_map(|token| self.token("ingest_tokens", token)).collect();
        if let Some(grace) = self.lapse("grace", server.grace, Duration::ZERO, GRACE_MAX) {
            checked.grace = grace;
        }
        checked
    }

    fn tls(&mut self, tls: raw::Tls) -> Option<Tls> {
        let cert = tls.cert.and_then(|path| self.certificates("cert", &path));
        let key = tls.key.and_then(|path| self.private_key("key", &path));
        let client_ca = tls.client_ca.and_then(|path| self.certificates("client_ca", &path));
        Some(Tls { cert: cert?, key: key?, client_ca })
    }

    fn access_keys(&mut self, keys: Vec<At<raw::AccessKey>>) -> Vec<AccessKey> {
        let mut checked: Vec<AccessKey> = Vec::new();
        for At { value: key, .. } in keys {
            let id_span = key.id.as_ref().map(|id| id.span.clone());
            let id = self.checked("id", key.id, names::access_key_id);
            let secret = key.secret.and_then(|secret| self.secret("secret", &secret));
            let session_token = key.session_token.and_then(|token| self.token("session_token", &token));
            let policy = key.policy.and_then(|path| self.policy("policy", &path));
            if let (Some(id), Some(span)) = (&id, id_span)
                && checked.iter().any(|other| other.id == *id)
            {
                self.findings.add(span, format!("access key {id:?} is there twice"));
            }
            if let (Some(id), Some(secret)) = (id, secret) {
                checked.push(AccessKey { id, secret, session_token, policy });
            }
        }
        checked
    }

    // ---- what all tables need ----

    /// The value, or nothing and a fault at its place that names its key.
    fn accept<T>(&mut self, key: &str, span: &Range<usize>, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.findings.add(span.clone(), format!("{key}: {}", error.message()));
                None
            }
        }
    }

    /// A text that `check` accepts.
    fn checked(&mut self, key: &str, text: Option<At<String>>, check: fn(&str) -> Result<()>) -> Option<String> {
        let text = text?;
        self.accept(key, &text.span, check(&text.value))?;
        Some(text.value)
    }

    /// A path, which must not be empty.
    fn path(&mut self, key: &str, path: &At<String>) -> Option<PathBuf> {
        if path.value.is_empty() || path.value.contains('\0') {
            self.findings.add(path.span.clone(), format!("{key} {:?} is not a path", path.value));
            return None;
        }
        Some(self.surroundings.path(&path.value))
    }

    /// Objects and the journal must not lie in one another's directories.
    fn apart(&mut self, place: &Range<usize>, path: &Path, data_dir: &Path) {
        let nested = path.starts_with(data_dir) || data_dir.starts_with(path);
        if nested && !data_dir.as_os_str().is_empty() {
            let message = format!("path {} and data_dir {} lie in one another", path.display(), data_dir.display());
            self.findings.add(place.clone(), message);
        }
    }

    fn address(&mut self, key: &str, text: Option<At<String>>) -> Option<SocketAddr> {
        let text = text?;
        let parsed = text.value.parse();
        if parsed.is_err() {
            let message = format!("{key} {:?} is not an address and port such as \"127.0.0.1:4573\"", text.value);
            self.findings.add(text.span, message);
        }
        parsed.ok()
    }

    fn lapse(&mut self, key: &str, written: Option<At<Lapse>>, least: Duration, most: Duration) -> Option<Duration> {
        let written = written?;
        let lapse = self.accept(key, &written.span, units::duration(&written.value.0))?;
        if (least..=most).contains(&lapse) {
            return Some(lapse);
        }
        let shown = units::show_duration;
        let message = format!("{key} must be {} to {}, not {}", shown(least), shown(most), shown(lapse));
        self.findings.add(written.span, message);
        None
    }

    /// A whole number.
    fn number(&mut self, key: &str, written: Option<At<u64>>, range: RangeInclusive<u64>) -> Option<u64> {
        let At { value, span } = written?;
        if range.contains(&value) {
            return Some(value);
        }
        self.findings.add(span, format!("{key} must be {} to {}, not {value}", range.start(), range.end()));
        None
    }

    /// A size.
    fn bytes(&mut self, key: &str, written: Option<At<Amount>>, range: RangeInclusive<u64>) -> Option<u64> {
        let At { value, span } = written?;
        let bytes = self.accept(key, &span, units::size(&value.0))?;
        if range.contains(&bytes) {
            return Some(bytes);
        }
        let (shown, least, most) = (units::show_size, *range.start(), *range.end());
        self.findings.add(span, format!("{key} must be {} to {}, not {}", shown(least), shown(most), shown(bytes)));
        None
    }

    /// A disk budget of a stream.
    fn disk_bytes(&mut self, key: &str, written: Option<At<Amount>>) -> Option<u64> {
        let written = written?;
        let bytes = self.accept(key, &written.span, units::size(&written.value.0))?;
        if bytes < DISK_BYTES_MIN {
            self.too_little_disk(&written.span, bytes);
            return None;
        }
        Some(bytes)
    }

    fn too_little_disk(&mut self, span: &Range<usize>, bytes: u64) {
        let shown = units::show_size;
        let message = format!("max_bytes must be at least {}, not {}", shown(DISK_BYTES_MIN), shown(bytes));
        self.findings.add(span.clone(), message);
    }
}

/// Whether both cannot be bound; port 0 is a free one each time.
fn same_address(a: SocketAddr, b: SocketAddr) -> bool {
    let overlap = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.port() != 0 && overlap
}
