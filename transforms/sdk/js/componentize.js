#!/usr/bin/env node
// `componentize.js PLUGIN.js OUT.wasm [WIT]`: makes a component of a plugin, with the JavaScript engine inside (12 MB).
import { componentize } from "@bytecodealliance/componentize-js";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const [source, out, wit = fileURLToPath(new URL("../../wit", import.meta.url))] = process.argv.slice(2);
if (out === undefined) {
  console.error("usage: componentize.js PLUGIN.js OUT.wasm [WIT]");
  process.exit(2);
}
// Nothing that could differ from run to run is there to be called.
const disableFeatures = ["stdio", "random", "clocks", "http", "fetch-event"];
const { component } = await componentize({ sourcePath: source, witPath: wit, worldName: "transform", disableFeatures });
await writeFile(out, component);
