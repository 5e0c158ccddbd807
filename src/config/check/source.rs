//! Where a delivery stream's records come from: which keys belong together, and that the stream is there.

use std::ops::Range;

use super::super::at::{At, TextOr};
use super::super::shape::{either, nearest};
use super::super::{Config, KinesisSource, Source, StartAt, names, raw, units};
use super::Checker;
use crate::limits::{POLL_DEFAULT, POLL_MAX, POLL_MIN};

impl Checker<'_> {
    /// The source; `config` has the delivery streams that stand before this one.
    pub(super) fn source(&mut self, source: Option<At<raw::Source>>, config: &Config) -> Source {
        let Some(At { value: raw::Source(TextOr::Table(from)), span }) = source else {
            return Source::Direct;
        };
        let raw::SourceFrom { data_stream, start, kinesis } = from;
        match (data_stream, kinesis) {
            (Some(name), None) => self.own_stream(&name, start, config),
            (None, Some(kinesis)) => {
                if let Some(start) = start {
                    let message = "start belongs into the table of kinesis: { kinesis = { stream = …, start = … } }";
                    self.findings.add(start.span, message);
                }
                self.kinesis_source(kinesis, config).map_or_else(Source::default, |from| Source::Kinesis(from.into()))
            }
            (None, None) => {
                let message = "source names no stream: write \"direct\", { data_stream = \"NAME\" } or \
                               { kinesis = { stream = \"NAME\" } }";
                if !self.findings.refused_in(&span) {
                    self.findings.add(span, message);
                }
                Source::Direct
            }
            (Some(_), Some(kinesis)) => {
                self.findings.add(kinesis.span, "data_stream and kinesis exclude one another: a source is one stream");
                Source::Direct
            }
        }
    }

    fn own_stream(&mut self, name: &At<String>, start: Option<At<raw::Start>>, config: &Config) -> Source {
        let known = || config.data_streams.iter().map(|stream| stream.name.as_str());
        if !known().any(|known| known == name.value) {
            let hint = match nearest(&name.value, known()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None if config.data_streams.is_empty() => format!("it has no table [data_stream.{}]", name.value),
                None => format!("known are {}", either(known()).replace(" or ", " and ")),
            };
            let message = format!("there is no data stream {:?} in this file: {hint}", name.value);
            self.findings.add(name.span.clone(), message);
        }
        Source::DataStream { name: name.value.clone(), start: self.start(start) }
    }

    fn start(&mut self, start: Option<At<raw::Start>>) -> StartAt {
        let start = start.and_then(|start| self.accept("start", &start.span, units::start_at(&start.value.0)));
        start.unwrap_or(StartAt::Horizon)
    }

    fn kinesis_source(&mut self, from: At<raw::KinesisSource>, config: &Config) -> Option<KinesisSource> {
        let raw = from.value;
        self.one_identity(raw.credentials.as_ref(), raw.profile.as_ref());
        let start = self.start(raw.start);
        let region_span = raw.region.as_ref().map(|region| region.span.clone());
        let region = self.checked("region", raw.region, names::region);
        let endpoint = self.checked("endpoint", raw.endpoint, names::endpoint);
        let credentials = raw.credentials.and_then(|credentials| self.credentials(&credentials.value));
        if let (Some(poll), Some(_)) = (&raw.poll, &raw.consumer) {
            let message = "poll has no meaning with consumer: to a consumer the records are pushed";
            self.findings.add(poll.span.clone(), message);
        }
        let poll = self.lapse("poll", raw.poll, POLL_MIN, POLL_MAX).unwrap_or(POLL_DEFAULT);
        let consumer_span = raw.consumer.as_ref().map(|consumer| consumer.span.clone());
        let consumer = self.checked("consumer", raw.consumer, names::data_stream_name);
        let stream = self.checked("stream", raw.stream, names::kinesis_stream)?;
        let region = self.region_of(&stream, region, region_span);
        let source = KinesisSource {
            region,
            endpoint: endpoint.map(|url| url.trim_end_matches('/').to_owned()),
            credentials,
            profile: raw.profile.map(|profile| profile.value),
            start,
            consumer,
            poll,
            ..KinesisSource::new(stream)
        };
        if let Some(span) = consumer_span {
            self.own_consumer(span, &source, config);
        }
        Some(source)
    }

    /// The region that is written, or that of the ARN; both must be the same.
    fn region_of(&mut self, stream: &str, region: Option<String>, span: Option<Range<usize>>) -> Option<String> {
        let Some(arn) = names::data_stream_arn(stream) else {
            return region;
        };
        if let (Some(region), Some(span)) = (&region, span)
            && region != arn.region
        {
            self.findings.add(span, format!("region {region:?} is not that of the stream's ARN, {:?}", arn.region));
        }
        Some(arn.region.to_owned())
    }

    /// Two readers under one consumer's name would take every shard away from one another.
    fn own_consumer(&mut self, span: Range<usize>, source: &KinesisSource, config: &Config) {
        let identity = |source: &KinesisSource| {
            (source.stream.clone(), source.region.clone(), source.endpoint.clone(), source.consumer.clone())
        };
        let other = config.delivery_streams.iter().find(|other| match &other.source {
            Source::Kinesis(theirs) => theirs.consumer.is_some() && identity(theirs) == identity(source),
            Source::Direct | Source::DataStream { .. } => false,
        });
        if let (Some(other), Some(consumer)) = (other, &source.consumer) {
            let message = format!(
                "consumer {consumer:?} of this stream is that of delivery stream {} already: each needs its own",
                other.name
            );
            self.findings.add(span, message);
        }
    }
}
