//! The messages of an event stream: length, length of the headers, CRC-32 of both, headers, payload, CRC-32 of it all.
//!
//! Payloads have the encoding of the request: the Java SDK reads those of a call that it made in CBOR as CBOR, too (its
//! `AwsCborProtocolFactory` has one parser for answers and events).

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};

use super::super::{Document, Wire};
use super::{ApiError, Bytes};

/// The content type of the whole answer.
pub(super) const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// The message that comes before all events.
pub(super) fn initial(wire: Wire) -> Bytes {
    let payload = match wire {
        Wire::Json => Bytes::from_static(b"{}"),
        Wire::Cbor => Document::empty().write(wire).into(),
    };
    message(wire, [(":message-type", "event"), (":event-type", "initial-response")], payload)
}

/// One SubscribeToShardEvent.
pub(super) fn event(wire: Wire, payload: Vec<u8>) -> Bytes {
    message(wire, [(":message-type", "event"), (":event-type", "SubscribeToShardEvent")], payload.into())
}

/// The message that ends a stream before its time.
pub(super) fn exception(wire: Wire, error: &ApiError) -> Bytes {
    // The model calls this one shape otherwise than its code.
    let shape = if error.code == "InternalFailure" { "InternalFailureException" } else { error.code };
    let payload = Document::map([("message", error.message.as_ref().into())]).write(wire);
    message(wire, [(":message-type", "exception"), (":exception-type", shape)], payload.into())
}

fn message(wire: Wire, headers: [(&'static str, &'static str); 2], payload: Bytes) -> Bytes {
    let mut out = Vec::with_capacity(payload.len() + 192);
    let [kind, name] = headers.map(|(header, value)| Header::new(header, HeaderValue::String(value.into())));
    let encoding = Header::new(":content-type", HeaderValue::String(wire.content_type().into()));
    let message = Message::new(payload).add_header(kind).add_header(name).add_header(encoding);
    write_message_to(&message, &mut out).expect("three short headers and a payload far below 4 GiB are a message");
    out.into()
}

#[cfg(test)]
mod tests {
    use aws_smithy_eventstream::frame::read_message_from;

    use super::*;
    use crate::api::kinesis::Bounds;

    #[test]
    fn messages_carry_the_encoding_of_the_request() {
        let error = ApiError::internal_failure("x");
        for wire in [Wire::Json, Wire::Cbor] {
            let table = [
                (initial(wire), "event", "initial-response", Document::empty()),
                (event(wire, Document::empty().write(wire)), "event", "SubscribeToShardEvent", Document::empty()),
                (
                    exception(wire, &error),
                    "exception",
                    "InternalFailureException",
                    Document::map([("message", "x".into())]),
                ),
            ];
            for (bytes, kind, name, payload) in table {
                let message = read_message_from(bytes).unwrap();
                let headers: Vec<_> =
                    message.headers().iter().map(|header| header.value().as_string().unwrap().as_str()).collect();
                assert_eq!(headers, [kind, name, wire.content_type()]);
                assert_eq!(Document::read(wire, message.payload(), Bounds::default()), Ok(payload));
            }
        }
    }
}
