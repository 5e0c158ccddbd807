// Masking in the text of a JSON document as it stands. The engine has no just-in-time compiler: what is native in it
// (`indexOf`, `replace` with a text) is many times as fast as a loop. A regular expression that begins with a plain sign
// skips to that sign at once, so these do, and look at what stands before it only then.
const OCTET = String.raw`(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)`;
const IPV4 = RegExp(
  String.raw`\.(?=\d{1,3}\.\d)(?<=(?<![\w.])${OCTET}\.)(${OCTET}\.${OCTET}\.)${OCTET}(?!\w|\.\w)`,
  "g",
);
const IPV6 = /(?<![\w.:])[\da-f]{0,4}(?::[\da-f]{0,4}){2,7}(?!\w|\.\w)/gi;
// Every IPv6 address has this in it, and times do not.
const PART_OF_IPV6 = /:(?::|[\da-fA-F]{1,4}:[\da-fA-F]{1,4}:)/;
const IS_NAME = table((character) => !' \t\n\r"\\(),:;<>@[]'.includes(character));
const IS_ALPHANUMERIC = table((character) => /[\da-z]/i.test(character));
const BACKSLASH = "\\".charCodeAt(0);

/// Masks the last number of IPv4 addresses, the last five groups of IPv6 addresses, and what stands before the @ of e-mail
/// addresses.
export function mask(text) {
  const at = text.indexOf("@");
  if (at !== -1) text = maskNames(text, at);
  // `$1`, and a zero.
  text = text.replace(IPV4, ".$10");
  return PART_OF_IPV6.test(text) ? text.replace(IPV6, maskIpv6) : text;
}

/// Masks the names before each @ from the first one on.
function maskNames(text, at) {
  let out = "";
  let copied = 0;
  for (; at !== -1; at = text.indexOf("@", at + 1)) {
    if (IS_ALPHANUMERIC[text.charCodeAt(at + 1)] !== 1) continue;
    let start = at;
    while (start > copied && IS_NAME[text.charCodeAt(start - 1)] !== 0) start--;
    // The letters of an escape (`\n`, `\u0041`) belong to no name.
    if (isEscaped(text, start)) start += text[start] === "u" ? 5 : 1;
    if (start >= at) continue;
    out += text.slice(copied, start) + "***";
    copied = at;
  }
  return out + text.slice(copied);
}

/// Whether an odd number of backslashes stands before `at`.
function isEscaped(text, at) {
  let start = at;
  while (text.charCodeAt(start - 1) === BACKSLASH) start--;
  return (at - start) % 2 === 1;
}

function maskIpv6(address) {
  if (address.split(":").length !== 8 && !address.includes("::")) return address;
  return `${address.split("::")[0].split(":").slice(0, 3).join(":")}::`;
}

/// For each ASCII code 1 or 0: characters beyond are undefined.
function table(has) {
  return Uint8Array.from({ length: 128 }, (_, code) => has(String.fromCharCode(code)));
}
