//! How a data stream stands: what status pages, metrics and `standpipe status` show.

use super::DataStream;
use super::definition::Definition;
use super::rates::Rate;
use super::shard::Shard;
use crate::error::Result;
use crate::record::StreamId;

/// How one data stream stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stands {
    /// Its shards by number, closed ones within retention included.
    pub shards: Vec<ShardStands>,
    /// Its registered consumers, by name.
    pub consumers: Vec<ConsumerStands>,
    /// The delivery streams that read it.
    pub pins: Vec<PinStands>,
    /// Records that outlived their retention since the start of the service.
    pub expired: u64,
}

/// How one shard stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardStands {
    /// Its number.
    pub index: u32,
    /// Whether it takes records.
    pub open: bool,
    /// The first position that can be read.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// Bytes on disk; whole segments are freed, so it may hold more than `start..end` needs.
    pub disk_bytes: u64,
    /// When the oldest record that can be read arrived, milliseconds since 1970.
    pub oldest_ms: Option<u64>,
    /// What was put over the last minute.
    pub rate: Rate,
}

/// How one registered consumer stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerStands {
    /// Its name.
    pub name: String,
    /// The shards that it is subscribed to, by number.
    pub shards: Vec<u32>,
}

/// How far one delivery stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinStands {
    /// The delivery stream.
    pub by: StreamId,
    /// Records that can be read and that it has not delivered, over all shards.
    pub behind: u64,
}

impl DataStream {
    /// How it stands. Costs one small read of each shard that is not empty.
    ///
    /// # Errors
    /// `NotFound`; `Closed`.
    pub async fn stands(&self) -> Result<Stands> {
        let definition = self.definition()?;
        let mut shards = Vec::with_capacity(definition.shards.len());
        for shard in &definition.shards {
            shards.push(self.shard_stands(&definition, shard).await?);
        }
        let all = &self.streams.shared;
        let pins = all.pins.pinned_by(self.id).into_iter().map(|by| PinStands { by, behind: self.behind(by, &shards) });
        Ok(Stands {
            consumers: self.consumers_stand(&definition),
            pins: pins.collect(),
            expired: all.rates.of(self.id).expired(),
            shards,
        })
    }

    async fn shard_stands(&self, definition: &Definition, shard: &Shard) -> Result<ShardStands> {
        let all = &self.streams.shared;
        let id = self.shard_id(shard.index);
        let extent = all.journal.extent(id).await?;
        let start = self.horizon(definition, shard).await?;
        let end = shard.closed.map_or(extent.end, |closed| closed.end.min(extent.end));
        let oldest = if start < end { all.journal.read(id, start, 1).await?.puts } else { Vec::new() };
        Ok(ShardStands {
            index: shard.index,
            open: shard.closed.is_none(),
            start,
            end,
            disk_bytes: extent.disk_bytes,
            oldest_ms: oldest.first().map(|records| records.arrived_ms),
            rate: all.rates.of(self.id).shard(shard.index).rate(all.clock.instant()),
        })
    }

    fn behind(&self, by: StreamId, shards: &[ShardStands]) -> u64 {
        let position = |shard: &ShardStands| self.streams.shared.pins.position(self.id, by, shard.index);
        shards.iter().map(|shard| shard.end.saturating_sub(position(shard).max(shard.start))).sum()
    }

    fn consumers_stand(&self, definition: &Definition) -> Vec<ConsumerStands> {
        let mut subscribed = self.streams.shared.subscriptions.of(self.id);
        subscribed.sort_unstable();
        let shards_of = |name: &str| subscribed.iter().filter(|(of, _)| of == name).map(|(_, shard)| *shard).collect();
        let consumers = definition.consumers.iter();
        consumers.map(|one| ConsumerStands { name: one.name.clone(), shards: shards_of(&one.name) }).collect()
    }
}
