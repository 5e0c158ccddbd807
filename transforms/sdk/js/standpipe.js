// Write a Standpipe transform plugin in JavaScript: records in, rows out, nothing else in sight.
//
//     import { plugin } from "./standpipe.js";
//
//     class Upper {
//       transform(batch, out) {
//         for (const record of batch) out.emit(record, record.text().toUpperCase());
//       }
//     }
//
//     export const { init, transform } = plugin(Upper);
//
// A plugin has no clock, no randomness, no files and no network: the same batch must give the same outcome, because a
// delivery that crashed is repeated by running it again. What is thrown fails the batch, which is then tried in halves
// until the record that causes it stands alone; its text is in the service's log.
import { counter, log as write } from "standpipe:transform/host@1.0.0";

const OK = 0;
const DROPPED = 1;
const FAILED = 2;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/// Makes a class the plugin of this module. `new Plugin(facts)` is called once for each instance: what it throws refuses
/// the configuration. `transform(batch, out)` is called for each batch: every record must be emitted (once or several
/// times), dropped or failed. `lifetime = "kept"` in the class says that one instance may be given any number of batches,
/// in any order, because what it remembers has no effect on outcomes; without it there is a new one for every batch.
export function plugin(Plugin) {
  let instance;
  return {
    init(facts) {
      try {
        instance = new Plugin(new Facts(facts));
      } catch (error) {
        throw String(error?.message ?? error);
      }
      return instance.lifetime ?? "batch";
    },
    transform(batch) {
      const out = new Outcome();
      try {
        instance.transform(new Batch(batch), out);
      } catch (error) {
        log.error(`${error}\n${error?.stack ?? ""}`);
        throw error;
      }
      return out.finish();
    },
  };
}

/// Writes into the service's log.
export const log = {
  debug: (message) => write("debug", String(message)),
  info: (message) => write("info", String(message)),
  warn: (message) => write("warn", String(message)),
  error: (message) => write("error", String(message)),
};

/// Adds to a counter of the plugin's own, which is exported among the service's metrics.
export function count(name, by = 1) {
  counter(name, BigInt(by));
}

/// Where the plugin runs and how it is configured.
class Facts {
  constructor({ deliveryStream, config }) {
    this.deliveryStream = deliveryStream;
    this.config = new Map(config);
  }

  /// A configuration value, or undefined.
  get(name) {
    return this.config.get(name);
  }

  /// A configuration value that must be there.
  require(name) {
    if (!this.config.has(name)) throw new Error(`config value "${name}" is missing`);
    return this.config.get(name);
  }
}

/// The records of one call, in order.
class Batch {
  constructor(columns) {
    this.columns = columns;
    this.length = columns.ends.length;
  }

  [Symbol.iterator]() {
    return new Records(this.columns);
  }
}

/// Gives the records of a batch one by one; a generator would take half as long again.
class Records {
  index = 0;
  start = 0;

  constructor(columns) {
    const { data, ends } = columns;
    this.columns = columns;
    this.ends = ends;
    // Text of ASCII alone is taken apart faster than its bytes are.
    const all = decoder.decode(data);
    this.ascii = all.length === data.length ? all : undefined;
  }

  [Symbol.iterator]() {
    return this;
  }

  next() {
    const index = this.index++;
    const end = this.ends[index];
    if (end === undefined) return { value: undefined, done: true };
    const value = new Record(this.columns, index, this.start, end, this.ascii);
    this.start = end;
    return { value, done: false };
  }
}

/// One record.
class Record {
  constructor(columns, index, start, end, ascii) {
    this.columns = columns;
    this.index = index;
    this.start = start;
    this.end = end;
    this.ascii = ascii;
  }

  /// Its bytes.
  data() {
    return this.columns.data.subarray(this.start, this.end);
  }

  /// Its bytes as text; what is no UTF-8 is replaced.
  text() {
    return this.ascii === undefined ? decoder.decode(this.data()) : this.ascii.slice(this.start, this.end);
  }

  /// When it arrived, milliseconds since 1970.
  get arrivedMs() {
    return Number(this.columns.arrivedMs[this.index]);
  }

  /// Where it stands in its shard, a BigInt. It rises from record to record, with gaps; user records of one aggregate
  /// share theirs.
  get position() {
    return this.columns.positions[this.index];
  }

  /// The shard of a record of a data stream; undefined for what was put into the delivery stream itself.
  get shard() {
    return this.columns.shards[this.index];
  }

  /// The partition key of a record of a data stream; undefined for what was put into the delivery stream itself.
  get key() {
    const { keyData, keyEnds } = this.columns;
    if (keyEnds.length === 0) return undefined;
    const start = this.index === 0 ? 0 : keyEnds[this.index - 1];
    return decoder.decode(keyData.subarray(start, keyEnds[this.index]));
  }
}

/// What becomes of a batch. Records are answered in their order; each may become several rows.
class Outcome {
  // What is set by index needs no call, unlike `push`: the engine only interprets.
  length = 0;
  rows = [];
  inputs = [];
  statuses = [];
  keys = new Map();

  /// Delivers `data`, text or bytes, for `record`; may be called several times for one record.
  emit(record, data) {
    const row = this.length++;
    this.rows[row] = data;
    this.inputs[row] = record.index;
    this.statuses[row] = OK;
    return this;
  }

  /// Gives the row that was just emitted a partition key, for `!{partitionKeyFromLambda:name}` in a prefix. An empty value
  /// is as good as none.
  key(name, value) {
    const cells = this.keys.get(name) ?? this.newKey(name);
    const row = this.length - 1;
    while (cells.length < row) cells.push("");
    cells[row] = typeof value === "string" ? value : String(value);
    return this;
  }

  newKey(name) {
    const cells = [];
    this.keys.set(name, cells);
    return cells;
  }

  /// Leaves `record` out, on purpose: it is counted as dropped.
  drop(record) {
    this.emit(record, "");
    this.statuses[this.length - 1] = DROPPED;
  }

  /// Sends `record` to the error output as it came, with a message for a person; nothing else of it is delivered.
  fail(record, message) {
    this.emit(record, String(message));
    this.statuses[this.length - 1] = FAILED;
  }

  finish() {
    const keys = [...this.keys].map(([name, cells]) => {
      while (cells.length < this.length) cells.push("");
      return { name, ...column(cells) };
    });
    // Of an array: `from` would call a function for each element.
    const inputs = new Uint32Array(this.inputs);
    const statuses = new Uint8Array(this.statuses);
    return { ...column(this.rows), inputs, statuses, keys };
  }
}

/// Texts or bytes, one after the other, and where each ends.
function column(cells) {
  if (allText(cells)) {
    // All at once: if it is ASCII alone, each text has as many bytes as it has characters.
    const all = cells.join("");
    const data = encoder.encode(all);
    if (data.length === all.length) return { data, ends: endsOf(cells) };
  }
  const bytes = cells.map((cell) => (typeof cell === "string" ? encoder.encode(cell) : cell));
  const ends = endsOf(bytes);
  const data = new Uint8Array(ends.at(-1) ?? 0);
  bytes.forEach((cell, index) => data.set(cell, ends[index] - cell.length));
  return { data, ends };
}

function allText(cells) {
  for (let index = 0; index < cells.length; index++) if (typeof cells[index] !== "string") return false;
  return true;
}

function endsOf(cells) {
  const ends = new Uint32Array(cells.length);
  let end = 0;
  for (let index = 0; index < ends.length; index++) ends[index] = end += cells[index].length;
  return ends;
}
