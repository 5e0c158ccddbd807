//! Feeds over the journal in memory and definitions that the test writes.

use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::journal::Append;
use crate::journal::memory::MemoryJournal;
use crate::stream::data::{Closed, Definition, HashRange, Origin, Shard};

const BY: StreamId = StreamId(9);
const CLICKS: StreamId = StreamId(1);
/// When the delivery stream was made.
const MADE_MS: u64 = 1_000;

struct Rig {
    journal: Arc<MemoryJournal>,
    definitions: watch::Sender<Snapshot>,
    clock: Clock,
}

fn at(index: u32) -> ShardId {
    ShardId { stream: CLICKS, index }
}

fn shard(index: u32, parents: &[u32], opened_ms: u64) -> Shard {
    Shard {
        index,
        range: HashRange::ALL,
        parent: parents.first().copied(),
        adjacent_parent: parents.get(1).copied(),
        created_ms: 5_000_000,
        opened_ms,
        closed: None,
    }
}

fn closed(mut shard: Shard, end: u64) -> Shard {
    shard.closed = Some(Closed { end, at_ms: 0 });
    shard
}

fn definition(id: StreamId, shards: Vec<Shard>) -> Arc<Definition> {
    let next_shard = shards.len() as u32;
    let mut definition = Definition::new(id, "clicks", Origin::Api, 0);
    (definition.next_shard, definition.shards) = (next_shard, shards);
    Arc::new(definition)
}

impl Rig {
    fn new(shards: Vec<Shard>) -> Rig {
        let clock = Clock::simulated(1, 0);
        let rig =
            Rig { journal: Arc::new(MemoryJournal::new(clock.clone())), definitions: watch::Sender::default(), clock };
        rig.define(CLICKS, shards);
        rig
    }

    fn define(&self, id: StreamId, shards: Vec<Shard>) {
        self.definitions.send_replace(Arc::new(BTreeMap::from([("clicks".to_owned(), definition(id, shards))])));
    }

    async fn put(&self, shard: ShardId, arrived_ms: u64, records: &[&str]) {
        self.journal.append(shard, Append::of(Records::from_slices(arrived_ms, records))).await.unwrap();
    }

    async fn feed(&self, from_ms: Option<u64>, ends: &[(ShardId, u64)]) -> Feed {
        let (streams, definitions) = (Streams::new(self.journal.clone()), self.definitions.subscribe());
        let mut feed = Feed::over(&streams, definitions, None, "clicks", BY, from_ms);
        feed.resume(ends.iter().copied().collect()).await.unwrap();
        feed
    }

    /// The next event; `None` when nothing comes.
    async fn next(&self, feed: &mut Feed) -> Option<Event> {
        self.clock.within(Duration::from_secs(1), feed.next()).await.map(|event| event.unwrap())
    }

    async fn begins(&self, feed: &mut Feed) -> Vec<(u32, u64)> {
        let Some(Event::Begins(shards)) = self.next(feed).await else { panic!("no shards begin") };
        for (shard, position) in &shards {
            feed.open(*shard, *position);
        }
        shards.into_iter().map(|(shard, position)| (shard.index, position)).collect()
    }

    /// The next records, as `shard:position:text`, with `-` for one that is missing.
    async fn arrives(&self, feed: &mut Feed) -> Vec<String> {
        match self.next(feed).await {
            Some(Event::Arrival(Arrival { shard, first, missing, puts })) => {
                let texts = puts.iter().flat_map(Records::iter).map(|text| String::from_utf8_lossy(text).into_owned());
                let all = (0..missing).map(|_| "-".to_owned()).chain(texts);
                all.zip(first..).map(|(text, at)| format!("{}:{at}:{text}", shard.index)).collect()
            }
            other => panic!("no records: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn direct_puts_need_no_beginning() {
    let rig = Rig::new(vec![]);
    let stream = Stream::new(rig.journal.clone(), BY);
    let mut feed = Feed::direct(&stream);
    feed.resume(BTreeMap::from([(stream.shard(), 1)])).await.unwrap();
    assert!(feed.is_caught_up().await.unwrap() && rig.next(&mut feed).await.is_none());
    rig.put(stream.shard(), 0, &["a", "b"]).await;
    assert!(!feed.is_caught_up().await.unwrap());
    assert_eq!(feed.ends().await.unwrap(), BTreeMap::from([(stream.shard(), 2)]));
    assert_eq!(rig.arrives(&mut feed).await, ["0:1:b"]);
    assert!(feed.is_caught_up().await.unwrap());
    feed.delivered(stream.shard(), 2).await.unwrap();
    assert_eq!(rig.journal.extent(stream.shard()).await.unwrap().start, 2, "it is trimmed");
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_is_halted_reads_no_further_than_it_may_until_it_goes_on() {
    let rig = Rig::new(vec![shard(0, &[], 0), shard(1, &[], 0), shard(2, &[], 0)]);
    for index in 0..3 {
        rig.put(at(index), 500, &["a", "b"]).await;
        rig.put(at(index), 500, &["c", "d"]).await;
    }
    let (streams, definitions) = (Streams::new(rig.journal.clone()), rig.definitions.subscribe());
    let mut feed = Feed::over(&streams, definitions, None, "clicks", BY, None);
    feed.halt(BTreeMap::from([(at(0), 3), (at(1), 1)]));
    feed.resume(BTreeMap::from([(at(0), 0), (at(1), 1), (at(2), 0)])).await.unwrap();
    assert_eq!(rig.arrives(&mut feed).await, ["0:0:a", "0:1:b", "0:2:c"]);
    assert!(rig.next(&mut feed).await.is_none() && !feed.is_caught_up().await.unwrap());
    feed.go_on();
    let mut rest = Vec::new();
    for _ in 0..3 {
        rest.extend(rig.arrives(&mut feed).await);
    }
    rest.sort();
    assert_eq!(rest, ["0:3:d", "1:1:b", "1:2:c", "1:3:d", "2:0:a", "2:1:b", "2:2:c", "2:3:d"]);
    assert!(feed.is_caught_up().await.unwrap());
}

/// Something of the child was read before, so all of its parent was: without the rest of that the child would never open.
#[tokio::test(start_paused = true)]
async fn of_shards_that_are_halted_those_that_are_closed_are_read_to_their_end() {
    let rig = Rig::new(vec![closed(shard(0, &[], 0), 3), shard(1, &[0], 2_000), shard(2, &[0], 2_000)]);
    rig.put(at(0), 500, &["a", "b", "c"]).await;
    rig.put(at(1), 3_000, &["d", "e"]).await;
    rig.put(at(2), 3_000, &["f"]).await;
    let (streams, definitions) = (Streams::new(rig.journal.clone()), rig.definitions.subscribe());
    let mut feed = Feed::over(&streams, definitions, None, "clicks", BY, None);
    feed.halt(BTreeMap::from([(at(0), 2), (at(1), 1)]));
    feed.resume(BTreeMap::from([(at(0), 1), (at(1), 0)])).await.unwrap();
    assert_eq!(rig.arrives(&mut feed).await, ["0:1:b", "0:2:c"]);
    assert_eq!(rig.begins(&mut feed).await, [(2, 0)]);
    assert_eq!(rig.arrives(&mut feed).await, ["1:0:d"]);
    feed.open(at(2), 0);
    assert!(rig.next(&mut feed).await.is_none(), "the others wait");
}

#[tokio::test(start_paused = true)]
async fn a_child_is_read_when_all_its_parents_were() {
    let merged = shard(3, &[1, 2], 5_000);
    let all =
        vec![closed(shard(0, &[], 0), 2), closed(shard(1, &[0], 2_000), 1), closed(shard(2, &[0], 2_000), 0), merged];
    let rig = Rig::new(all);
    rig.put(at(3), 6_000, &["last"]).await;
    rig.put(at(1), 3_000, &["middle"]).await;
    rig.put(at(0), 500, &["old", "new"]).await;
    let mut feed = rig.feed(None, &[]).await;
    assert!(!feed.is_caught_up().await.unwrap(), "it is not even known where to begin");
    assert_eq!(rig.begins(&mut feed).await, [(0, 0)]);
    assert_eq!(rig.arrives(&mut feed).await, ["0:0:old", "0:1:new"]);
    assert!(!feed.is_caught_up().await.unwrap());
    assert_eq!(rig.begins(&mut feed).await, [(1, 0), (2, 0)], "of these 2 holds nothing");
    assert_eq!(rig.arrives(&mut feed).await, ["1:0:middle"]);
    assert_eq!(rig.begins(&mut feed).await, [(3, 0)]);
    assert_eq!(rig.arrives(&mut feed).await, ["3:0:last"]);
    assert!(feed.is_caught_up().await.unwrap() && rig.next(&mut feed).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_shard_begins_where_it_is_told_and_one_that_was_opened_later_with_its_first_record() {
    for (from_ms, expected) in
        [(None, [(0, 1), (1, 0)]), (Some(MADE_MS), [(0, 3), (1, 0)]), (Some(9_999), [(0, 4), (1, 1)])]
    {
        let rig = Rig::new(vec![shard(0, &[], 0), shard(1, &[], 1_500)]);
        rig.put(at(0), 1, &["trimmed", "older"]).await;
        rig.put(at(0), 1, &["old"]).await;
        rig.put(at(0), 1_200, &["new"]).await;
        // It waited while its shard was made: its arrival is before that.
        rig.put(at(1), 900, &["at the gate"]).await;
        rig.journal.trim(at(0), 1).await.unwrap();
        let mut feed = rig.feed(from_ms, &[]).await;
        assert_eq!(rig.begins(&mut feed).await, expected, "{from_ms:?}");
    }
}

/// The clock was set back after the delivery stream was made: by it the children are older.
#[tokio::test(start_paused = true)]
async fn what_comes_of_a_shard_that_is_read_is_read_whole_whatever_the_clock_says() {
    for known in [&[][..], &[(at(0), 1)]] {
        let rig = Rig::new(vec![shard(0, &[], 0)]);
        rig.put(at(0), MADE_MS, &["a"]).await;
        let mut feed = rig.feed(Some(MADE_MS), known).await;
        if known.is_empty() {
            assert_eq!(rig.begins(&mut feed).await, [(0, 0)]);
            assert_eq!(rig.arrives(&mut feed).await, ["0:0:a"]);
        }
        rig.define(CLICKS, vec![closed(shard(0, &[], 0), 1), shard(1, &[0], MADE_MS - 500)]);
        rig.put(at(1), MADE_MS - 400, &["b"]).await;
        assert_eq!(rig.begins(&mut feed).await, [(1, 0)]);
        assert_eq!(rig.arrives(&mut feed).await, ["1:0:b"]);
    }
    // Of this parent nothing was wanted.
    let rig = Rig::new(vec![closed(shard(0, &[], 0), 1), shard(1, &[0], 500)]);
    rig.put(at(0), 400, &["a"]).await;
    rig.put(at(1), 600, &["b"]).await;
    let mut feed = rig.feed(Some(MADE_MS), &[]).await;
    assert_eq!((rig.begins(&mut feed).await, rig.begins(&mut feed).await), (vec![(0, 1)], vec![(1, 1)]));
}

/// Also what was not yet read is given up with the stream, and is said while it is known.
#[tokio::test(start_paused = true)]
async fn what_was_ahead_of_a_deleted_stream_is_said_with_it() {
    let shards = vec![closed(shard(0, &[], 0), 3), closed(shard(1, &[0], 2_000), 2), shard(2, &[1], 3_000)];
    for journal_first in [false, true] {
        let rig = Rig::new(shards.clone());
        let mut feed = rig.feed(Some(MADE_MS), &[(at(0), 1)]).await;
        for (index, records) in [(0, &["a", "b", "c"][..]), (1, &["d", "e"]), (2, &["f"])] {
            rig.put(at(index), 2_500, records).await;
        }
        assert_eq!(*feed.ahead(), [at(1), at(2)]);
        if journal_first {
            rig.journal.remove(CLICKS).await.unwrap();
        }
        rig.definitions.send_replace(Arc::default());
        let Some(Event::Gone(_, ends)) = rig.next(&mut feed).await else { panic!("it is gone") };
        let open = u64::from(!journal_first);
        assert_eq!(ends, BTreeMap::from([(at(0), 3), (at(1), 2), (at(2), open)]));
        assert!(feed.ahead().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_known_goes_on_and_in_the_same_order() {
    let rig = Rig::new(vec![closed(shard(0, &[], 0), 3), shard(1, &[0], 2_000)]);
    rig.put(at(0), 0, &["a", "b", "c"]).await;
    rig.put(at(1), 0, &["d", "e"]).await;
    // The child had begun, but what its parent brought last was in no plan when the process ended.
    let mut feed = rig.feed(None, &[(at(0), 1), (at(1), 0)]).await;
    assert_eq!(rig.arrives(&mut feed).await, ["0:1:b", "0:2:c"]);
    assert_eq!(rig.arrives(&mut feed).await, ["1:0:d", "1:1:e"]);
}

#[tokio::test(start_paused = true)]
async fn a_split_while_it_waits_is_followed() {
    let rig = Rig::new(vec![shard(0, &[], 0)]);
    let mut feed = rig.feed(Some(MADE_MS), &[]).await;
    assert_eq!(rig.begins(&mut feed).await, [(0, 0)]);
    assert!(rig.next(&mut feed).await.is_none());
    rig.put(at(0), 0, &["a"]).await;
    rig.define(CLICKS, vec![closed(shard(0, &[], 0), 1), shard(1, &[0], 7), shard(2, &[0], 1_007)]);
    rig.put(at(2), 1_008, &["b"]).await;
    assert_eq!(rig.arrives(&mut feed).await, ["0:0:a"]);
    assert_eq!(rig.begins(&mut feed).await, [(1, 0), (2, 0)]);
    assert_eq!(rig.arrives(&mut feed).await, ["2:0:b"]);
    // Closed without another record.
    rig.define(CLICKS, vec![closed(shard(1, &[0], 7), 0), shard(2, &[0], 1_007), shard(3, &[1], 2_000)]);
    assert!(matches!(rig.next(&mut feed).await, Some(Event::Retired(gone)) if gone == [at(0)]));
    assert_eq!(rig.begins(&mut feed).await, [(3, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_closed_shard_that_lost_its_tail_holds_nobody_up() {
    let rig = Rig::new(vec![closed(shard(0, &[], 0), 4), shard(1, &[0], 2_000)]);
    rig.put(at(0), 0, &["a", "b"]).await;
    let mut feed = rig.feed(None, &[]).await;
    rig.begins(&mut feed).await;
    assert_eq!(rig.arrives(&mut feed).await, ["0:0:a", "0:1:b"]);
    assert!(!feed.is_caught_up().await.unwrap());
    assert_eq!(rig.arrives(&mut feed).await, ["0:2:-", "0:3:-"]);
    assert_eq!(rig.begins(&mut feed).await, [(1, 0)]);
}

#[tokio::test(start_paused = true)]
async fn busy_shards_take_turns() {
    let rig = Rig::new(vec![shard(0, &[], 0), shard(1, &[], 0)]);
    let large = "x".repeat(READ_BYTES);
    for _ in 0..3 {
        rig.put(at(0), 0, &[&large]).await;
    }
    rig.put(at(1), 0, &["little"]).await;
    let mut feed = rig.feed(None, &[]).await;
    rig.begins(&mut feed).await;
    let mut turns = Vec::new();
    for _ in 0..4 {
        turns.push(rig.arrives(&mut feed).await[0].as_bytes()[0]);
    }
    assert!(turns[..2].contains(&b'1'), "{turns:?}");
}

/// A call that is given up at any moment loses nothing.
#[tokio::test(start_paused = true)]
async fn next_can_be_given_up() {
    let rig = Rig::new(vec![closed(shard(0, &[], 0), 2), shard(1, &[0], 0)]);
    rig.put(at(0), 0, &["a"]).await;
    rig.put(at(0), 0, &["b"]).await;
    rig.put(at(1), 0, &["c"]).await;
    let mut feed = rig.feed(None, &[]).await;
    let mut texts = Vec::new();
    while texts.len() < 3 {
        let event = {
            let next = feed.next();
            tokio::pin!(next);
            futures_util::poll!(next)
        };
        match event {
            std::task::Poll::Pending => tokio::task::yield_now().await,
            std::task::Poll::Ready(Ok(Event::Begins(shards))) => {
                for (shard, position) in shards {
                    feed.open(shard, position);
                }
            }
            std::task::Poll::Ready(Ok(Event::Arrival(arrival))) => {
                texts.extend(arrival.puts.iter().flat_map(|put| put.iter().map(<[u8]>::to_vec).collect::<Vec<_>>()));
            }
            std::task::Poll::Ready(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(texts, [b"a", b"b", b"c"]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_deleted_is_said_and_its_successor_followed() {
    let rig = Rig::new(vec![shard(0, &[], 0), shard(1, &[], 0)]);
    rig.put(at(0), 0, &["a", "b", "c"]).await;
    let mut feed = rig.feed(None, &[(at(0), 1), (at(1), 0)]).await;
    assert_eq!(rig.arrives(&mut feed).await, ["0:1:b", "0:2:c"]);
    rig.put(at(1), 0, &["unread", "too"]).await;
    rig.definitions.send_replace(Arc::default());
    let Some(Event::Gone(gone, ends)) = rig.next(&mut feed).await else { panic!("it is gone") };
    assert_eq!((gone, ends), (CLICKS, BTreeMap::from([(at(0), 3), (at(1), 2)])));
    rig.journal.remove(CLICKS).await.unwrap();
    assert!(rig.next(&mut feed).await.is_none() && feed.is_caught_up().await.unwrap());
    assert!(feed.fault().unwrap().to_string().contains("data stream clicks does not exist"));
    let second = ShardId { stream: StreamId(2), index: 0 };
    rig.put(second, 0, &["again"]).await;
    rig.define(second.stream, vec![shard(0, &[], 0)]);
    assert_eq!(rig.begins(&mut feed).await, [(0, 0)]);
    assert_eq!(rig.arrives(&mut feed).await, ["0:0:again"]);
    assert!(feed.fault().is_none());
}

/// The journal is gone before the definition: no fault, and no spinning either.
#[tokio::test(start_paused = true)]
async fn a_stream_whose_journal_went_first_is_no_fault() {
    let rig = Rig::new(vec![shard(0, &[], 0)]);
    rig.put(at(0), 0, &["a"]).await;
    let mut feed = rig.feed(None, &[(at(0), 0)]).await;
    rig.journal.remove(CLICKS).await.unwrap();
    assert!(rig.next(&mut feed).await.is_none());
    assert!(feed.is_caught_up().await.unwrap());
    rig.definitions.send_replace(Arc::default());
    assert!(matches!(rig.next(&mut feed).await, Some(Event::Gone(CLICKS, _))));
}

#[tokio::test(start_paused = true)]
async fn what_the_ledger_knows_of_a_stream_that_is_gone_is_given_up() {
    let rig = Rig::new(vec![shard(0, &[], 0)]);
    let old = ShardId { stream: StreamId(77), index: 4 };
    let mut feed = rig.feed(None, &[(old, 12), (at(0), 0)]).await;
    let Some(Event::Gone(gone, ends)) = rig.next(&mut feed).await else { panic!("it is gone") };
    assert_eq!((gone, ends), (old.stream, BTreeMap::from([(old, 12)])));
}

#[tokio::test(start_paused = true)]
async fn what_was_put_directly_before_is_not_forgotten() {
    let rig = Rig::new(vec![shard(0, &[], 0)]);
    let own = ShardId { stream: BY, index: 0 };
    rig.put(own, 0, &["a", "b"]).await;
    let mut feed = rig.feed(None, &[(own, 1), (at(0), 0)]).await;
    assert_eq!(rig.arrives(&mut feed).await, ["0:1:b"]);
    let mut feed = rig.feed(None, &[(own, 2), (at(0), 0)]).await;
    assert!(rig.next(&mut feed).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_was_made_just_before_the_freeze_is_brought() {
    let rig = Rig::new(vec![shard(0, &[], 0)]);
    let mut feed = rig.feed(None, &[(at(0), 0)]).await;
    assert!(rig.next(&mut feed).await.is_none());
    rig.define(CLICKS, vec![closed(shard(0, &[], 0), 0), shard(1, &[0], 2_000)]);
    rig.put(at(1), 0, &["a"]).await;
    feed.freeze().await.unwrap();
    assert!(!feed.is_caught_up().await.unwrap());
    assert_eq!(rig.begins(&mut feed).await, [(1, 0)]);
    assert_eq!(rig.arrives(&mut feed).await, ["1:0:a"]);
    assert!(feed.is_caught_up().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_frozen_feed_comes_to_the_children_of_a_shard_that_lost_its_tail() {
    let rig = Rig::new(vec![closed(shard(0, &[], 0), 2), shard(1, &[0], 2_000)]);
    rig.put(at(0), 0, &["a"]).await;
    rig.put(at(1), 0, &["b"]).await;
    let mut feed = rig.feed(None, &[]).await;
    rig.begins(&mut feed).await;
    feed.freeze().await.unwrap();
    assert_eq!(rig.arrives(&mut feed).await, ["0:0:a"]);
    assert_eq!(rig.arrives(&mut feed).await, ["0:1:-"]);
    assert_eq!(rig.begins(&mut feed).await, [(1, 0)]);
    assert_eq!(rig.arrives(&mut feed).await, ["1:0:b"]);
    assert!(feed.is_caught_up().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_frozen_feed_has_an_end() {
    let rig = Rig::new(vec![closed(shard(0, &[], 0), 1), shard(1, &[0], 2_000)]);
    rig.put(at(0), 0, &["a"]).await;
    rig.put(at(1), 0, &["b"]).await;
    let mut feed = rig.feed(None, &[]).await;
    rig.begins(&mut feed).await;
    feed.freeze().await.unwrap();
    rig.put(at(1), 0, &["after"]).await;
    assert_eq!(rig.arrives(&mut feed).await, ["0:0:a"]);
    assert!(!feed.is_caught_up().await.unwrap(), "the child held something when it was frozen");
    assert_eq!(rig.begins(&mut feed).await, [(1, 0)]);
    assert_eq!(rig.arrives(&mut feed).await, ["1:0:b", "1:1:after"], "a read brings what there is");
    rig.put(at(1), 0, &["for others"]).await;
    rig.define(CLICKS, vec![closed(shard(0, &[], 0), 1), closed(shard(1, &[0], 2_000), 3), shard(2, &[1], 3_000)]);
    assert!(feed.is_caught_up().await.unwrap() && rig.next(&mut feed).await.is_none());
    assert_eq!(feed.ends().await.unwrap(), BTreeMap::from([(at(0), 1), (at(1), 1)]));
}
