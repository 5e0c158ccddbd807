"""Leaves out debug lines, masks IP addresses and e-mail addresses, and partitions by service."""

import json
import re

from standpipe_transform import plugin

# An escape, whose letters belong to no name; a name before an @.
NAMES = re.compile(r'\\(?:u.{4}|.)|[^\s"\\(),:;<>@\[\]]+@(?=[A-Za-z0-9])')
IPV4 = re.compile(r"(?<![\w.])\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?!\w|\.\w)")
IPV6 = re.compile(r"(?<![\w.:])(?:[\da-fA-F]{0,4}:){2,7}[\da-fA-F]{0,4}(?![\w:]|\.\w)")


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


def mask(text):
    if "@" in text:
        text = NAMES.sub(lambda found: found[0] if found[0].startswith("\\") else "***@", text)
    return IPV6.sub(mask_ipv6, IPV4.sub(mask_ipv4, text))


def mask_ipv4(found):
    """Without its last number, if it is an address."""
    numbers = found[0].split(".")
    return ".".join(numbers[:3]) + ".0" if all(int(number) <= 255 for number in numbers) else found[0]


def mask_ipv6(found):
    """Its first three groups, if it is an address."""
    text = found[0]
    if text.count(":") != 7 and "::" not in text:
        return text
    return ":".join(text.split("::")[0].split(":")[:3]) + "::"
