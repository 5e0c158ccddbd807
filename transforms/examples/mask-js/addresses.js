// Masking in the text of a JSON document as it stands. The engine has no just-in-time compiler: searching for the sign that
// every address has (`indexOf` is native) is ten times as fast as a regular expression that looks at every character.
const DIGITS = "0123456789";
const HEX_OR_COLON = "0123456789abcdefABCDEF:";
const NO_NAME = ' \t\n\r"\\(),:;<>@[]';
const WORD = /[\w.]/;
const IPV4 = /(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?!\w|\.\w)/y;
const IPV6 = /[\da-f]{0,4}(?::[\da-f]{0,4}){2,7}(?!\w|\.\w)/iy;

/// Masks the last number of IPv4 addresses, the last five groups of IPv6 addresses, and what stands before the @ of e-mail
/// addresses.
export function mask(text) {
  text = around(text, "@", undefined, maskName);
  text = around(text, ".", DIGITS, maskIpv4);
  return around(text, ":", HEX_OR_COLON, maskIpv6);
}

/// Replaces what `find` finds at each `sign` that has one of the characters `before` it.
function around(text, sign, before, find) {
  let out = "";
  let copied = 0;
  for (let at = text.indexOf(sign); at !== -1; at = text.indexOf(sign, at + 1)) {
    if (before !== undefined && !before.includes(text[at - 1])) continue;
    const found = find(text, at);
    if (found === undefined || found.start < copied) continue;
    out += text.slice(copied, found.start) + found.masked;
    copied = found.end;
    at = Math.max(at, copied - 1);
  }
  return copied === 0 ? text : out + text.slice(copied);
}

function maskName(text, at) {
  let start = at;
  while (start > 0 && !NO_NAME.includes(text[start - 1])) start--;
  // The letters of an escape (`\n`, `\u0041`) belong to no name.
  if (isEscaped(text, start)) start += text[start] === "u" ? 5 : 1;
  return start < at && isWord(text[at + 1]) ? { start, end: at, masked: "***" } : undefined;
}

/// Whether an odd number of backslashes stands before `at`.
function isEscaped(text, at) {
  let start = at;
  while (text[start - 1] === "\\") start--;
  return (at - start) % 2 === 1;
}

function maskIpv4(text, at) {
  const next = text.indexOf(".", at + 1);
  if (next === -1 || next > at + 4) return undefined;
  const start = startOf(DIGITS, text, at);
  if (isWord(text[start - 1])) return undefined;
  IPV4.lastIndex = start;
  const found = IPV4.exec(text);
  if (found === null) return undefined;
  const [, a, b, c, d] = found;
  return Math.max(a, b, c, d) <= 255 ? { start, end: IPV4.lastIndex, masked: `${a}.${b}.${c}.0` } : undefined;
}

function maskIpv6(text, at) {
  const start = startOf(HEX_OR_COLON, text, at);
  if (isWord(text[start - 1])) return undefined;
  IPV6.lastIndex = start;
  const found = IPV6.exec(text)?.[0];
  if (found === undefined || (found.split(":").length !== 8 && !found.includes("::"))) return undefined;
  const groups = found.split("::")[0].split(":").slice(0, 3);
  return { start, end: IPV6.lastIndex, masked: `${groups.join(":")}::` };
}

/// Where the run of `characters` begins that ends at `at`.
function startOf(characters, text, at) {
  while (at > 0 && characters.includes(text[at - 1])) at--;
  return at;
}

function isWord(character) {
  return character !== undefined && WORD.test(character);
}
