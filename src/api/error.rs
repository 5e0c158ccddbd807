//! What a client is told when a call fails: one code, one HTTP status, one message; and the only table from
//! [`Kind`] to codes.
//!
//! The body is `{"__type": code, "message": text}`: botocore takes the code from there alone; other SDKs read the
//! header `x-amzn-ErrorType`, so both are sent. The statuses are those of AWS's common errors: 400 for what the
//! caller asked wrongly, 403 for who the caller is, 503 for "nothing was stored, try again".

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::error::{Error, Kind};

/// A failed call, as the wire shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    /// The exception's name.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// For a person; clients match on some of them, so they are AWS's own texts where those are known.
    pub message: Cow<'static, str>,
    /// Members of the body besides `__type` and `message`; few errors have any.
    pub members: Option<Box<Map<String, Value>>>,
    /// What went wrong inside, for us to read; never on the wire.
    pub cause: Option<String>,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal;)*) => {
        impl ApiError {
            $($(#[$doc])*
            pub fn $name(message: impl Into<Cow<'static, str>>) -> Self {
                ApiError::new($code, $status, message)
            })*
        }
    };
}

codes! {
    /// A constraint of the API's model is broken.
    validation = "ValidationException", 400;
    /// The shape is right and its meaning is not.
    invalid_argument = "InvalidArgumentException", 400;
    /// No such stream, or none that takes calls.
    resource_not_found = "ResourceNotFoundException", 400;
    /// The stream exists already, or is busy with another change.
    resource_in_use = "ResourceInUseException", 400;
    /// Too many of something.
    limit_exceeded = "LimitExceededException", 400;
    /// The version that the caller knew is no longer the current one.
    concurrent_modification = "ConcurrentModificationException", 400;
    /// The stream does not take records from this caller.
    invalid_source = "InvalidSourceException", 400;
    /// Nothing was stored; a retry is welcome.
    service_unavailable = "ServiceUnavailableException", 503;
    /// The body is not what the protocol wants: broken JSON, a wrong type, base64 that is none.
    serialization = "SerializationException", 400;
    /// `X-Amz-Target` names no operation of ours.
    unknown_operation = "UnknownOperationException", 400;
    /// The request carries no credentials.
    missing_authentication_token = "MissingAuthenticationTokenException", 403;
    /// The credentials are not in the form that Signature Version 4 wants.
    incomplete_signature = "IncompleteSignatureException", 400;
    /// The signature is wrong, too old, or for another region or service.
    invalid_signature = "InvalidSignatureException", 403;
    /// The access key or its session token is not known.
    unrecognized_client = "UnrecognizedClientException", 403;
    /// The session token is past its time.
    expired_token = "ExpiredTokenException", 403;
    /// The caller is known and may not do this.
    access_denied = "AccessDeniedException", 400;
    /// Too many calls.
    throttling = "ThrottlingException", 400;
    /// More records than a shard takes or gives.
    provisioned_throughput_exceeded = "ProvisionedThroughputExceededException", 400;
    /// A shard iterator past its time.
    expired_iterator = "ExpiredIteratorException", 400;
    /// The token of a list past its time.
    expired_next_token = "ExpiredNextTokenException", 400;
    /// The call would have succeeded, and was asked not to.
    dry_run_operation = "DryRunOperationException", 400;
    /// A fault of ours.
    internal_failure = "InternalFailure", 500;
    /// The body is larger than any valid request of this API.
    request_too_large = "RequestEntityTooLargeException", 413;
    /// Plain ingest: a content type or coding that is not one of ours.
    unsupported_media_type = "UnsupportedMediaTypeException", 415;
    /// The client was too slow with its request.
    request_timeout = "RequestTimeoutException", 408;
}

impl ApiError {
    fn new(code: &'static str, status: u16, message: impl Into<Cow<'static, str>>) -> Self {
        ApiError { code, status, message: message.into(), members: None, cause: None }
    }

    /// The key management service refused; `code` is its own code, which the model wants beside ours.
    pub fn invalid_kms_resource(code: &str, message: impl Into<Cow<'static, str>>) -> Self {
        ApiError::new("InvalidKMSResourceException", 400, message).with("code", code)
    }

    /// Adds a member to the body.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.get_or_insert_default().insert(name.to_owned(), value.into());
        self
    }

    /// The body: `{"__type": …, "message": …}` and what [`with`](Self::with) added.
    pub fn body(&self) -> Vec<u8> {
        let mut body = Map::new();
        body.insert("__type".to_owned(), self.code.into());
        body.insert("message".to_owned(), self.message.as_ref().into());
        body.extend(self.members.iter().flat_map(|members| members.as_ref().clone()));
        serde_json::to_vec(&Value::Object(body)).expect("a map of strings and values is always JSON")
    }
}

/// The one table from what happened to what the client is told.
///
/// What went wrong inside (paths, system errors) stays inside: those messages are ours to read, not the client's.
impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let message = error.message().to_owned();
        let mut api = match error.kind() {
            Kind::Invalid => ApiError::invalid_argument(message),
            Kind::NotFound => ApiError::resource_not_found(message),
            Kind::Conflict => ApiError::resource_in_use(message),
            Kind::Throttled => ApiError::throttling("Rate exceeded"),
            Kind::Unavailable => ApiError::service_unavailable("Slow down."),
            Kind::Closed => ApiError::service_unavailable("The service is shutting down."),
            Kind::Corrupt | Kind::Internal => ApiError::internal_failure("The request failed for an internal reason."),
        };
        api.cause = Some(error.to_string());
        api
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_code_and_inner_messages_stay_inside() {
        let table = [
            (Kind::Invalid, "InvalidArgumentException", 400, "at /secret/path"),
            (Kind::NotFound, "ResourceNotFoundException", 400, "at /secret/path"),
            (Kind::Conflict, "ResourceInUseException", 400, "at /secret/path"),
            (Kind::Throttled, "ThrottlingException", 400, "Rate exceeded"),
            (Kind::Unavailable, "ServiceUnavailableException", 503, "Slow down."),
            (Kind::Closed, "ServiceUnavailableException", 503, "The service is shutting down."),
            (Kind::Corrupt, "InternalFailure", 500, "The request failed for an internal reason."),
            (Kind::Internal, "InternalFailure", 500, "The request failed for an internal reason."),
        ];
        for (kind, code, status, message) in table {
            let error = ApiError::from(Error::new(kind, "at /secret/path"));
            assert_eq!((error.code, error.status, &*error.message), (code, status, message));
            assert_eq!(error.cause.as_deref(), Some("at /secret/path"));
        }
    }

    #[test]
    fn the_body_has_type_message_and_members() {
        let error = ApiError::invalid_kms_resource("KMS.NotFoundException", "no \"key\"");
        assert_eq!(
            String::from_utf8(error.body()).unwrap(),
            r#"{"__type":"InvalidKMSResourceException","message":"no \"key\"","code":"KMS.NotFoundException"}"#
        );
    }
}
