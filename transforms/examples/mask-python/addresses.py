"""Masking in the text of a JSON document as it stands. A search for a plain sign is many times as fast as a regular
expression that looks at every character: so the expressions for whole addresses are tried only where a search that begins
with a sign has found a part of one."""

import re

OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
IPV4 = re.compile(rf"(?<![\w.])({OCTET}\.{OCTET}\.{OCTET}\.){OCTET}(?!\w|\.\w)", re.ASCII)
PART_OF_IPV4 = re.compile(r"\.\d{1,3}\.\d")
IPV6 = re.compile(r"(?<![\w.:])[\da-f]{0,4}(?::[\da-f]{0,4}){2,7}(?!\w|\.\w)", re.ASCII | re.IGNORECASE)
# Every IPv6 address has this in it, and times do not.
PART_OF_IPV6 = re.compile(r":(?::|[\da-fA-F]{1,4}:[\da-fA-F]{1,4}:)")
NAME = re.compile(r'[^ \t\n\r"\\(),:;<>@\[\]]*')


def mask(text):
    """Masks the last number of IPv4 addresses, the last five groups of IPv6 addresses, and what stands before the @ of
    e-mail addresses."""
    if "@" in text:
        text = mask_names(text)
    if PART_OF_IPV4.search(text):
        text = IPV4.sub(r"\g<1>0", text)
    if PART_OF_IPV6.search(text):
        text = IPV6.sub(mask_ipv6, text)
    return text


def mask_names(text):
    """Masks the names before each @."""
    parts, copied = [], 0
    at = text.find("@")
    while at != -1:
        before = text[copied:at]
        start = at - NAME.match(before[::-1]).end()
        # The letters of an escape (`\n`, `\u0041`) belong to no name.
        if is_escaped(text, start):
            start += 5 if text[start] == "u" else 1
        after = text[at + 1 : at + 2]
        if start < at and after.isascii() and after.isalnum():
            parts += text[copied:start], "***"
            copied = at
        at = text.find("@", at + 1)
    return "".join(parts) + text[copied:]


def is_escaped(text, at):
    """Whether an odd number of backslashes stands before `at`."""
    start = at
    while start > 0 and text[start - 1] == "\\":
        start -= 1
    return (at - start) % 2 == 1


def mask_ipv6(found):
    address = found[0]
    if address.count(":") != 7 and "::" not in address:
        return address
    return ":".join(address.split("::")[0].split(":")[:3]) + "::"
