//! Delivery streams: buffer, processing, retention, and what must fit together.

use std::ops::Range;
use std::time::Duration;

use super::super::at::At;
use super::super::{
    Backup, Buffering, Config, Delimiter, DeliveryStream, Destination, Source, Store, builtin, names, raw, units,
};
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
        let mut steps = self.process(&name.value, stream.process, config);
        let event_time = stream.event_time;
        let time_place = event_time.as_ref().map(|time| time.span.clone());
        if let Some(time) = event_time {
            builtin::add_event_time(&mut steps.processors, self.event_time(time)?);
        }
        let named = named.is_ok().then_some(&*name.value);
        let backup = stream.backup.and_then(|backup| self.backup(named, backup.value, config));
        let webhook = stream.webhook.and_then(|webhook| self.webhook(webhook.value));
        let destination = stream.destination?;
        let place = destination.span.clone();
        let keys_place = destination.value.prefix.as_ref().map_or(place.clone(), |prefix| prefix.span.clone());
        if let (Some(step), Some(delimiter)) = (&steps.delimiter, &destination.value.delimiter)
            && delimiter.value != Delimiter::Between
        {
            let message = "type = \"append-delimiter\" is delimiter = \"between\", and the destination says otherwise";
            self.findings.add(step.clone(), message);
        }
        let place = destination.span.clone();
        let mut destination = self.place(named, destination, config)?;
        if let Some(backup) = &backup
            && backup.destination.store == destination.store
            && backup.destination.prefix.text() == destination.prefix.text()
        {
            let message =
                "the backup has the store and the prefix of what is delivered: readers would find records twice";
            self.findings.add(place.clone(), message);
        }
        if destination.http.is_some() {
            self.endpoint_buffer(buffer.size_bytes, &place);
        }
        if steps.delimiter.is_some() {
            destination.delimiter = Delimiter::Between;
        }
        let mut checked = DeliveryStream {
            buffer,
            process: steps.processors,
            bytes_max,
            retention,
            drain: stream.drain.is_some_and(|drain| drain.value),
            encrypted,
            source,
            backup,
            webhook: webhook.map(Box::new),
            ..DeliveryStream::new(name.value.clone(), destination)
        };
        if self.findings.is_empty()
            && let Err(error) = builtin::settle(&mut checked)
        {
            self.findings.add(
                time_place.filter(|_| error.message().starts_with("event_time")).unwrap_or(keys_place),
                error.message(),
            );
        }
        Some(checked)
    }

    fn backup(&mut self, stream: Option<&str>, backup: raw::Backup, config: &Config) -> Option<Box<Backup>> {
        let buffer = self.buffering(backup.buffer);
        let place = backup.destination.as_ref()?.span.clone();
        let destination = self.place(stream, backup.destination?, config)?;
        if !destination.prefix.keys().is_empty() {
            let message = "the prefix of a backup cannot have partition keys: nothing is done to its records";
            self.findings.add(place, message);
            return None;
        }
        if destination.http.is_some() {
            self.findings.add(place, "a backup goes to a store, and type = \"http\" is none");
            return None;
        }
        if destination.conversion.is_some() {
            self.findings.add(place, "a backup cannot have a format: its records are kept as they came");
            return None;
        }
        Some(Box::new(Backup { buffer, destination }))
    }

    /// A destination of the stream with this name, if it may have it.
    fn place(&mut self, stream: Option<&str>, raw: At<raw::Destination>, config: &Config) -> Option<Destination> {
        let place = raw.span.clone();
        let destination = self.destination(raw)?;
        if let Some(stream) = stream
            && let Err(error) = names::local_keys(stream, &destination)
        {
            self.findings.add(place.clone(), error.message());
        }
        if let Store::Local { path } = &destination.store {
            self.apart(&place, path, &config.data_dir);
        }
        Some(destination)
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
