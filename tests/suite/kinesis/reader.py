"""A consumer as one writes it by hand: polls every shard of a stream, each after its parents, over kills and resharding.
What it has read once must stay: a kill takes back nothing that a reader saw."""

import json

from kinesis import streams


class Reader:
    """Reads a stream from its horizon. `read`: the sequence number of each record of an oracle's producer."""

    def __init__(self, endpoint, stream):
        self.kinesis, self.stream = streams.client(endpoint, attempts=1, read_timeout=5), stream
        self.read, self.twice = {}, []
        self._positions, self._last, self._past = {}, {}, set()

    def round(self):
        """One call for each shard that is open to it. May fail anywhere, and is then called again; how many records came."""
        before = len(self.read)
        for name, shard in streams.shards(self.kinesis, self.stream).items():
            if name not in self._past and not set(streams.parents(shard)) - self._past:
                self._step(name)
        return len(self.read) - before

    def _step(self, shard):
        position = self._positions.pop(shard, None) or self._begin(shard)
        # Without an answer it begins anew after the last record that it has.
        answer = self.kinesis.get_records(ShardIterator=position)
        for record in answer["Records"]:
            fields = json.loads(record["Data"])
            name = (fields["producer"], fields["n"])
            if name in self.read:
                self.twice.append((name, self.read[name], record["SequenceNumber"]))
            self.read[name] = self._last[shard] = record["SequenceNumber"]
        if following := answer.get("NextShardIterator"):
            self._positions[shard] = following
        else:
            self._past.add(shard)

    def _begin(self, shard):
        if last := self._last.get(shard):
            return streams.iterator(self.kinesis, self.stream, shard, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=last)
        return streams.iterator(self.kinesis, self.stream, shard, "TRIM_HORIZON")

    def verify(self, stored):
        """`stored`: what the stream holds in the end, as `read` is."""
        streams.until(lambda: not self.round() and len(self.read) >= len(stored), f"all {len(stored)} are read")
        assert not self.twice, f"read twice: {self.twice[:5]}"
        wrong = [(name, number, stored.get(name)) for name, number in self.read.items() if stored.get(name) != number]
        assert not wrong, f"read, and not there afterwards: {wrong[:5]}"
