// Runs the checks of numbers of an explorer.html in Node.js, without a browser:
//     node lessons/21_explorer/web/check.mjs out/21_explorer/explorer.html [OTHER.wasm]
// With another program in WebAssembly, one that was just built say, that one is checked.
import { readFileSync } from "node:fs";
import vm from "node:vm";

const [page, otherWasm] = process.argv.slice(2);
const html = readFileSync(page, "utf8");

// The element of that id, as far as the page's scripts need one here.
function element(id) {
  const found = html.match(new RegExp(`<script[^>]* id="${id}"[^>]*>([^<]*)</script>`));
  if (!found) throw new Error(`${page} has no data '${id}'`);
  return { textContent: found[1] };
}
globalThis.document = { getElementById: element };

const folder = new URL(".", import.meta.url);
const scripts = ["engine.js", "checks.js"].map(
  (name) => readFileSync(new URL(name, folder), "utf8"));
const run = vm.runInThisContext(`${scripts.join("\n").replaceAll('"use strict";', "")}
(async (otherWasm) => {
  const data = await loadPage();
  if (otherWasm) data.wasm = otherWasm;
  const checks = new Checks();
  await checkNumbers(checks, data);
  return checks;
})`);
const checks = await run(otherWasm && readFileSync(otherWasm));
console.log(checks.lines.join("\n"));
console.log(checks.summary());
process.exit(checks.failed === 0 ? 0 : 1);
