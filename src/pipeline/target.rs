//! What a plan remembers of the destination: everything that an object's key and bytes depend on, so that a plan
//! carried out later, by another process, under another configuration, makes the same object in the same place.
//!
//! Secrets are not in it: the ledger is a file that people look into. They come from the configuration in force.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::config::prefix::{PrefixFacts, RANDOM_CHARS, object_name};
use crate::config::{
    Builtin, Columnar, Compression, Delimiter, DeliveryStream, Destination, Level, Partitioning, Prefix, SchemaFrom,
    Source, Store,
};
use crate::destination::ObjectFacts;
use crate::error::{Error, Kind, Result};
use crate::format::{Chunk, Encoding, lines};
use crate::ledger::{ErrorType, Lane, Lanes, Plan, Share};
use crate::record::StreamId;
use crate::transform::Step;

use super::buffer::Buffer;
use super::columns;
use super::endpoint::{self, HttpTarget};
use super::place::{Place, Stored};
use super::staged::{Staged, digest_of};

/// The part of the destination's settings that is written into a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Target {
    /// Where to.
    pub place: Place,
    /// How objects are stored there; for where the settings in force are another place's.
    #[serde(default, skip_serializing_if = "Stored::is_plain")]
    pub stored: Stored,
    /// Whether aggregated records are taken apart first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unpack: bool,
    /// What becomes of records before they are joined, in order: each step with all that its outcomes depend on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub process: Vec<Step>,
    /// What became of them, where a function was called: it is delivered, and the steps are not done again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged: Option<Staged>,
    /// The HTTP endpoint that rows are sent to; what it does not take, and what fails, goes to the place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpTarget>,
    /// The table whose schema rows are converted into, as error output names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<CatalogTable>,
    /// How they are joined.
    pub delimiter: Delimiter,
    /// How they are compressed.
    pub compression: Compression,
    /// How hard.
    pub level: Level,
    /// Of a partitioned stream: by which keys rows are told apart, and the prefix that has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<Partition>,
}

/// By what the rows of a partitioned stream are told apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Partition {
    /// The keys, and what their values may be.
    #[serde(flatten)]
    pub rules: Partitioning,
    /// The prefix that has them, as it was written.
    pub prefix: String,
}

/// A table of AWS Glue, with the names that it has in error output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CatalogTable {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog_id: Option<String>,
    pub database_name: String,
    pub table_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    pub version_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog_arn: Option<String>,
}

impl CatalogTable {
    /// The one that a destination's conversion names, if its schema comes from there.
    fn of(destination: &Destination) -> Option<Self> {
        let SchemaFrom::Glue(table) = &destination.conversion.as_ref()?.schema else { return None };
        let (catalog_id, region) = (table.catalog.clone(), table.region.clone());
        let catalog_arn =
            region.as_ref().zip(catalog_id.as_ref()).map(|(region, id)| format!("arn:aws:glue:{region}:{id}:catalog"));
        Some(CatalogTable {
            database_name: table.database.clone(),
            table_name: table.table.clone(),
            version_id: table.version.clone().unwrap_or_else(|| "LATEST".to_owned()),
            catalog_id,
            region,
            catalog_arn,
        })
    }
}

impl Target {
    /// What `stream` asks for now, with these steps.
    pub(super) fn of(stream: &DeliveryStream, steps: Vec<Step>) -> Self {
        let destination = &stream.destination;
        Target {
            place: Place::of(&destination.store),
            stored: Stored::of(&destination.store),
            // As Firehose does with what it reads from Kinesis; what is put into it directly is left as it is.
            unpack: stream.source != Source::Direct,
            process: steps,
            staged: None,
            http: destination.http.as_deref().map(HttpTarget::of),
            table: CatalogTable::of(destination),
            delimiter: destination.delimiter,
            compression: destination.compression,
            level: destination.level,
            partition: partition(destination),
        }
    }

    /// Whether records become the same rows in the same lanes under both.
    pub(super) fn routes_as(&self, other: &Target) -> bool {
        let rules = |target: &Target| target.partition.as_ref().map(|partition| partition.rules.clone());
        self.unpack == other.unpack && self.process == other.process && rules(self) == rules(other)
    }

    /// Whether a function is called for it: what that answers must be kept.
    pub(super) fn calls_functions(&self) -> bool {
        self.process.iter().any(|step| matches!(step, Step::Function(_)))
    }

    /// Stands for all that a batch's rows depend on beside its records.
    pub(super) fn digest_of_steps(&self) -> String {
        digest_of(&serde_json::to_vec(&(self.unpack, &self.process)).expect("steps are plain data"))
    }

    /// The same, put into another place.
    pub(super) fn moved_to(self, store: &Store) -> Self {
        Target { place: Place::of(store), stored: Stored::of(store), ..self }
    }

    /// Reads the target of a plan.
    pub(super) fn of_plan(plan: &Plan) -> Result<Self> {
        Target::read(&plan.target).map_err(|error| {
            let message = format!("the plan for {} has a target that this program does not understand", plan.key);
            Error::new(Kind::Corrupt, message).because(error)
        })
    }

    /// Reads a target as it was written.
    pub(super) fn read(written: &serde_json::Value) -> Result<Self> {
        serde_json::from_value(written.clone())
            .map_err(|error| Error::new(Kind::Corrupt, "this target is not understood").because(error))
    }

    /// The types of error output that its steps may make beside the one that any may.
    fn error_types(&self) -> Vec<ErrorType> {
        let mut types: Vec<_> = self.process.iter().filter_map(error_type).collect();
        types.extend(self.partition.as_ref().map(|_| ErrorType::Partitioning));
        types.sort_unstable();
        types.dedup();
        types
    }

    /// The same plan, to deliver what was staged.
    pub(super) fn with_staged(self, plan: Plan, staged: Staged) -> Plan {
        Plan { target: Target { staged: Some(staged), ..self }.to_value(), ..plan }
    }

    fn to_value(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("a target is plain data")
    }

    /// What rows are converted into, if they are.
    pub(super) fn columnar(&self) -> Option<&Arc<Columnar>> {
        match self.process.last() {
            Some(Step::Convert(settings)) => Some(settings),
            _ => None,
        }
    }

    /// How rows are encoded: in the object, or, where they are to be converted, until then.
    pub(super) fn encoding(&self) -> Encoding {
        match self.columnar() {
            None => Encoding { compression: self.compression, level: self.level },
            Some(_) => columns::GATHERED,
        }
    }

    /// What is said about an object of rows beside its bytes.
    pub(super) fn facts(&self) -> ObjectFacts {
        let content_encoding = if self.columnar().is_some() { None } else { self.encoding().content_encoding() };
        ObjectFacts { content_encoding }
    }

    fn extension(&self) -> &'static str {
        self.columnar().map_or_else(|| self.encoding().extension(), |settings| settings.format.extension())
    }

    /// What stands between two chunks of an object, encoded, if anything does.
    pub(super) fn separator(&self) -> Option<Chunk> {
        (self.delimiter == Delimiter::Between && self.columnar().is_none() && self.http.is_none())
            .then(|| self.encoding().encode_chunk(lines::SEPARATOR))
    }

    /// The store to put into: the one in force when it is the same place (so that new credentials and storage settings
    /// count), else the planned one, reached with the credentials in force.
    pub(super) fn store(&self, now: &Store) -> Store {
        self.place.store(&self.stored, now)
    }
}

fn error_type(step: &Step) -> Option<ErrorType> {
    match step {
        Step::Convert(_) => Some(ErrorType::Conversion),
        Step::Builtin(Builtin::Decompress) => Some(ErrorType::Decompression),
        Step::Builtin(Builtin::Keys { .. }) => Some(ErrorType::Partitioning),
        Step::RequireJson | Step::Wasm(_) | Step::Function(_) | Step::Builtin(_) => None,
    }
}

/// The hashes of the modules that `plan` needs to be carried out.
///
/// # Errors
/// When the plan is of another version of this program: then it cannot be known.
pub fn modules(plan: &Plan) -> Result<Vec<String>> {
    Target::of_plan(plan).map(modules_of)
}

/// The hashes of the modules that are needed to route again what a partitioned stream has read above its watermark.
///
/// # Errors
/// As those of [`modules`].
pub fn modules_of_lanes(lanes: &Lanes) -> Result<Vec<String>> {
    lanes.target.as_ref().map_or(Ok(Vec::new()), |target| Target::read(target).map(modules_of))
}

fn modules_of(target: Target) -> Vec<String> {
    let steps = target.process;
    let module = |step| match step {
        Step::Wasm(step) => Some(step.sha256),
        Step::RequireJson | Step::Function(_) | Step::Builtin(_) | Step::Convert(_) => None,
    };
    steps.into_iter().filter_map(module).collect()
}

/// What the destination's prefix tells rows apart by; nothing without partition keys.
fn partition(destination: &Destination) -> Option<Partition> {
    let rules = destination.prefix.partitioning(matches!(destination.store, Store::Local { .. }))?;
    Some(Partition { rules, prefix: destination.prefix.text().to_owned() })
}

/// The staged file that `plan` needs to be carried out, if it needs one.
///
/// # Errors
/// When the plan is of another version of this program: then it cannot be known.
pub fn staged_file(plan: &Plan) -> Result<Option<String>> {
    Ok(Target::of_plan(plan)?.staged.map(|staged| staged.file))
}

/// How the objects of a plan are written, for those who look at them afterwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// Where they are.
    pub store: Store,
    /// How rows are joined.
    pub delimiter: Delimiter,
    /// How they are compressed.
    pub compression: Compression,
    /// Whether they hold rows one after the other; else a format of columns.
    pub is_joined: bool,
    /// Whether rows went to an HTTP endpoint, and no object holds them.
    pub is_sent: bool,
}

/// How the objects of `plan` are written. Its store is reached as `now`, the one in force, if that is another.
///
/// # Errors
/// When the plan is of another version of this program: then it cannot be known.
pub fn written(plan: &Plan, now: &Store) -> Result<Written> {
    let target = Target::of_plan(plan)?;
    let is_joined = target.columnar().is_none();
    let (delimiter, compression) = (target.delimiter, target.compression);
    let is_sent = target.http.is_some();
    Ok(Written { store: target.store(now), delimiter, compression, is_joined, is_sent })
}

/// Makes the plan for what `buffer` holds: the keys are fixed here, once.
pub(super) fn plan(
    id: StreamId,
    version: u64,
    (stream, steps): (&DeliveryStream, Vec<Step>),
    buffer: &Buffer,
    clock: &Clock,
) -> Plan {
    let plan = Plan {
        stream: id,
        spans: buffer.spans(),
        planned_ms: 0,
        object_ms: buffer.oldest_ms.unwrap_or_else(|| clock.now_ms()),
        version,
        key: String::new(),
        error_key: String::new(),
        error_keys: BTreeMap::new(),
        target: serde_json::Value::Null,
        share: None,
    };
    replan(&plan, version, (stream, steps), clock)
}

/// The plan for the spans of `plan` under other settings, with keys of its own.
pub(super) fn replan(plan: &Plan, version: u64, (stream, steps): (&DeliveryStream, Vec<Step>), clock: &Clock) -> Plan {
    let target = Target::of(stream, steps);
    let settings = Settings { stream, version, prefix: &stream.destination.prefix, target: &target };
    named(plan, &settings, &[], clock)
}

/// What a plan takes its keys from.
pub(super) struct Settings<'a> {
    /// The stream's settings.
    pub stream: &'a DeliveryStream,
    /// Their version.
    pub version: u64,
    /// The prefix of delivered objects.
    pub prefix: &'a Prefix,
    /// The target.
    pub target: &'a Target,
}

/// The plan with its keys, fixed here, once: `keys` are the values of the prefix's partition keys.
pub(super) fn named(plan: &Plan, settings: &Settings<'_>, keys: &[String], clock: &Clock) -> Plan {
    let Settings { stream, version, prefix, target } = *settings;
    let destination = &stream.destination;
    let (nonce, random) = (clock.uuid(), clock.uuid().replace('-', ""));
    let time_zone = destination.time_zone;
    let facts = PrefixFacts {
        object_ms: plan.object_ms,
        time_zone,
        random: &random[..RANDOM_CHARS],
        error_type: ErrorType::Processing.name(),
        keys,
    };
    // As observed on AWS, error output has no extension. A prefix may be the same for all types of errors: so each has a nonce of its own.
    let errors = |error_type, nonce: &str| {
        let name = object_name(&stream.name, version, plan.object_ms, time_zone, nonce, "");
        destination.error_prefix.evaluate(PrefixFacts { error_type, ..facts }) + &name
    };
    // What has rows of a partition has no failures.
    let has_failures = !matches!(plan.share, Some(Share { lane: Lane::Keys(_), .. }));
    let types = if has_failures { target.error_types() } else { Vec::new() };
    let extension = destination.file_extension.as_deref().unwrap_or(target.extension());
    let key = if target.http.is_some() {
        // Rows have no object; the key is that of what the endpoint does not take.
        errors(endpoint::ENDPOINT_FAILED, &clock.uuid())
    } else {
        // Whatever types this plan has: no object of rows is where error output is, or a backup.
        let mut others = ErrorType::ALL.map(|of| (&destination.error_prefix, of.name())).to_vec();
        if let Some(backup) = &stream.backup {
            others.push((&backup.destination.prefix, ErrorType::Processing.name()));
        }
        prefix.evaluate_apart(facts, &others)
            + &object_name(&stream.name, version, plan.object_ms, time_zone, &nonce, extension)
    };
    Plan {
        planned_ms: clock.now_ms(),
        version,
        key,
        error_key: errors(ErrorType::Processing.name(), &nonce),
        error_keys: types.into_iter().map(|of| (of, errors(of.name(), &clock.uuid()))).collect(),
        target: target.to_value(),
        ..plan.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Checksum, Destination, S3Connection, S3Store, Sse};

    fn stream(store: S3Store) -> DeliveryStream {
        DeliveryStream::new("web", Destination::new(Store::S3(Box::new(store))))
    }

    #[test]
    fn an_old_plan_is_stored_as_it_was_planned_though_its_stream_goes_elsewhere_now() {
        let old = S3Store {
            sse: Some(Sse::Kms { key: Some("alias/logs".to_owned()) }),
            storage_class: Some("GLACIER_IR".to_owned()),
            acl: Some("private".to_owned()),
            tags: vec![("team".to_owned(), "web".to_owned())],
            checksum: Checksum::Sha256,
            ..S3Store::new("old", S3Connection::default())
        };
        let planned = serde_json::to_value(Target::of(&stream(old.clone()), Vec::new())).unwrap();
        let planned: Target = serde_json::from_value(planned).unwrap();
        let now = Store::S3(Box::new(S3Store::new("new", S3Connection::default())));
        assert_eq!(planned.store(&now), Store::S3(Box::new(old)));
        let plain =
            serde_json::to_value(Target::of(&stream(S3Store::new("b", S3Connection::default())), Vec::new())).unwrap();
        assert!(plain.get("stored").is_none() && plain.get("unpack").is_none(), "{plain}");
    }
}
