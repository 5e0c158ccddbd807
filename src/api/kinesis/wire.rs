//! The two encodings of the API: AWS JSON 1.1 and AWS CBOR 1.1. An answer has the encoding of its request.

/// How one call is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// `application/x-amz-json-1.1`: blobs are base64, timestamps are seconds with a fraction.
    Json,
    /// `application/x-amz-cbor-1.1`: blobs are byte strings, timestamps are tag 1 with whole milliseconds.
    Cbor,
}
