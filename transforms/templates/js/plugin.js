// NAME: leaves out records of one level, and partitions the others by service.
import { plugin } from "./sdk/js/standpipe.js";

class Plugin {
  // Nothing is remembered from batch to batch, so one instance may serve them all.
  lifetime = "kept";

  // Reads the configuration; what is thrown refuses it.
  constructor(facts) {
    this.drop = facts.get("drop") ?? "debug";
  }

  // Answers every record: emitted (once or several times), dropped or failed.
  transform(batch, out) {
    for (const record of batch) {
      const value = parse(record.text());
      if (value === undefined) out.fail(record, "no JSON");
      else if (value?.level === this.drop) out.drop(record);
      else out.emit(record, record.text()).key("service", value?.service ?? "");
    }
  }
}

export const { init, transform } = plugin(Plugin);

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
