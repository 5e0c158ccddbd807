"""Masking in the text of a JSON document as it stands. Searching for the sign that every address has is several times as
fast as a regular expression that looks at every character."""

import re
from string import ascii_letters, digits, hexdigits

DIGITS = set(digits)
HEX = set(hexdigits)
WORD = set(ascii_letters + digits + "_.:")
NO_NAME = set(' \t\n\r"\\(),:;<>@[]')
IPV4 = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?!\w|\.\w)", re.ASCII)
IPV6 = re.compile(r"[\da-f]{0,4}(?::[\da-f]{0,4}){2,7}(?!\w|\.\w)", re.ASCII | re.IGNORECASE)


def mask(text):
    """Masks the last number of IPv4 addresses, the last five groups of IPv6 addresses, and what stands before the @ of
    e-mail addresses."""
    return around(around(around(text, "@", mask_name), ".", mask_ipv4), ":", mask_ipv6)


def around(text, sign, find):
    """Replaces what `find` finds at each `sign`: it answers start, end and replacement, or None."""
    parts, copied = [], 0
    at = text.find(sign)
    while at != -1:
        found = find(text, at)
        if found and found[0] >= copied:
            start, end, masked = found
            parts += text[copied:start], masked
            copied = end
            at = max(at, end - 1)
        at = text.find(sign, at + 1)
    return "".join(parts) + text[copied:] if parts else text


def mask_name(text, at):
    start = at
    while start > 0 and text[start - 1] not in NO_NAME:
        start -= 1
    # The letters of an escape (`\n`, `\u0041`) belong to no name.
    if is_escaped(text, start):
        start += 5 if text[start] == "u" else 1
    return (start, at, "***") if start < at and text[at + 1 : at + 2].isalnum() else None


def is_escaped(text, at):
    """Whether an odd number of backslashes stands before `at`."""
    before = text[:at]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def mask_ipv4(text, at):
    start = at
    while text[start - 1 : start] in DIGITS:
        start -= 1
    before = text[start - 1 : start]
    if start == at or (before in WORD and before != ":"):
        return None
    found = IPV4.match(text, start)
    if not found or any(int(number) > 255 for number in found.groups()):
        return None
    return start, found.end(), ".".join(found.groups()[:3]) + ".0"


def mask_ipv6(text, at):
    if text[at - 1 : at] not in HEX and text[at + 1 : at + 2] != ":":
        return None
    start = at
    while text[start - 1 : start] in HEX:
        start -= 1
    found = None if text[start - 1 : start] in WORD else IPV6.match(text, start)
    if not found or (found[0].count(":") != 7 and "::" not in found[0]):
        return None
    return start, found.end(), ":".join(found[0].split("::")[0].split(":")[:3]) + "::"
