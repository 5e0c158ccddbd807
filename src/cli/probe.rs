//! `standpipe check --probe`: tries each destination for real, and asks AWS Glue for the schemas that it is to give.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use super::setup;
use super::terminal::say;
use crate::config::{Config, DeliveryStream, SchemaFrom};
use crate::destination::Stores;
use crate::format::columnar::glue_table;

/// Probes the destinations of the file at `path`, which was found right; a line for each stream.
pub(super) fn run(path: &Path) -> ExitCode {
    match setup::load(path) {
        Ok(config) => setup::block_on(true, probe_all(config)),
        Err(code) => code,
    }
}

async fn probe_all(config: Config) -> ExitCode {
    let stores = Stores::new();
    let mut code = ExitCode::SUCCESS;
    for stream in &config.delivery_streams {
        match probe(&stores, stream).await {
            Ok(finding) => say(format_args!("{}: ok: {finding}", stream.name)),
            Err(error) => {
                say(format_args!("{}: FAILED: {error}", stream.name));
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

async fn probe(stores: &Stores, stream: &DeliveryStream) -> crate::error::Result<String> {
    let mut finding = stores.open(&stream.destination.store, stream.destination.prefix.head()).await?.probe().await?;
    if let Some(conversion) = &stream.destination.conversion
        && let SchemaFrom::Glue(table) = &conversion.schema
    {
        let columns = glue_table(table).await?;
        let count = columns.columns().len();
        conversion.resolved(Some(columns))?;
        let _ = write!(finding, "; the Glue table {}.{} has {count} columns", table.database, table.table);
    }
    Ok(finding)
}
