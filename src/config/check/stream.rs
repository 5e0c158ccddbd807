//! Delivery streams: buffer, processing, retention, and what must fit together.

use std::ops::Range;
use std::time::Duration;

use super::super::at::At;
use super::super::{Buffering, Config, DeliveryStream, Source, Store, names, raw, units};
use super::Checker;
use crate::limits::DELIVERY_RETENTION_MAX;

impl Checker<'_> {
    /// One stream; `config` is what the tables before the streams say.
    pub(super) fn stream(
        &mut self,
        name: &At<String>,
        stream: raw::DeliveryStream,
        config: &Config,
    ) -> Option<DeliveryStream> {
        let named = names::stream_name(&name.value);
        if let Err(error) = &named {
            self.findings.add(name.span.clone(), error.message());
        }
        let source = self.source(stream.source, config);
        if let Source::DataStream { name: from, .. } = &source {
            let own = [
                ("max_bytes", stream.max_bytes.as_ref().map(|bytes| &bytes.span)),
                ("retention", stream.retention.as_ref().map(|retention| &retention.span)),
                ("encrypted", stream.encrypted.as_ref().map(|encrypted| &encrypted.span)),
            ];
            self.no_journal_of_its_own(from, &own);
        }
        let buffer = self.buffering(stream.buffer);
        let bytes_max = self.disk_bytes("max_bytes", stream.max_bytes);
        let least = buffer.interval.max(Duration::from_mins(1));
        // Shorter than the interval, every record of a slow stream would expire before it is delivered.
        let retention = self.lapse("retention", stream.retention, least, DELIVERY_RETENTION_MAX);
        let encrypted = self.encrypted(stream.encrypted, config);
        let process = self.process(&name.value, stream.process, config);
        let destination = stream.destination?;
        let place = destination.span.clone();
        let destination = self.destination(destination)?;
        if named.is_ok()
            && let Err(error) = names::local_keys(&name.value, &destination)
        {
            self.findings.add(place.clone(), error.message());
        }
        if destination.http.is_some() {
            self.endpoint_buffer(buffer.size_bytes, &place);
        }
        if let Store::Local { path } = &destination.store {
            self.apart(&place, path, &config.data_dir);
        }
        Some(DeliveryStream {
            buffer,
            process,
            bytes_max,
            retention,
            drain: stream.drain.is_some_and(|drain| drain.value),
            encrypted,
            source,
            ..DeliveryStream::new(name.value.clone(), destination)
        })
    }

    /// What a delivery stream cannot say whose records lie in a data stream.
    fn no_journal_of_its_own(&mut self, from: &str, keys: &[(&str, Option<&Range<usize>>)]) {
        for (key, span) in keys {
            if let Some(span) = span {
                let message = format!(
                    "{key} belongs into [data_stream.{from}]: this delivery stream reads the records there and keeps \
                     none of its own"
                );
                self.findings.add((*span).clone(), message);
            }
        }
    }

    fn buffering(&mut self, buffer: raw::Buffer) -> Buffering {
        let mut checked = Buffering::default();
        if let Some(At { value, span }) = buffer.size
            && let Some(bytes) = self.accept("size", &span, units::size(&value.0))
        {
            match Buffering::new(bytes, checked.interval) {
                Ok(buffering) => checked = buffering,
                Err(error) => self.findings.add(span, error.message()),
            }
        }
        if let Some(At { value, span }) = buffer.interval
            && let Some(interval) = self.accept("interval", &span, units::duration(&value.0))
        {
            match Buffering::new(checked.size_bytes, interval) {
                Ok(buffering) => checked = buffering,
                Err(error) => self.findings.add(span, error.message()),
            }
        }
        checked
    }
}
