//! What AWS says about a ProcessingConfiguration, and what its processors mean: a Lambda function is a plugin or a function of
//! the configuration file, by its name; the others are built in. AppendDelimiterToRecord is none of the steps that records
//! go through: it says how they are joined.

use serde_json::{Value, json};

use crate::config::names::{function_arn, function_of_arn};
use crate::config::query::Query;
use crate::config::{self, Builtin, Delimiter, DeliveryStream, SubRecords};
use crate::error::{Error, Result};

use super::destination::{ProcessingConfiguration, Processor};

const PROCESSORS_MAX: usize = 5;

/// Bytes of what AWS calls a MB.
const MIB: f64 = 1_048_576.0;
const LAMBDA: &str = "Lambda";
const APPEND_DELIMITER: &str = "AppendDelimiterToRecord";
const ENGINE: &str = "JQ-1.6";

/// The types that a stream of ours may have, in the order in which their work is done, whatever the order they are given in.
const ORDER: [&str; 6] =
    ["Decompression", "CloudWatchLogProcessing", "RecordDeAggregation", LAMBDA, "MetadataExtraction", APPEND_DELIMITER];

/// Checks it as AWS does.
pub(super) fn check(given: &ProcessingConfiguration, partitioned: bool) -> Result<()> {
    let processors = &given.processors;
    match given.enabled {
        Some(false) => return Ok(()),
        None if processors.is_empty() => return Ok(()),
        // AWS does not say what it takes this for; to guess would be to run or to ignore processors unasked.
        None => return Err(Error::invalid("ProcessingConfiguration.Enabled is required when Processors are given")),
        Some(true) => {}
    }
    if processors.is_empty() || processors.len() > PROCESSORS_MAX {
        return Err(Error::invalid(format!(
            "A maximum of {PROCESSORS_MAX} and a minimum of 1 processor needs to be supplied when processing is enabled."
        )));
    }
    for kind in [LAMBDA].into_iter().chain(ORDER) {
        if processors.iter().filter(|processor| processor.r#type == kind).count() > 1 {
            return Err(Error::invalid(format!("Cannot have more than 1 {kind} processor.")));
        }
    }
    for processor in processors {
        match processor.r#type.as_str() {
            LAMBDA => lambda(processor)?,
            "MetadataExtraction" => metadata_extraction(processor, partitioned)?,
            "RecordDeAggregation" => drop(record_de_aggregation(processor, partitioned)?),
            "CloudWatchLogProcessing" => drop(log_processing(processor, processors)?),
            "Decompression" => decompression(processor)?,
            APPEND_DELIMITER => {}
            other => return Err(Error::invalid(format!("processor type {other} is not supported yet by Standpipe"))),
        }
    }
    Ok(())
}

/// What AWS makes of it when it is stored: AppendDelimiterToRecord has no parameters, and those that are given are dropped.
pub(super) fn complete(given: &mut Value) {
    let processors = given.get_mut("Processors").and_then(Value::as_array_mut);
    for processor in processors.into_iter().flatten().filter(|processor| processor["Type"] == APPEND_DELIMITER) {
        if let Some(parameters) = processor.get_mut("Parameters") {
            *parameters = json!([]);
        }
    }
}

/// What the processors do, once they are checked.
pub(super) fn steps(given: &ProcessingConfiguration) -> Result<Vec<config::Processor>> {
    let mut steps = Vec::new();
    for kind in ORDER {
        if let Some(processor) = active(given, kind) {
            steps.extend(step(processor, &given.processors)?);
        }
    }
    Ok(steps)
}

/// What they put between records.
pub(super) fn delimiter(given: &ProcessingConfiguration) -> Delimiter {
    if active(given, APPEND_DELIMITER).is_some() { Delimiter::Between } else { Delimiter::Never }
}

fn active<'a>(given: &'a ProcessingConfiguration, kind: &str) -> Option<&'a Processor> {
    given.processors.iter().find(|processor| given.enabled == Some(true) && processor.r#type == kind)
}

/// The step of one processor, where it is one.
fn step(processor: &Processor, all: &[Processor]) -> Result<Option<config::Processor>> {
    let builtin = match processor.r#type.as_str() {
        LAMBDA => return plugin(processor).map(Some),
        "Decompression" => Builtin::Decompress,
        "CloudWatchLogProcessing" if log_processing(processor, all)? => Builtin::CloudwatchLogs,
        "RecordDeAggregation" => Builtin::Deaggregate(record_de_aggregation(processor, true)?),
        "MetadataExtraction" => {
            let query = processor.parameter("MetadataExtractionQuery").map(str::to_owned);
            Builtin::Keys { query, event_time: None }
        }
        _ => return Ok(None),
    };
    Ok(Some(config::Processor::Builtin(builtin)))
}

/// The plugin that a Lambda processor means. Its retries and its size are a function's; what runs inside needs neither, and
/// nothing here waits for `BufferIntervalInSeconds`, since records are processed when their object is due.
fn plugin(lambda: &Processor) -> Result<config::Processor> {
    let arn = lambda.parameter("LambdaArn").unwrap_or_default();
    let name = function_of_arn(arn).ok_or_else(|| {
        let shown: String = arn.chars().take(300).collect();
        Error::invalid(format!(
            "LambdaArn {shown:?} is not the ARN of a function: it has the form \
             \"arn:aws:lambda:REGION:ACCOUNT:function:NAME\", perhaps with a qualifier"
        ))
    })?;
    let parameter = |name| lambda.parameter(name).map(str::trim);
    let size = parameter("BufferSizeInMBs").and_then(|text| text.parse::<f64>().ok());
    #[expect(clippy::cast_sign_loss, reason = "it is between 0.2 and 3")]
    let batch_bytes = size.map(|size| (size * MIB) as u32);
    Ok(config::Processor::Plugin {
        name: name.to_owned(),
        config: std::collections::BTreeMap::new(),
        retries: parameter("NumberOfRetries").and_then(|text| text.parse().ok()),
        batch_bytes,
    })
}

/// What is done to records of a stream of the configuration file in the API's words; none when it is nothing that the API
/// could say.
pub(super) fn describe(stream: &DeliveryStream, region: &str, account: &str, role: &str) -> Option<Value> {
    let one = |step: &config::Processor| match step {
        config::Processor::RequireJson => None,
        config::Processor::Plugin { name, retries, batch_bytes, .. } => {
            let arn = function_arn(region, account, name);
            let size = batch_bytes.map(|bytes| format!("{}", (f64::from(bytes) / MIB * 100.0).round() / 100.0));
            let all = [
                ("LambdaArn", Some(arn)),
                ("RoleArn", Some(role.to_owned())),
                ("NumberOfRetries", retries.map(|retries| retries.to_string())),
                ("BufferSizeInMBs", size),
            ];
            Some(shown(LAMBDA, all.into_iter().filter_map(|(name, value)| Some((name, value?)))))
        }
        config::Processor::Builtin(builtin) => described(builtin),
    };
    let mut processors: Vec<_> = stream.process.iter().filter_map(one).collect();
    if stream.destination.delimiter == Delimiter::Between {
        processors.push(shown(APPEND_DELIMITER, []));
    }
    (!processors.is_empty()).then(|| json!({ "Enabled": true, "Processors": processors }))
}

/// One that is built in; an event time is nothing that the API knows.
fn described(builtin: &Builtin) -> Option<Value> {
    let text = str::to_owned;
    Some(match builtin {
        Builtin::Decompress => shown("Decompression", [("CompressionFormat", text("GZIP"))]),
        Builtin::CloudwatchLogs => shown("CloudWatchLogProcessing", [("DataMessageExtraction", text("True"))]),
        Builtin::Deaggregate(SubRecords::Json) => shown("RecordDeAggregation", [("SubRecordType", text("JSON"))]),
        Builtin::Deaggregate(SubRecords::Delimited(delimiter)) => {
            shown("RecordDeAggregation", [("SubRecordType", text("DELIMITED")), ("Delimiter", delimiter.clone())])
        }
        Builtin::Keys { query, .. } => {
            let query = query.clone()?;
            shown("MetadataExtraction", [("MetadataExtractionQuery", query), ("JsonParsingEngine", text(ENGINE))])
        }
    })
}

fn shown(kind: &str, parameters: impl IntoIterator<Item = (&'static str, String)>) -> Value {
    let parameter = |(name, value)| json!({ "ParameterName": name, "ParameterValue": value });
    let parameters: Vec<_> = parameters.into_iter().map(parameter).collect();
    json!({ "Type": kind, "Parameters": parameters })
}

fn lambda(processor: &Processor) -> Result<()> {
    if processor.parameter("LambdaArn").is_none() {
        return Err(Error::invalid("LambdaArn is required when Lambda processor is used."));
    }
    let retries = processor.parameter("NumberOfRetries");
    if !within(retries, 0.0, 300.0) || retries.is_some_and(|retries| retries.trim().parse::<u32>().is_err()) {
        return Err(Error::invalid("Number of retries for lambda must be between 0 and 300."));
    }
    let (size, interval) = (processor.parameter("BufferSizeInMBs"), processor.parameter("BufferIntervalInSeconds"));
    if size.is_some() != interval.is_some() {
        return Err(Error::invalid(
            "Both BufferSizeInMBs and BufferIntervalInSeconds are required to configure buffering for lambda processor.",
        ));
    }
    if !within(size, 0.2, 3.0) {
        return Err(Error::invalid("BufferSizeInMBs for lambda processor must be between 0.2 and 3."));
    }
    if !within(interval, 0.0, 900.0) {
        return Err(Error::invalid("BufferIntervalInSeconds for lambda processor must be between 0 and 900."));
    }
    Ok(())
}

fn metadata_extraction(processor: &Processor, partitioned: bool) -> Result<()> {
    needs_partitioning(partitioned, "MetadataExtractionProcessor")?;
    if processor.parameter("JsonParsingEngine") != Some(ENGINE) {
        return Err(Error::invalid("MetaDataExtraction JSON Parsing Engine has to be one of JQ-1.6"));
    }
    let query = processor.parameter("MetadataExtractionQuery");
    let query = query.ok_or_else(|| {
        Error::invalid("MetadataExtractionQuery is required when MetadataExtraction processor is used.")
    })?;
    Query::parse(query)
        .map(drop)
        .map_err(|error| Error::invalid(format!("MetadataExtractionQuery cannot be used: {}", error.message())))
}

fn record_de_aggregation(processor: &Processor, partitioned: bool) -> Result<SubRecords> {
    needs_partitioning(partitioned, "RecordDeAggregationProcessor")?;
    match (processor.parameter("SubRecordType"), processor.parameter("Delimiter")) {
        (Some("JSON"), _) => Ok(SubRecords::Json),
        (Some("DELIMITED"), Some(delimiter)) => {
            let bytes = base64_simd::STANDARD.decode_to_vec(delimiter);
            let bytes = bytes.map_err(|_| Error::invalid("Delimiter has to be base64 encoded"))?;
            SubRecords::delimited(&bytes)
        }
        (Some("DELIMITED"), None) => Err(Error::invalid("Delimiter should be present for DELIMITED")),
        _ => Err(Error::invalid("SubRecordType has to be one of JSON, DELIMITED")),
    }
}

fn decompression(processor: &Processor) -> Result<()> {
    match processor.parameter("CompressionFormat") {
        None | Some("GZIP") => Ok(()),
        Some(_) => Err(Error::invalid("CompressionFormat for Decompression processor has to be GZIP")),
    }
}

/// Whether messages are extracted.
fn log_processing(processor: &Processor, all: &[Processor]) -> Result<bool> {
    if !all.iter().any(|other| other.r#type == "Decompression") {
        return Err(Error::invalid("CloudWatchLogProcessingProcessor can only be enabled with DecompressionProcessor"));
    }
    match processor.parameter("DataMessageExtraction") {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
        Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => {
            Err(Error::invalid("Invalid parameter value for DataMessageExtraction. Allowed values are True and False."))
        }
    }
}

fn needs_partitioning(partitioned: bool, class: &str) -> Result<()> {
    if partitioned {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "class com.amazonaws.services.firehose.internal.model.{class} can only be present when Dynamic Partitioning is \
         enabled."
    )))
}

/// Whether a parameter that is a number is in range; one that is missing is.
fn within(value: Option<&str>, min: f64, max: f64) -> bool {
    value.is_none_or(|text| text.trim().parse::<f64>().is_ok_and(|number| (min..=max).contains(&number)))
}

impl Processor {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|parameter| parameter.name == name).map(|parameter| parameter.value.as_str())
    }
}
