//! What AWS says about a ProcessingConfiguration. We have none of its processors yet; see `checks`.

use crate::error::{Error, Result};

use super::destination::{ProcessingConfiguration, Processor};

const PROCESSORS_MAX: usize = 5;

/// Checks it as AWS does; the type of a processor that would have to run, if any.
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
    if processors.iter().filter(|processor| processor.r#type == "Lambda").count() > 1 {
        return Err(Error::invalid("Cannot have more than 1 Lambda processor."));
    }
    for processor in processors {
        match processor.r#type.as_str() {
            "Lambda" => lambda(processor)?,
            "MetadataExtraction" => metadata_extraction(processor, partitioned)?,
            "RecordDeAggregation" => record_de_aggregation(processor, partitioned)?,
            "CloudWatchLogProcessing" => log_processing(processor, processors)?,
            _ => {}
        }
    }
    Ok(processors.first().map(|processor| processor.r#type.as_str()))
}

fn lambda(processor: &Processor) -> Result<()> {
    if processor.parameter("LambdaArn").is_none() {
        return Err(Error::invalid("LambdaArn is required when Lambda processor is used."));
    }
    if !within(processor.parameter("NumberOfRetries"), 0.0, 300.0) {
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
