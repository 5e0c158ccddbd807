// Masking in the text of a JSON document as it stands. The engine has no just-in-time compiler: searching for the sign that
// every address has (`indexOf` is native) is ten times as fast as a regular expression that looks at every character.
const DIGITS = new Set("0123456789");
const HEX = new Set("0123456789abcdefABCDEF");
const WORD = new Set("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.:");
const NO_NAME = new Set(' \t\n\r"\\(),:;<>@[]');
const IPV4 = /(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?!\w|\.\w)/y;
const IPV6 = /[\da-f]{0,4}(?::[\da-f]{0,4}){2,7}(?!\w|\.\w)/iy;

/// Masks the last number of IPv4 addresses, the last five groups of IPv6 addresses, and what stands before the @ of e-mail
/// addresses.
export function mask(text) {
  return around(around(around(text, "@", maskName), ".", maskIpv4), ":", maskIpv6);
}

/// Replaces what `find` finds at each `sign`: it answers [start, end, replacement], or undefined.
function around(text, sign, find) {
  let out = "";
  let copied = 0;
  for (let at = text.indexOf(sign); at !== -1; at = text.indexOf(sign, at + 1)) {
    const [start, end, masked] = find(text, at) ?? [];
    if (start === undefined || start < copied) continue;
    out += text.slice(copied, start) + masked;
    copied = end;
    at = Math.max(at, end - 1);
  }
  return copied === 0 ? text : out + text.slice(copied);
}

function maskName(text, at) {
  let start = at;
  while (start > 0 && !NO_NAME.has(text[start - 1])) start--;
  // The letters of an escape (`\n`, `\u0041`) belong to no name.
  if (isEscaped(text, start)) start += text[start] === "u" ? 5 : 1;
  return start < at && /[a-z\d]/i.test(text[at + 1]) ? [start, at, "***"] : undefined;
}

/// Whether an odd number of backslashes stands before `at`.
function isEscaped(text, at) {
  let start = at;
  while (text[start - 1] === "\\") start--;
  return (at - start) % 2 === 1;
}

function maskIpv4(text, at) {
  let start = at;
  while (DIGITS.has(text[start - 1])) start--;
  if (start === at || !DIGITS.has(text[at + 1]) || (WORD.has(text[start - 1]) && text[start - 1] !== ":")) return undefined;
  IPV4.lastIndex = start;
  const [found, ...numbers] = IPV4.exec(text) ?? [];
  if (found === undefined || numbers.some((number) => number > 255)) return undefined;
  return [start, start + found.length, `${numbers.slice(0, 3).join(".")}.0`];
}

function maskIpv6(text, at) {
  if (!HEX.has(text[at - 1]) && text[at + 1] !== ":") return undefined;
  let start = at;
  while (HEX.has(text[start - 1])) start--;
  if (WORD.has(text[start - 1])) return undefined;
  IPV6.lastIndex = start;
  const found = IPV6.exec(text)?.[0];
  if (found === undefined || (found.split(":").length !== 8 && !found.includes("::"))) return undefined;
  return [start, start + found.length, `${found.split("::")[0].split(":").slice(0, 3).join(":")}::`];
}
