//! What AWS says about a ProcessingConfiguration, and what its one processor that we have means: a Lambda function is a
//! plugin or a function of the configuration file, by its name.

use serde_json::{Value, json};

use crate::config;
use crate::config::names::{function_arn, function_of_arn};
use crate::error::{Error, Result};

use super::destination::{ProcessingConfiguration, Processor};

const PROCESSORS_MAX: usize = 5;

/// Bytes of what AWS calls a MB.
const MIB: f64 = 1_048_576.0;
const LAMBDA: &str = "Lambda";

/// Checks it as AWS does; the type of a processor that would have to run and that we lack, if any.
pub(super) fn check(given: &ProcessingConfiguration, partitioned: bool) -> Result<Option<&str>> {
    let processors = &given.processors;
    match given.enabled {
        Some(false) => return Ok(None),
        None if processors.is_empty() => return Ok(None),
        // AWS does not say what it takes this for; to guess would be to run or to ignore processors unasked.
        None => return Err(Error::invalid("ProcessingConfiguration.Enabled is required when Processors are given")),
        Some(true) => {}
    }
    if processors.is_empty() || processors.len() > PROCESSORS_MAX {
        return Err(Error::invalid(format!(
            "A maximum of {PROCESSORS_MAX} and a minimum of 1 processor needs to be supplied when processing is enabled."
        )));
    }
    if processors.iter().filter(|processor| processor.r#type == LAMBDA).count() > 1 {
        return Err(Error::invalid("Cannot have more than 1 Lambda processor."));
    }
    for processor in processors {
        match processor.r#type.as_str() {
            LAMBDA => lambda(processor)?,
            "MetadataExtraction" => metadata_extraction(processor, partitioned)?,
            "RecordDeAggregation" => record_de_aggregation(processor, partitioned)?,
            "CloudWatchLogProcessing" => log_processing(processor, processors)?,
            _ => {}
        }
    }
    Ok(processors.iter().map(|processor| processor.r#type.as_str()).find(|kind| *kind != LAMBDA))
}

/// What the processors do, once they are checked.
pub(super) fn steps(given: &ProcessingConfiguration) -> Result<Vec<config::Processor>> {
    let on = given.enabled == Some(true);
    given.processors.iter().filter(|processor| on && processor.r#type == LAMBDA).map(step).collect()
}

/// The plugin that a Lambda processor means. Its retries and its size are a function's; what runs inside needs neither, and
/// nothing here waits for `BufferIntervalInSeconds`, since records are processed when their object is due.
fn step(lambda: &Processor) -> Result<config::Processor> {
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

/// The steps of a stream of the configuration file in the API's words; none when it has none that the API could say.
pub(super) fn describe(steps: &[config::Processor], region: &str, account: &str, role: &str) -> Option<Value> {
    let lambda = |step: &config::Processor| {
        let config::Processor::Plugin { name, retries, batch_bytes, .. } = step else { return None };
        let mut parameters = vec![
            json!({ "ParameterName": "LambdaArn", "ParameterValue": function_arn(region, account, name) }),
            json!({ "ParameterName": "RoleArn", "ParameterValue": role }),
        ];
        if let Some(retries) = retries {
            parameters.push(json!({ "ParameterName": "NumberOfRetries", "ParameterValue": retries.to_string() }));
        }
        if let Some(bytes) = batch_bytes {
            let size = format!("{}", (f64::from(*bytes) / MIB * 100.0).round() / 100.0);
            parameters.push(json!({ "ParameterName": "BufferSizeInMBs", "ParameterValue": size }));
        }
        Some(json!({ "Type": LAMBDA, "Parameters": parameters }))
    };
    let processors: Vec<_> = steps.iter().filter_map(lambda).collect();
    (!processors.is_empty()).then(|| json!({ "Enabled": true, "Processors": processors }))
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
    if processor.parameter("JsonParsingEngine") != Some("JQ-1.6") {
        return Err(Error::invalid("MetaDataExtraction JSON Parsing Engine has to be one of JQ-1.6"));
    }
    Ok(())
}

fn record_de_aggregation(processor: &Processor, partitioned: bool) -> Result<()> {
    needs_partitioning(partitioned, "RecordDeAggregationProcessor")?;
    match processor.parameter("SubRecordType") {
        Some("JSON") => Ok(()),
        Some("DELIMITED") if processor.parameter("Delimiter").is_some() => Ok(()),
        Some("DELIMITED") => Err(Error::invalid("Delimiter should be present for DELIMITED")),
        _ => Err(Error::invalid("SubRecordType has to be one of JSON, DELIMITED")),
    }
}

fn log_processing(processor: &Processor, all: &[Processor]) -> Result<()> {
    if !all.iter().any(|other| other.r#type == "Decompression") {
        return Err(Error::invalid("CloudWatchLogProcessingProcessor can only be enabled with DecompressionProcessor"));
    }
    match processor.parameter("DataMessageExtraction") {
        None => Ok(()),
        Some(value) if value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") => Ok(()),
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
