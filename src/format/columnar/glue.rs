//! Schemas of tables in AWS Glue.

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_sdk_glue::Client;
use aws_sdk_glue::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_glue::types::Table;

use crate::config::{GlueTable, TableSchema};
use crate::error::{Error, Kind, Result};
use crate::limits::GLUE_TIME_MAX;

/// Asks AWS Glue for the columns of a table, without its partition keys, which are in the paths of objects and not in them.
///
/// # Errors
/// [`Kind::NotFound`] where there is no such table, database or version, [`Kind::Invalid`] where it has columns that cannot be
/// written or we may not ask, [`Kind::Unavailable`] where the service does not answer.
pub async fn glue_table(from: &GlueTable) -> Result<TableSchema> {
    let client = client(from).await?;
    let table = match &from.version {
        None => latest(&client, from).await?,
        Some(version) => of_version(&client, from, version).await?,
    };
    let name = format!("{}.{}", from.database, from.table);
    let table = table.ok_or_else(|| Error::new(Kind::NotFound, format!("AWS Glue has no table {name}")))?;
    let columns = table.storage_descriptor().map(aws_sdk_glue::types::StorageDescriptor::columns).unwrap_or_default();
    let texts = columns.iter().map(|column| (column.name(), column.r#type().unwrap_or_default()));
    TableSchema::of_texts(texts).map_err(|error| Error::invalid(format!("the Glue table {name}: {}", error.message())))
}

async fn latest(client: &Client, from: &GlueTable) -> Result<Option<Table>> {
    let call = client.get_table().database_name(&from.database).name(&from.table).set_catalog_id(from.catalog.clone());
    call.send().await.map(|answer| answer.table).map_err(|error| fault(from, &error))
}

async fn of_version(client: &Client, from: &GlueTable, version: &str) -> Result<Option<Table>> {
    let call = client
        .get_table_version()
        .database_name(&from.database)
        .table_name(&from.table)
        .version_id(version)
        .set_catalog_id(from.catalog.clone());
    let answer = call.send().await.map_err(|error| fault(from, &error))?;
    Ok(answer.table_version.and_then(|version| version.table))
}

async fn client(from: &GlueTable) -> Result<Client> {
    let timeouts = TimeoutConfig::builder().operation_timeout(GLUE_TIME_MAX).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
    if let Some(region) = &from.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &from.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(profile) = &from.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(keys) = &from.credentials {
        let token = keys.session_token.as_ref().map(|token| token.reveal().clone());
        let secret = keys.secret_access_key.reveal();
        loader = loader.credentials_provider(Credentials::from_keys(&keys.access_key_id, secret, token));
    }
    let config = loader.load().await;
    if config.region().is_none() {
        return Err(Error::invalid("no region for AWS Glue: set `region`, or AWS_REGION, or one in the profile"));
    }
    Ok(Client::new(&config))
}

fn fault<E, R>(from: &GlueTable, error: &SdkError<E, R>) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    let name = format!("{}.{}", from.database, from.table);
    let kind = match error.as_service_error().and_then(ProvideErrorMetadata::code) {
        Some("EntityNotFoundException") => Kind::NotFound,
        Some("AccessDeniedException" | "InvalidInputException" | "UnrecognizedClientException") => Kind::Invalid,
        _ => Kind::Unavailable,
    };
    let said = error.as_service_error().and_then(ProvideErrorMetadata::message);
    let said = said.map_or_else(|| DisplayErrorContext(error).to_string(), str::to_owned);
    let denied = error.as_service_error().and_then(ProvideErrorMetadata::code) == Some("AccessDeniedException");
    // Clients of Firehose know its error by the first words.
    let fault = if denied { "Access was denied when calling Glue for" } else { "AWS Glue does not give" };
    Error::new(kind, format!("{fault} the table {name}: {said}"))
}
