//! GetShardIterator: a place in a shard, sealed into a text.

use super::super::{Document, Wire, address, answer, schema};
use super::{dry_run, told};
use crate::api::access::Gate;
use crate::api::server::{Received, Response};
use crate::api::{ApiError, Context};
use crate::stream::data::{SequenceNumber, Start, Token, shard_index};

/// Where a reader says that it begins.
pub(crate) struct Position<'a> {
    /// One of the five types.
    pub(crate) kind: &'a str,
    /// A sequence number.
    pub(crate) number: Option<&'a str>,
    /// Milliseconds since 1970.
    pub(crate) time_ms: Option<u64>,
}

/// # Errors
/// `InvalidArgumentException` for a position that cannot be; `ResourceNotFoundException`; `DryRunOperationException`.
pub(super) async fn call(context: &Context, gate: &Gate<'_>, wire: Wire, body: Received) -> Result<Response, ApiError> {
    let input = schema::read("GetShardIterator", wire, &body.bytes)?;
    let name = address::stream(context, gate, "GetShardIterator", &input)?;
    let stream = context.data_streams.get(&name).map_err(told)?;
    let shard = shard_of(context, &name, &input)?;
    let position = Position {
        kind: input.text("ShardIteratorType").unwrap_or_default(),
        number: input.text("StartingSequenceNumber"),
        time_ms: input.time("Timestamp"),
    };
    let start = start_of(&position).map_err(|fault| fault.told(context, &name, shard))?;
    let position = stream.start(shard, start).await.map_err(told)?;
    if input.flag("DryRun") {
        return Err(dry_run());
    }
    let token = Token::Iterator { stream: stream.id(), shard, position };
    let token = context.data_streams.tokens().seal(&token, context.clock.now_ms());
    Ok(answer(wire, &Document::map([("ShardIterator", token.into())])))
}

/// The shard that `ShardId` names.
///
/// # Errors
/// `ResourceNotFoundException` for what is no shard's name.
pub(crate) fn shard_of(context: &Context, stream: &str, input: &Document) -> Result<u32, ApiError> {
    let shard = input.text("ShardId").unwrap_or_default();
    shard_index(shard).map_err(|_| context.data_streams.settings().shard_not_found(stream, shard).into())
}

/// Why a position cannot be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A number without a type that takes one, or such a type without a number.
    Number { kind: String, given: bool },
    /// A type that takes a time, without one.
    NoTime,
    /// A number that was never given.
    Foreign { number: String },
}

/// Where a reader begins that names `position`. The number 0 is before all others: AWS takes it for the horizon.
pub(crate) fn start_of(position: &Position<'_>) -> Result<Start, Fault> {
    let Position { kind, number, time_ms } = *position;
    let wants_number = matches!(kind, "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER");
    if wants_number != number.is_some() {
        return Err(Fault::Number { kind: kind.to_owned(), given: number.is_some() });
    }
    let parsed = |number: &str| SequenceNumber::parse(number).map_err(|_| Fault::Foreign { number: number.to_owned() });
    match (kind, number) {
        (_, Some("0")) | ("TRIM_HORIZON", _) => Ok(Start::TrimHorizon),
        ("AT_SEQUENCE_NUMBER", Some(number)) => parsed(number).map(Start::At),
        ("AFTER_SEQUENCE_NUMBER", Some(number)) => parsed(number).map(Start::After),
        ("AT_TIMESTAMP", _) => time_ms.map(Start::Time).ok_or(Fault::NoTime),
        _ => Ok(Start::Latest),
    }
}

impl Fault {
    /// In AWS's words.
    pub(crate) fn told(self, context: &Context, stream: &str, shard: u32) -> ApiError {
        ApiError::invalid_argument(match self {
            Fault::Number { kind, given } => {
                let also = if given { "also a" } else { "no" };
                format!(
                    "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or \
                     (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {kind} and {also} \
                     StartingSequenceNumber."
                )
            }
            Fault::NoTime => "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current \
                              request has no timestamp parameter."
                .to_owned(),
            Fault::Foreign { number } => {
                let (shard, account) = (crate::stream::data::shard_name(shard), &context.account.id);
                format!(
                    "StartingSequenceNumber {number} used in GetShardIterator on shard {shard} in stream {stream} under \
                     account {account} is invalid."
                )
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::kinesis::data::encode::sequence_digits;

    #[test]
    fn each_type_takes_what_belongs_to_it() {
        let number = SequenceNumber { created_s: 1_700_000_000, index: 1, arrived_s: 1_700_000_000, shard: 0 };
        let digits = String::from_utf8(sequence_digits(number)).unwrap();
        let digits = Some(digits.as_str());
        let wrong = |kind: &str, given| Err(Fault::Number { kind: kind.to_owned(), given });
        let table = [
            ("TRIM_HORIZON", None, None, Ok(Start::TrimHorizon)),
            ("LATEST", None, Some(7), Ok(Start::Latest)),
            ("AT_SEQUENCE_NUMBER", digits, None, Ok(Start::At(number))),
            ("AFTER_SEQUENCE_NUMBER", digits, None, Ok(Start::After(number))),
            ("AT_SEQUENCE_NUMBER", Some("0"), None, Ok(Start::TrimHorizon)),
            ("AT_SEQUENCE_NUMBER", Some("5"), None, Err(Fault::Foreign { number: "5".into() })),
            ("AT_SEQUENCE_NUMBER", None, None, wrong("AT_SEQUENCE_NUMBER", false)),
            ("LATEST", digits, None, wrong("LATEST", true)),
            ("AT_TIMESTAMP", digits, Some(7), wrong("AT_TIMESTAMP", true)),
            ("AT_TIMESTAMP", None, Some(7), Ok(Start::Time(7))),
            ("AT_TIMESTAMP", None, None, Err(Fault::NoTime)),
        ];
        for (kind, number, time_ms, expected) in table {
            assert_eq!(start_of(&Position { kind, number, time_ms }), expected, "{kind} {number:?} {time_ms:?}");
        }
    }
}
