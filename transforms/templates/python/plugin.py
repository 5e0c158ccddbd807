"""NAME: leaves out records of one level, and partitions the others by service."""

import json

from standpipe_transform import plugin


class Plugin:
    # Nothing is remembered from batch to batch, so one instance may serve them all.
    lifetime = "kept"

    def __init__(self, facts):
        """Reads the configuration; what is raised refuses it."""
        self.drop = facts.get("drop", "debug")

    def transform(self, batch, out):
        """Answers every record: emitted (once or several times), dropped or failed."""
        for record in batch:
            try:
                value = json.loads(record.data)
            except ValueError as error:
                out.fail(record, f"no JSON: {error}")
                continue
            value = value if isinstance(value, dict) else {}
            if value.get("level") == self.drop:
                out.drop(record)
            else:
                out.emit(record, record.data).key("service", value.get("service", ""))


WitWorld = plugin(Plugin)
