"""Leaves out debug lines, masks IP addresses and e-mail addresses, and partitions by service."""

import json

from addresses import mask
from standpipe_transform import plugin


class Mask:
    lifetime = "kept"

    def transform(self, batch, out):
        for record in batch:
            text = record.text()
            line = parse(text)
            if line is None:
                out.fail(record, "not a log line")
            elif line.get("level") == "debug":
                out.drop(record)
            else:
                out.emit(record, mask(text)).key("service", line.get("service", ""))


WitWorld = plugin(Mask)


def parse(text):
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None

