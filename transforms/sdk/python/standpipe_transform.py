"""Write a Standpipe transform plugin in Python: records in, rows out, nothing else in sight.

    from standpipe_transform import plugin

    class Upper:
        def transform(self, batch, out):
            for record in batch:
                out.emit(record, record.text().upper())

    WitWorld = plugin(Upper)

A plugin has no clock, no randomness, no files and no network: the same batch must give the same outcome, because a
delivery that crashed is repeated by running it again. What is raised fails the batch, which is then tried in halves until
the record that causes it stands alone; its text is in the service's log.
"""

import traceback
from itertools import accumulate

from componentize_py_types import Err
from wit_world.imports import host, types

OK, DROPPED, FAILED = range(3)


def plugin(cls):
    """Makes a class the plugin of this module, which must name the result `WitWorld`.

    `cls(facts)`, or `cls()` if it has no `__init__`, is called once for each instance: what it raises refuses the
    configuration. `transform(batch, out)` is called for each batch: every record must be emitted (once or several times),
    dropped or failed. `lifetime = "kept"` in the class says that one instance may be given any number of batches, in any
    order, because what it remembers has no effect on outcomes; without it there is a new one for every batch.
    """

    class WitWorld:
        instance = None

        def init(self, facts):
            try:
                takes_facts = cls.__init__ is not object.__init__
                WitWorld.instance = cls(Facts(facts)) if takes_facts else cls()
            except Exception as error:
                raise Err(str(error)) from error
            return types.Lifetime[getattr(cls, "lifetime", "batch").upper()]

        def transform(self, batch):
            out = Outcome()
            try:
                WitWorld.instance.transform(Batch(batch), out)
            except Exception:
                log.error(traceback.format_exc())
                raise
            return out.finish()

    return WitWorld


class log:
    """Writes into the service's log."""

    @staticmethod
    def debug(message):
        host.log(host.Level.DEBUG, str(message))

    @staticmethod
    def info(message):
        host.log(host.Level.INFO, str(message))

    @staticmethod
    def warn(message):
        host.log(host.Level.WARN, str(message))

    @staticmethod
    def error(message):
        host.log(host.Level.ERROR, str(message))


def count(name, by=1):
    """Adds to a counter of the plugin's own, which is exported among the service's metrics."""
    host.counter(name, by)


class Facts:
    """Where the plugin runs and how it is configured."""

    def __init__(self, facts):
        self.delivery_stream = facts.delivery_stream
        self.config = dict(facts.config)

    def get(self, name, default=None):
        """A configuration value."""
        return self.config.get(name, default)

    def require(self, name):
        """A configuration value that must be there."""
        if name not in self.config:
            raise ValueError(f'config value "{name}" is missing')
        return self.config[name]


class Batch:
    """The records of one call, in order."""

    def __init__(self, columns):
        self.columns = columns

    def __len__(self):
        return len(self.columns.ends)

    def __iter__(self):
        start = 0
        for index, end in enumerate(self.columns.ends):
            yield Record(self.columns, index, self.columns.data[start:end])
            start = end


class Record:
    """One record."""

    __slots__ = ("columns", "index", "data")

    def __init__(self, columns, index, data):
        self.columns = columns
        self.index = index
        self.data = data

    def text(self):
        """Its bytes as text; what is no UTF-8 is replaced."""
        return self.data.decode("utf-8", "replace")

    @property
    def arrived_ms(self):
        """When it arrived, milliseconds since 1970."""
        return self.columns.arrived_ms[self.index]

    @property
    def position(self):
        """Where it stands in its shard. It rises from record to record, with gaps; user records of one aggregate share
        theirs."""
        return self.columns.positions[self.index]

    @property
    def shard(self):
        """The shard of a record of a data stream; None for what was put into the delivery stream itself."""
        return self.columns.shards[self.index] if self.columns.shards else None

    @property
    def key(self):
        """The partition key (bytes) of a record of a data stream; None for what was put into the delivery stream itself."""
        ends = self.columns.key_ends
        if not ends:
            return None
        start = ends[self.index - 1] if self.index else 0
        return self.columns.key_data[start : ends[self.index]]


class Outcome:
    """What becomes of a batch. Records are answered in their order; each may become several rows."""

    def __init__(self):
        self.rows = []
        self.inputs = []
        self.statuses = bytearray()
        self.keys = {}

    def emit(self, record, data):
        """Delivers `data`, str or bytes, for `record`; may be called several times for one record."""
        self.rows.append(data.encode() if isinstance(data, str) else data)
        self.inputs.append(record.index)
        self.statuses.append(OK)
        return self

    def key(self, name, value):
        """Gives the row that was just emitted a partition key, for `!{partitionKeyFromLambda:name}` in a prefix. An empty
        value is as good as none."""
        column = self.keys.get(name)
        if column is None:
            column = self.keys[name] = []
        if len(column) < len(self.rows) - 1:
            _fill(column, len(self.rows) - 1)
        column.append(str(value).encode())
        return self

    def drop(self, record):
        """Leaves `record` out, on purpose: it is counted as dropped."""
        self._refuse(record, DROPPED, b"")

    def fail(self, record, message):
        """Sends `record` to the error output as it came, with a message for a person; nothing else of it is delivered."""
        self._refuse(record, FAILED, str(message).encode())

    def _refuse(self, record, status, data):
        self.rows.append(data)
        self.inputs.append(record.index)
        self.statuses.append(status)

    def finish(self):
        for column in self.keys.values():
            _fill(column, len(self.rows))
        keys = [types.KeyColumn(name, b"".join(column), _ends(column)) for name, column in self.keys.items()]
        return types.Outcome(b"".join(self.rows), _ends(self.rows), self.inputs, bytes(self.statuses), keys)


def _fill(column, length):
    """Adds empty cells until there are `length`."""
    column.extend([b""] * (length - len(column)))


def _ends(cells):
    return list(accumulate(map(len, cells)))
