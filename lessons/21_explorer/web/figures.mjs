// Takes the figures of this lesson's text from its page:
//     node lessons/21_explorer/web/figures.mjs out/21_explorer/explorer.html FOLDER
import path from "node:path";
import { pathToFileURL } from "node:url";
import { openPage } from "./chromium.mjs";

const [file, folder] = process.argv.slice(2);
if (!folder) throw new Error("usage: node figures.mjs explorer.html FOLDER");
const page = await openPage(pathToFileURL(path.resolve(file)).href);
await page.run("page.ready.then(() => page.drawn)");

// Does something in the page, then shows some elements of it.
async function figure(name, selectors, code, width = 860) {
  await page.resize(width);
  await page.run(`(() => { ${code} })()`);
  await page.picture(selectors, path.join(folder, `${name}.png`));
}

const kSmall = 716;  // decoded pictures take many bytes
const change = (id, value) => `
  $("${id}").value = "${value}";
  $("${id}").dispatchEvent(new Event("change"));`;
const columns = (title) => [`section[aria-labelledby=${title}] .columns`];
const epochs = (n) => `
  for (let step = ${n} * trainer().stepsAnEpoch; step > 0; --step) trainingStep();
  showTraining();`;

await figure("map", columns("title-map"), "moveTo(-0.2, 2.8)", kSmall);
await figure("holes", columns("title-map"), `moveTo(0, 0); ${change("layer", "holes")}`, kSmall);
await figure("training", columns("title-training"), epochs(10), kSmall);
await figure("autoencoder", columns("title-training"),
  `$("autoencoder").click();
   resetTraining();
   ${epochs(10)}`, kSmall);
await figure("posterior", columns("title-one"), change("chosen", 0));
await figure("wide_gap", columns("title-one"), change("chosen", 12));
await figure("path", ["#path-codes", "#path-pixels", "#path-note"], "drawPath()");
await figure("twenty", columns("title-twenty"), `
  let state = 3;  // one and the same draw each time
  Math.random = () => (state = (state * 48271) % 2147483647) / 2147483647;
  $("draw-prior").click();`);
await page.close();
