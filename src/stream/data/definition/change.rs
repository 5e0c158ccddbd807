//! What the API changes of a stream itself.

use std::time::Duration;

use super::{Definition, Distribution, Mode, Origin, Status, Validation};
use crate::error::{Error, Kind, Result};
use crate::limits::{
    DATA_RECORD_BYTES_DEFAULT, DATA_RECORD_BYTES_MAX, DATA_RETENTION_MAX, DATA_RETENTION_MIN, ENCRYPTION_KEY_NAME_MAX,
    MODE_CHANGES_PER_DAY_MAX, POLICY_BYTES_MAX, WARM_MIBPS_MAX,
};
use crate::stream::data::Settings;

const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// Shard level metrics, as AWS spells and orders them.
const METRICS: [&str; 7] = [
    "IncomingBytes",
    "IncomingRecords",
    "OutgoingBytes",
    "OutgoingRecords",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "IteratorAgeMilliseconds",
];

/// What the API changes, each as AWS allows it, with AWS's words where they are known. The answer to the API is
///
/// | [`Kind`] | exception |
/// |---|---|
/// | `Invalid` | InvalidArgumentException; ValidationException where [`Validation`] is behind it |
/// | `NotFound` | ResourceNotFoundException |
/// | `Conflict` | ResourceInUseException |
/// | `Throttled` | LimitExceededException |
/// | anything else | InternalFailureException |
///
/// A method after which AWS's stream is UPDATING wants it ACTIVE. What the configuration file says of a stream cannot be changed
/// of one that belongs to it (`Conflict`): its tags, consumers and policies can.
impl Definition {
    /// IncreaseStreamRetentionPeriod. The same again is no error, as at AWS.
    pub fn increase_retention(&mut self, hours: i64, settings: &Settings, now_ms: u64) -> Result<()> {
        let (asked, current) = (checked_retention(hours)?, self.retention);
        if asked < current {
            return Err(self.retention_error(hours, "shorter", "DecreaseRetentionPeriod"));
        }
        self.set_retention(asked, settings, now_ms)
    }

    /// DecreaseStreamRetentionPeriod. The same again is no error, as at AWS.
    pub fn decrease_retention(&mut self, hours: i64, settings: &Settings, now_ms: u64) -> Result<()> {
        let (asked, current) = (checked_retention(hours)?, self.retention);
        if asked > current {
            return Err(self.retention_error(hours, "longer", "IncreaseRetentionPeriod"));
        }
        self.set_retention(asked, settings, now_ms)
    }

    fn retention_error(&self, hours: i64, than: &str, instead: &str) -> Error {
        let (name, current) = (&self.name, self.retention.as_secs() / 3_600);
        Error::invalid(format!(
            "Requested retention period ({hours} hours) for stream {name} can not be {than} than existing retention \
             period ({current} hours). Use {instead} API."
        ))
    }

    fn set_retention(&mut self, retention: Duration, settings: &Settings, now_ms: u64) -> Result<()> {
        self.begin_update(settings, now_ms)?;
        self.retention = retention;
        Ok(())
    }

    /// StartStreamEncryption with EncryptionType KMS. Another key takes the place of the one before.
    pub fn start_encryption(&mut self, key: &str, settings: &Settings, now_ms: u64) -> Result<()> {
        check_key(key)?;
        if !settings.can_encrypt {
            return Err(Error::invalid("encryption is not available: the configuration has no encryption_key"));
        }
        self.begin_update(settings, now_ms)?;
        self.encryption_key = Some(key.to_owned());
        Ok(())
    }

    /// StopStreamEncryption. What is stored already stays as it is.
    pub fn stop_encryption(&mut self, key: &str, settings: &Settings, now_ms: u64) -> Result<()> {
        check_key(key)?;
        self.begin_update(settings, now_ms)?;
        self.encryption_key = None;
        Ok(())
    }

    /// EnableEnhancedMonitoring: the metrics before and after.
    pub fn enable_metrics(&mut self, metrics: &[String], settings: &Settings) -> Result<(Vec<String>, Vec<String>)> {
        self.set_metrics(metrics, settings, true)
    }

    /// DisableEnhancedMonitoring: the metrics before and after.
    pub fn disable_metrics(&mut self, metrics: &[String], settings: &Settings) -> Result<(Vec<String>, Vec<String>)> {
        self.set_metrics(metrics, settings, false)
    }

    fn set_metrics(&mut self, named: &[String], settings: &Settings, on: bool) -> Result<(Vec<String>, Vec<String>)> {
        if let Some(unknown) = named.iter().find(|name| *name != "ALL" && !METRICS.contains(&name.as_str())) {
            let known = METRICS.join(", ");
            return Err(unsuitable(format!("shard level metric {unknown:?} is none of ALL, {known}")));
        }
        self.of_api(settings)?;
        let is_named = |metric: &str| named.iter().any(|name| name == "ALL" || name == metric);
        let before = std::mem::take(&mut self.metrics);
        let was_on = |metric: &str| before.iter().any(|known| known == metric);
        let after = METRICS.iter().filter(|metric| if is_named(metric) { on } else { was_on(metric) });
        self.metrics = after.map(ToString::to_string).collect();
        Ok((before, self.metrics.clone()))
    }

    /// UpdateStreamMode; the shards stay as they are. A provisioned stream has neither warm throughput nor a
    /// distribution of its own.
    pub fn set_mode(&mut self, mode: Mode, warm_mibps: Option<u32>, settings: &Settings, now_ms: u64) -> Result<()> {
        check_warm(warm_mibps, mode)?;
        let mut recent = within_a_day(&self.mode_changed_ms, now_ms);
        if mode != self.mode && recent.len() >= MODE_CHANGES_PER_DAY_MAX {
            let (name, account) = (&self.name, &settings.account_id);
            return Err(Error::new(
                Kind::Throttled,
                format!(
                    "The mode of stream {name} under account {account} was changed {MODE_CHANGES_PER_DAY_MAX} times \
                     in the last 24 hours, which is the most there may be."
                ),
            ));
        }
        self.begin_update(settings, now_ms)?;
        if mode != self.mode {
            recent.push(now_ms);
            self.mode_changed_ms = recent;
        }
        self.mode = mode;
        match mode {
            Mode::Provisioned => (self.warm_mibps, self.distribution) = (None, Distribution::default()),
            Mode::OnDemand => self.warm_mibps = warm_mibps.or(self.warm_mibps),
        }
        Ok(())
    }

    /// UpdateMaxRecordSize.
    pub fn set_record_kib_max(&mut self, kib: i64, settings: &Settings, now_ms: u64) -> Result<()> {
        let bytes = checked_record_kib(kib)?;
        self.begin_update(settings, now_ms)?;
        self.record_bytes_max = bytes;
        Ok(())
    }

    /// UpdateStreamWarmThroughput.
    pub fn set_warm_throughput(&mut self, mibps: u32, settings: &Settings, now_ms: u64) -> Result<()> {
        check_warm(Some(mibps), self.mode)?;
        self.begin_update(settings, now_ms)?;
        self.warm_mibps = Some(mibps);
        Ok(())
    }

    /// UpdateStreamRecordDistributionStrategy.
    pub fn set_distribution(&mut self, distribution: Distribution, settings: &Settings, now_ms: u64) -> Result<()> {
        check_distribution(distribution, self.mode)?;
        self.begin_update(settings, now_ms)?;
        self.distribution = distribution;
        Ok(())
    }

    /// PutResourcePolicy, and DeleteResourcePolicy with none.
    pub fn set_policy(&mut self, policy: Option<String>) -> Result<()> {
        self.policy = policy.map(checked_policy).transpose()?;
        Ok(())
    }

    /// That the stream is the API's to change.
    pub(in crate::stream::data) fn of_api(&self, settings: &Settings) -> Result<()> {
        let name = &self.name;
        match self.origin {
            Origin::Api => Ok(()),
            Origin::File => Err(Error::new(
                Kind::Conflict,
                format!(
                    "data stream {name} under account {} belongs to the configuration file: change it there",
                    settings.account_id
                ),
            )),
        }
    }

    /// Makes a stream that is ACTIVE UPDATING, for as long as that is to last.
    pub(super) fn begin_update(&mut self, settings: &Settings, now_ms: u64) -> Result<()> {
        self.of_api(settings)?;
        self.must_be_active(settings, now_ms)?;
        self.passing = settings.passing(Status::Updating, now_ms);
        Ok(())
    }

    /// That it is neither being made nor deleted.
    pub(in crate::stream::data) fn must_be_there(&self, settings: &Settings, now_ms: u64) -> Result<()> {
        match self.status(now_ms) {
            Status::Active | Status::Updating => Ok(()),
            state => Err(settings.not_active(&self.name, state)),
        }
    }

    pub(super) fn must_be_active(&self, settings: &Settings, now_ms: u64) -> Result<()> {
        match self.status(now_ms) {
            Status::Active => Ok(()),
            state => Err(settings.not_active(&self.name, state)),
        }
    }
}

impl Settings {
    /// What is stored of a state that begins now; nothing where states do not last.
    pub(in crate::stream::data) fn passing(&self, status: Status, now_ms: u64) -> Option<(Status, u64)> {
        let delay_ms = u64::try_from(self.state_delay.as_millis()).unwrap_or(u64::MAX);
        (delay_ms > 0).then(|| (status, now_ms.saturating_add(delay_ms)))
    }

    /// That a stream is in another state than ACTIVE, in AWS's words.
    pub(in crate::stream::data) fn not_active(&self, stream: &str, state: Status) -> Error {
        let (account, state) = (&self.account_id, state.name());
        let said = format!("Stream {stream} under account {account} not ACTIVE, instead in state {state}");
        Error::new(Kind::Conflict, said)
    }
}

/// An error that AWS answers with ValidationException.
pub(in crate::stream::data) fn unsuitable(message: String) -> Error {
    Error::invalid(message).because(Validation)
}

/// The times of `times_ms` that are not a day old.
pub(super) fn within_a_day(times_ms: &[u64], now_ms: u64) -> Vec<u64> {
    times_ms.iter().copied().filter(|time_ms| now_ms.saturating_sub(*time_ms) < DAY_MS).collect()
}

fn checked_retention(hours: i64) -> Result<Duration> {
    let hours_of = |limit: Duration| limit.as_secs() / 3_600;
    let (min, max) = (hours_of(DATA_RETENTION_MIN), hours_of(DATA_RETENTION_MAX));
    match u64::try_from(hours) {
        Ok(asked) if asked > max => Err(Error::invalid(format!(
            "Maximum allowed retention period is {max} hours. Requested retention period ({hours} hours) is too long."
        ))),
        Ok(asked) if asked >= min => Ok(Duration::from_hours(asked)),
        _ => Err(Error::invalid(format!(
            "Minimum allowed retention period is {min} hours. Requested retention period ({hours} hours) is too short."
        ))),
    }
}

/// The bytes of MaxRecordSizeInKiB.
fn checked_record_kib(kib: i64) -> Result<usize> {
    let bytes = usize::try_from(kib).ok().and_then(|kib| kib.checked_mul(1 << 10));
    bytes.filter(|bytes| record_bytes_fit(*bytes)).ok_or_else(|| {
        let (min, max) = (DATA_RECORD_BYTES_DEFAULT >> 10, DATA_RECORD_BYTES_MAX >> 10);
        unsuitable(format!("MaxRecordSizeInKiB {kib} is not between {min} and {max}"))
    })
}

pub(in crate::stream::data) fn record_bytes_fit(bytes: usize) -> bool {
    (DATA_RECORD_BYTES_DEFAULT..=DATA_RECORD_BYTES_MAX).contains(&bytes)
}

/// Only the load of an on-demand stream can be foretold.
pub(in crate::stream::data) fn check_warm(mibps: Option<u32>, mode: Mode) -> Result<()> {
    match mibps {
        Some(_) if mode == Mode::Provisioned => {
            Err(unsuitable("WarmThroughputMiBps is for streams in ON_DEMAND mode only".to_owned()))
        }
        Some(mibps) if mibps > WARM_MIBPS_MAX => {
            Err(Error::invalid(format!("WarmThroughputMiBps {mibps} is more than {WARM_MIBPS_MAX}")))
        }
        _ => Ok(()),
    }
}

pub(in crate::stream::data) fn check_distribution(distribution: Distribution, mode: Mode) -> Result<()> {
    if distribution == Distribution::Auto && mode == Mode::Provisioned {
        return Err(unsuitable("RecordDistributionStrategy AUTO is for streams in ON_DEMAND mode only".to_owned()));
    }
    Ok(())
}

/// The forms in which KMS names keys: an id, an alias, or the ARN of either.
fn check_key(key: &str) -> Result<()> {
    let resource = match key.splitn(6, ':').collect::<Vec<_>>()[..] {
        [arn, partition, "kms", _, account, resource] => {
            let whose = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
            let fits = arn == "arn" && partition.starts_with("aws") && whose && resource.contains('/');
            if fits { resource } else { "" }
        }
        _ => key,
    };
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_-".contains(&b));
    let is_id = |text: &str| {
        let digits = text.strip_prefix("mrk-").unwrap_or(text);
        let count = digits.bytes().filter(u8::is_ascii_hexdigit).count();
        count == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    };
    let fits = match resource.split_once('/') {
        Some(("alias", name)) => plain(name),
        Some(("key", id)) => is_id(id),
        Some(_) => false,
        None => is_id(resource),
    };
    if fits && key.len() <= ENCRYPTION_KEY_NAME_MAX {
        return Ok(());
    }
    let shown: String = key.chars().take(100).collect();
    Err(Error::invalid(format!("KeyId {shown:?} is not the id, the alias or the ARN of a KMS key")))
}

/// A policy is a JSON object; what it says is not looked at here.
pub(super) fn checked_policy(policy: String) -> Result<String> {
    if policy.len() > POLICY_BYTES_MAX {
        let bytes = policy.len();
        return Err(Error::new(
            Kind::Throttled,
            format!("the policy has {bytes} bytes, at most {POLICY_BYTES_MAX} are taken"),
        ));
    }
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&policy) {
        Ok(_) => Ok(policy),
        Err(error) => Err(unsuitable(format!("the policy is not a JSON object: {error}"))),
    }
}
