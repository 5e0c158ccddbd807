//! Calls ready to be sent: bodies of web logs, and heads with their signature.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use standpipe::api::kinesis::{Document, Wire};
use standpipe::cli::generate::weblog::WebLog;
use standpipe::clock::Clock;

use super::Failure;

/// Which API is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Api {
    /// PutRecordBatch to a delivery stream.
    Firehose,
    /// PutRecords to a data stream, each record with a key of its own.
    Kinesis,
    /// The same in CBOR.
    KinesisCbor,
}

impl Api {
    fn service(self) -> &'static str {
        match self {
            Api::Firehose => "firehose",
            Api::Kinesis | Api::KinesisCbor => "kinesis",
        }
    }

    fn target(self) -> &'static str {
        match self {
            Api::Firehose => "Firehose_20150804.PutRecordBatch",
            Api::Kinesis | Api::KinesisCbor => "Kinesis_20131202.PutRecords",
        }
    }

    pub(crate) fn wire(self) -> Wire {
        if self == Api::KinesisCbor { Wire::Cbor } else { Wire::Json }
    }
}

/// For whom calls are signed.
pub(crate) struct Signing<'a> {
    pub(crate) api: Api,
    pub(crate) address: &'a str,
    pub(crate) stream: &'a str,
    pub(crate) key: &'a str,
    pub(crate) secret: &'a str,
    pub(crate) region: &'a str,
}

/// One call. What is missing is the invocation id, which is new each time it is sent, and the end of the head.
#[derive(Clone)]
pub(crate) struct Call {
    /// The request's head, as far as it is the same each time.
    pub(crate) head: Bytes,
    /// Its body.
    pub(crate) body: Bytes,
    /// How many records are in it.
    pub(crate) records: u64,
    /// Their bytes.
    pub(crate) record_bytes: u64,
}

/// All calls that are sent in turn.
pub(crate) struct Calls(pub(crate) Vec<Call>);

impl Calls {
    /// Makes `distinct` calls of `records` records each. Their signatures are good for five minutes.
    pub(crate) fn make(
        clock: &Clock,
        signing: &Signing<'_>,
        records: usize,
        distinct: usize,
    ) -> Result<Calls, Failure> {
        let mut log = WebLog::new(clock.random(), clock.now_ms());
        let bodies: Vec<_> =
            (0..distinct.max(1)).map(|_| body(&mut log, signing.api, signing.stream, records)).collect();
        // All bodies first, so that no signature is old when the first call is sent.
        let calls = bodies.into_iter().map(|(body, record_bytes)| {
            let head = head(clock, signing, signing.api.target(), &body)?.into();
            Ok(Call { head, body: body.into(), records: records as u64, record_bytes })
        });
        calls.collect::<Result<_, Failure>>().map(Calls)
    }

    /// Record bytes of a call, on average.
    pub(crate) fn mean_record_bytes(&self) -> u64 {
        self.0.iter().map(|call| call.record_bytes).sum::<u64>() / self.0.len() as u64
    }
}

/// The body of a PutRecordBatch or PutRecords, and the bytes of its records.
pub(crate) fn body(log: &mut WebLog, api: Api, stream: &str, records: usize) -> (Vec<u8>, u64) {
    let lines: Vec<_> = (0..records).map(|_| log.line()).collect();
    let record_bytes = lines.iter().map(|line| line.len() as u64).sum();
    let records = lines.into_iter().enumerate().map(|(index, line)| {
        let data = Document::map([("Data", Document::Blob(line.into_bytes()))]);
        data.with_some("PartitionKey", (api != Api::Firehose).then(|| format!("user-{index}")))
    });
    let member = if api == Api::Firehose { "DeliveryStreamName" } else { "StreamName" };
    let call = Document::map([(member, stream.into()), ("Records", Document::List(records.collect()))]);
    (call.write(api.wire()), record_bytes)
}

/// The head of a call, as far as it is the same each time.
pub(crate) fn head(clock: &Clock, signing: &Signing<'_>, target: &str, body: &[u8]) -> Result<String, Failure> {
    let identity = Credentials::from_keys(signing.key, signing.secret, None).into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(signing.region)
        .name(signing.api.service())
        .time(UNIX_EPOCH + Duration::from_millis(clock.now_ms()))
        .settings(SigningSettings::default())
        .build()?
        .into();
    let url = format!("http://{}/", signing.address);
    let headers =
        [("host", signing.address), ("content-type", signing.api.wire().content_type()), ("x-amz-target", target)];
    let request = SignableRequest::new("POST", url, headers.into_iter(), SignableBody::Bytes(body))?;
    let (instructions, _) = sign(request, &parameters)?.into_parts();
    let mut head = "POST / HTTP/1.1\r\n".to_owned();
    for (name, value) in headers.into_iter().chain(instructions.headers()) {
        write!(head, "{name}: {value}\r\n")?;
    }
    write!(head, "content-length: {}\r\n", body.len())?;
    Ok(head)
}
