// Measures how fast the page of this lesson is, in Chromium:
//     node lessons/21_explorer/web/times.mjs out/21_explorer/explorer.html
import path from "node:path";
import { pathToFileURL } from "node:url";
import { openPage } from "./chromium.mjs";

const kRuns = 5;  // of which the median counts

const [file] = process.argv.slice(2);
if (!file) throw new Error("usage: node times.mjs explorer.html");
const url = pathToFileURL(path.resolve(file)).href;

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

// Milliseconds from the start of loading until something.
async function loading() {
  const page = await openPage(url);
  await page.run("page.ready.then(() => page.drawn)");
  const times = await page.run(`["ready", "drawn"].map((name) =>
    performance.getEntriesByName(name)[0].startTime)`);
  await page.close();
  return times;
}

const loads = [];
for (let run = 0; run < kRuns; ++run) loads.push(await loading());
console.log(`map ready            ${median(loads.map(([ready]) => ready)).toFixed(0)} ms`);
console.log(`all drawn            ${median(loads.map(([, drawn]) => drawn)).toFixed(0)} ms`);

const page = await openPage(url);
await page.run("page.ready.then(() => page.drawn)");

// How long something takes, done so many times.
async function measure(name, code, times) {
  const spent = [];
  for (let run = 0; run < kRuns; ++run)
    spent.push(await page.run(`(() => {
      const start = performance.now();
      for (let i = 0; i < ${times}; ++i) { ${code} }
      return (performance.now() - start) / ${times};
    })()`));
  console.log(`${name.padEnd(20)} ${median(spent).toFixed(2)} ms`);
}

await measure("one decoded picture", "page.map.decode(Float32Array.of(1, i / 100))", 100);
await measure("a frame of dragging", "moveTo(i / 100, 1)", 100);
await measure("13 x 13 pictures", "page.map.decode(gridPoints([0, 0], page.end, 13))", 5);
await measure("a step of training", "trainingStep()", 32);
await measure("choosing a picture", "choose(i)", 3);
await measure("judging a drawing", "judgeOwn()", 3);
await page.close();
