//! Reads an object whole: what a configuration names lies in a bucket.

use bytes::{Bytes, BytesMut};

use super::connection::Connections;
use super::fault::Fault;
use crate::config::S3Connection;
use crate::error::{Error, Kind, Result, causes};

/// The bytes of an object of at most `bytes_max`.
///
/// # Errors
/// Those of the store; [`Kind::Invalid`] for an object that is larger.
pub async fn fetch(
    connections: &Connections,
    settings: &S3Connection,
    (bucket, key): (&str, &str),
    bytes_max: usize,
) -> Result<Bytes> {
    let connection = connections.get(settings).await?;
    let action = format!("reading s3://{bucket}/{key}");
    let mut body = match connection.client().get_object().bucket(bucket).key(key).send().await {
        Ok(found) => found.body,
        Err(error) => {
            let fault = Fault::of(&error);
            if fault.blames_credentials() {
                connection.renew().await;
            }
            return Err(match fault.status {
                Some(403) => {
                    Error::unavailable(format!("{action} failed: allow s3:GetObject on arn:aws:s3:::{bucket}/{key}"))
                }
                Some(404) if fault.code == "NoSuchKey" => {
                    Error::new(Kind::NotFound, format!("{action} failed: there is no such object"))
                }
                _ => fault.into_error(&action, bucket),
            });
        }
    };
    let mut bytes = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| Error::unavailable(format!("{action} failed: {}", causes(&error))))?;
        if bytes.len() + piece.len() > bytes_max {
            return Err(Error::invalid(format!("s3://{bucket}/{key} has more than {bytes_max} bytes")));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}
