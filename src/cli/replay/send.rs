//! `replay --into`: rows put into another stream, each once.

use bytes::Bytes;

use super::{Chosen, ReplayArgs};
use crate::catalog::Entry;
use crate::cli::delivered::House;
use crate::cli::delivered::keys::ErrorKeys;
use crate::cli::delivered::resend::{Batch, Item, Left, Resender};
use crate::cli::delivered::rows::{Row, Rows};
use crate::cli::delivered::sent::{self, Numbers, Sent};
use crate::cli::terminal::{Progress, complain, count, harmless, say};
use crate::cli::verify::deep::measure;
use crate::cli::verify::objects::store_of;
use crate::config::{Delimiter, names};
use crate::destination::Destination;
use crate::error::{Error, Kind, Result};
use crate::limits::RECORD_BYTES_MAX;

/// What was done, in rows.
#[derive(Default)]
struct Sum {
    sent: u64,
    before: u64,
    failed: u64,
}

/// One command at work.
struct Run<'a> {
    args: &'a ReplayArgs,
    house: &'a House,
    resender: Resender,
    /// Where the markers are.
    markers: &'a dyn Destination,
    root: String,
    /// Under which name what was sent is remembered.
    label: String,
    sum: Sum,
}

/// Sends the rows of the objects; whether all of them are sent now.
pub(super) async fn send(
    args: &ReplayArgs,
    house: &House,
    entry: &Entry,
    (into, chosen): (&str, &[Chosen]),
) -> Result<bool> {
    let label = match &args.run {
        None => into.to_owned(),
        Some(run) => {
            names::stream_name(run)?;
            // No name of a stream has a plus sign.
            format!("{into}+{run}")
        }
    };
    let markers = house.look(&entry.stream.destination.store).await?;
    let (endpoint, region) = args.service.of(&house.config);
    let service = (endpoint.as_str(), region.as_str());
    let mut run = Run {
        args,
        house,
        resender: Resender::new(service, into, &house.clock, args.in_doubt).await,
        markers: &*markers,
        root: sent::root(&ErrorKeys::of(&entry.stream).head),
        label,
        sum: Sum::default(),
    };
    let mut progress = Progress::new(&house.clock, Some(chosen.len() as u64));
    let outcome = run.all(chosen, &mut progress).await;
    progress.done();
    let Sum { sent, before, failed } = run.sum;
    let (objects, into) = (count(chosen.len() as u64), harmless(into));
    let (sent, before) = (count(sent), count(before));
    say(format_args!(
        "{sent} rows sent into {into} from {objects} objects, {before} sent before, {} not sent",
        count(failed)
    ));
    outcome.map(|()| failed == 0)
}

impl Run<'_> {
    async fn all(&mut self, chosen: &[Chosen], progress: &mut Progress) -> Result<()> {
        let mut stores = Vec::new();
        for (at, one) in chosen.iter().enumerate() {
            let from = store_of(self.house, &one.object.written.store, &mut stores).await?;
            match self.object(&*from, one).await {
                Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Corrupt) => {
                    self.sum.failed += one.rows();
                    complain(harmless(&error.to_string()));
                }
                sent => sent?,
            }
            let sum = &self.sum;
            progress.at(at as u64 + 1, || format!("{} rows sent, {at} of {} objects", count(sum.sent), chosen.len()));
        }
        Ok(())
    }

    async fn object(&mut self, from: &dyn Destination, one: &Chosen) -> Result<()> {
        self.can_be_cut(from, one).await?;
        let mut sent = Sent::load(self.markers, &self.root, &one.object.key, &self.label).await?;
        let taken_up = match self.resender.take_up(&mut sent).await? {
            Left::Nothing => Numbers::default(),
            Left::Rows(rows) => {
                let batch = self.again(from, one, &rows).await?;
                self.resender.finish(&mut sent, batch).await?;
                self.sum.sent += rows.len();
                rows
            }
        };
        let before = sent.rows.clone();
        self.sum.before += before.len() - taken_up.len();
        let mut rows = self.rows(from, one).await?;
        let mut batch = Batch::default();
        while let Some(group) = rows.next().await? {
            for row in group.into_iter().filter(|row| !before.holds(row.number)) {
                let Some(item) = self.item(one, row) else { continue };
                if !batch.has_room(item.record.len()) {
                    self.flush(&mut batch, &mut sent).await?;
                }
                batch.push(item);
            }
        }
        self.flush(&mut batch, &mut sent).await?;
        sent.settle(false, &self.house.clock).await
    }

    /// Whether lines are rows.
    async fn can_be_cut(&self, from: &dyn Destination, one: &Chosen) -> Result<()> {
        let (key, written) = (&one.object.key, &one.object.written);
        let cannot = |why: String| Err(Error::corrupt(format!("object {key:?} is not sent: {why}")));
        if !written.is_joined {
            return cannot("it is in a format of columns; --prefix copies it".to_owned());
        }
        let found = measure(from, key, written.compression).await?;
        let lines = found.lines + u64::from(found.is_open);
        if self.args.lines || lines == one.rows() {
            return Ok(());
        }
        let hint =
            if written.delimiter == Delimiter::Never { ", for there is no delimiter between records" } else { "" };
        cannot(format!(
            "it has {lines} lines for {} rows{hint}, which cannot be told apart; --lines takes lines for rows",
            one.rows()
        ))
    }

    /// The rows that an interrupted command began to send.
    async fn again(&mut self, from: &dyn Destination, one: &Chosen, wanted: &Numbers) -> Result<Batch> {
        let mut batch = Batch::default();
        let mut rows = self.rows(from, one).await?;
        while let Some(group) = rows.next().await? {
            for row in group.into_iter().filter(|row| wanted.holds(row.number)) {
                if let Some(item) = self.item(one, row)
                    && batch.has_room(item.record.len())
                {
                    batch.push(item);
                }
            }
        }
        Ok(batch)
    }

    async fn rows(&self, from: &dyn Destination, one: &Chosen) -> Result<Rows> {
        // A line feed more than a record may have.
        Rows::open(from, &one.object.key, one.object.written.compression, RECORD_BYTES_MAX + 2).await
    }

    /// A row as it is sent, if it can be.
    fn item(&mut self, one: &Chosen, Row { number, bytes }: Row) -> Option<Item> {
        let record = bytes.map(|bytes| if self.args.strip { strip(&bytes) } else { bytes });
        match record {
            Some(record) if record.len() <= RECORD_BYTES_MAX => Some(Item { number, record }),
            _ => {
                self.sum.failed += 1;
                let key = harmless(&one.object.key);
                complain(format_args!("{key} line {number} is not sent: it has more than {RECORD_BYTES_MAX} bytes"));
                None
            }
        }
    }

    async fn flush(&mut self, batch: &mut Batch, sent: &mut Sent<'_>) -> Result<()> {
        let batch = std::mem::take(batch);
        if !batch.is_empty() {
            self.resender.send(sent, &batch).await?;
            self.sum.sent += batch.len() as u64;
        }
        Ok(())
    }
}

fn strip(line: &Bytes) -> Bytes {
    line.slice(..line.len() - usize::from(line.ends_with(b"\n")))
}
