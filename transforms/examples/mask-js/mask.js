// Leaves out debug lines, masks IP addresses and e-mail addresses, and partitions by service.
import { plugin } from "../../sdk/js/standpipe.js";

// An escape, whose letters belong to no name; a name before an @.
const NAMES = /\\(?:u.{4}|.)|[^\s"\\(),:;<>@[\]]+@(?=[a-z0-9])/gi;
const IPV4 = /(?<![\w.])\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\w]|\.\w)/g;
const IPV6 = /(?<![\w.:])(?:[\da-f]{0,4}:){2,7}[\da-f]{0,4}(?![\w:]|\.\w)/gi;

class Mask {
  lifetime = "kept";

  transform(batch, out) {
    for (const record of batch) {
      const text = record.text();
      const line = parse(text);
      if (line === undefined) {
        out.fail(record, "not a log line");
      } else if (line.level === "debug") {
        out.drop(record);
      } else {
        out.emit(record, mask(text)).key("service", line.service ?? "");
      }
    }
  }
}

export const { init, transform } = plugin(Mask);

function parse(text) {
  try {
    const line = JSON.parse(text);
    return line instanceof Object && !Array.isArray(line) ? line : undefined;
  } catch {
    return undefined;
  }
}

function mask(text) {
  if (text.includes("@")) text = text.replace(NAMES, (found) => (found.startsWith("\\") ? found : "***@"));
  return text.replace(IPV4, maskIpv4).replace(IPV6, maskIpv6);
}

/// Without its last number, if it is an address.
function maskIpv4(text) {
  const numbers = text.split(".");
  return numbers.every((number) => number <= 255) ? `${numbers.slice(0, 3).join(".")}.0` : text;
}

/// Its first three groups, if it is an address.
function maskIpv6(text) {
  const groups = text.split(":");
  if (groups.length !== 8 && !text.includes("::")) return text;
  return `${text.split("::")[0].split(":").slice(0, 3).join(":")}::`;
}
