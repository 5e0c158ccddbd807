//! The schema of a conversion is looked for when its stream is made or changed.

use serde_json::{Value, json};

use super::{ROLE, Service, create, updating};

const INVALID: &str = "InvalidArgumentException";

/// A destination that converts by this table.
fn converting(table: &str, enabled: bool, serializer: &Value) -> Value {
    json!({ "DataFormatConversionConfiguration": {
        "Enabled": enabled,
        "SchemaConfiguration": { "RoleARN": ROLE, "DatabaseName": "d", "TableName": table },
        "InputFormatConfiguration": { "Deserializer": { "OpenXJsonSerDe": {} } },
        "OutputFormatConfiguration": { "Serializer": serializer },
    } })
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_schema_cannot_be_had_is_not_made() {
    let (parquet, orc) = (json!({ "ParquetSerDe": {} }), json!({ "OrcSerDe": {} }));
    let table = [
        (
            "none",
            &parquet,
            INVALID,
            "SchemaConfiguration names a schema that is not there: AWS Glue has no table d.none",
        ),
        (
            "denied",
            &parquet,
            INVALID,
            "SchemaConfiguration cannot be used: Access was denied when calling Glue for the table d.denied: no",
        ),
        (
            "away",
            &parquet,
            "ServiceUnavailableException",
            "SchemaConfiguration cannot be checked, try again: AWS Glue does not give the table d.away: timeout",
        ),
        (
            "nested",
            &orc,
            INVALID,
            "column \"tags\" is array<string>, which cannot be written as ORC: of types, ORC objects have no array, map, \
             struct and decimal here; Parquet has them all",
        ),
    ];
    let service = Service::new().await;
    for (name, serializer, code, message) in table {
        let body = create("s", converting(name, true, serializer));
        assert_eq!(service.refused("CreateDeliveryStream", body).await, (code, message.into()), "{name}");
    }
    assert!(service.context.catalog.snapshot().is_empty());
    service.create("s", converting("nested", true, &parquet)).await;
    let taken = service.refused("CreateDeliveryStream", create("s", converting("none", true, &parquet))).await;
    assert_eq!(taken.0, "ResourceInUseException", "a name that is taken is said to be taken");
    // What is not enabled is not looked for.
    service.create("off", converting("none", false, &parquet)).await;
}

#[tokio::test(start_paused = true)]
async fn an_update_looks_for_the_schema_that_it_names() {
    let service = Service::new().await;
    let parquet = json!({ "ParquetSerDe": {} });
    service.create("s", converting("t", true, &parquet)).await;
    let update = |table: &str| {
        let schema = json!({ "SchemaConfiguration": { "TableName": table } });
        updating("s", "1", json!({ "DataFormatConversionConfiguration": schema }))
    };
    let (code, message) = service.refused("UpdateDestination", update("none")).await;
    assert!(code == INVALID && message.ends_with("AWS Glue has no table d.none"), "{message}");
    assert_eq!(service.describe("s").await["VersionId"], "1");
    service.ok("UpdateDestination", update("u")).await;
    let shown = service.destination("s").await;
    assert_eq!(shown["DataFormatConversionConfiguration"]["SchemaConfiguration"]["TableName"], "u");
}
