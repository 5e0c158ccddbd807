//! AWS Glue, as a small server that answers for it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use super::*;
use crate::config::{AwsCredentials, GlueTable, Secret};
use crate::error::Kind;

/// Answers one request with `status` and `body`; gives back what was asked.
fn answering(status: u16, body: &'static str) -> (SocketAddr, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let served = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let (mut request, mut block) = (Vec::new(), [0; 4_096]);
        while !request.ends_with(b"}") {
            let read = connection.read(&mut block).unwrap();
            request.extend_from_slice(&block[..read]);
        }
        let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.1\r\nconnection: close\r\n");
        write!(connection, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        String::from_utf8_lossy(&request).into_owned()
    });
    (address, served)
}

fn events(address: SocketAddr) -> GlueTable {
    GlueTable {
        database: "lake".into(),
        table: "events".into(),
        region: Some("eu-central-1".into()),
        endpoint: Some(format!("http://{address}")),
        credentials: Some(AwsCredentials {
            access_key_id: "AKID".into(),
            secret_access_key: Secret::new("secret".into()),
            session_token: None,
        }),
        ..GlueTable::default()
    }
}

#[tokio::test]
async fn columns_are_read_without_partition_keys() {
    let (address, served) = answering(
        200,
        r#"{"Table":{"Name":"events","StorageDescriptor":{"Columns":[{"Name":"id","Type":"bigint"},
            {"Name":"tags","Type":"array<struct<k:string>>"}]},"PartitionKeys":[{"Name":"dt","Type":"string"}]}}"#,
    );
    let found = glue_table(&events(address)).await.unwrap();
    assert_eq!(found, table(&[("id", "bigint"), ("tags", "array<struct<k:string>>")]));
    let request = served.join().unwrap().to_lowercase();
    assert!(request.contains("x-amz-target: awsglue.gettable\r\n"), "{request}");
    assert!(request.contains(r#""databasename":"lake""#) && !request.contains("catalogid"), "{request}");
}

#[tokio::test]
async fn a_version_is_asked_for_by_its_id() {
    let (address, served) = answering(
        200,
        r#"{"TableVersion":{"VersionId":"7","Table":{"Name":"events","StorageDescriptor":{"Columns":[{"Name":"id","Type":"int"}]}}}}"#,
    );
    let from = GlueTable { version: Some("7".into()), catalog: Some("123".into()), ..events(address) };
    assert_eq!(glue_table(&from).await.unwrap(), table(&[("id", "int")]));
    let request = served.join().unwrap();
    assert!(request.contains(r#""VersionId":"7""#) && request.contains(r#""CatalogId":"123""#), "{request}");
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    for (status, body, kind, message) in [
        (
            400,
            r#"{"__type":"EntityNotFoundException","Message":"Entity Not Found"}"#,
            Kind::NotFound,
            "AWS Glue does not give the table lake.events: Entity Not Found",
        ),
        (
            400,
            r#"{"__type":"AccessDeniedException","Message":"no"}"#,
            Kind::Invalid,
            "Access was denied when calling Glue for the table lake.events: no",
        ),
        (
            200,
            r#"{"Table":{"Name":"events","StorageDescriptor":{"Columns":[{"Name":"u","Type":"uniontype<int>"}]}}}"#,
            Kind::Invalid,
            "the Glue table lake.events: column \"u\": uniontype cannot be written",
        ),
        (200, r#"{"Table":{"Name":"events"}}"#, Kind::Invalid, "the Glue table lake.events: a table must have columns"),
        (200, "{}", Kind::NotFound, "AWS Glue has no table lake.events"),
    ] {
        let (address, served) = answering(status, body);
        let error = glue_table(&events(address)).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (kind, message));
        served.join().unwrap();
    }
}
