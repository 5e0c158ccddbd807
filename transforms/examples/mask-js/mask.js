// Leaves out debug lines, masks IP addresses and e-mail addresses, and partitions by service.
import { plugin } from "../../sdk/js/standpipe.js";
import { mask } from "./addresses.js";

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
    return typeof line === "object" && line !== null && !Array.isArray(line) ? line : undefined;
  } catch {
    return undefined;
  }
}
