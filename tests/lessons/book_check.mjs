// Reads a finished book, and knows nothing of how it is made:
//     node tests/lessons/book_check.mjs BOOK PROJECT
// Every link inside of the book must lead to a file, and to an anchor, that is there; no page may
// need the network or a script; and each page must have as many formulas as its text in PROJECT.
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import process from "node:process";

const [book, project] = process.argv.slice(2);
const faults = [];

function filesIn(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesIn(path) : [path];
  });
}

const explorer = join(book, "explorer.html"); // has checks of its own
const pages = filesIn(book).filter((path) => path.endsWith(".html") && path !== explorer);
const anchors = new Map(pages.map((path) => {
  const ids = [...readFileSync(path, "utf8").matchAll(/ id="([^"]*)"/g)].map((found) => found[1]);
  return [path, new Set(ids)];
}));

function checkLink(page, link) {
  if (/^https?:/.test(link)) return;
  const [path, anchor] = decodeURI(link).split("#");
  const target = path === "" ? page : join(dirname(page), path);
  const where = `${relative(book, page)}: a link to ${link}`;
  if (relative(book, target).startsWith("..")) faults.push(`${where}, which is not in the book`);
  else if (!existsSync(target)) faults.push(`${where}, which is not there`);
  else if (anchor !== undefined && !anchors.get(target)?.has(anchor))
    faults.push(`${where}, and there is no such anchor`);
}

for (const page of pages) {
  const html = readFileSync(page, "utf8");
  for (const [, , link] of html.matchAll(/<[^>]* (href|src)="([^"]*)"/g)) checkLink(page, link);
  if (/<script|<link[^>]*http|<img[^>]*src="http/.test(html))
    faults.push(`${relative(book, page)} needs a script or the network`);
  if (/<img(?![^>]* alt=)/.test(html)) faults.push(`${relative(book, page)}: an image without alt`);
  const anchorsHere = [...html.matchAll(/ id="([^"]*)"/g)].length;
  if (anchorsHere !== anchors.get(page).size) faults.push(`${relative(book, page)}: one id twice`);
}
if (/url\((?!data:)/.test(readFileSync(join(book, "style.css"), "utf8")))
  faults.push("style.css needs other files");

// The formulas of a Markdown text, between one or two dollars or in blocks ```math.
function countFormulas(markdown) {
  const blocks = (markdown.match(/^ *```math$/gm) ?? []).length;
  const prose = markdown.replace(/^ *```[^]*?^ *```$/gm, "").replace(/`[^`]*`/g, "");
  return blocks + (prose.match(/\$\$[^]*?\$\$|\$[^$]*\$/g) ?? []).length;
}

// Only in <main>: the titles of sections stand among the contents, too.
let formulas = 0;
for (const page of readdirSync(book).filter((name) => /^\d\d_.*\.html$/.test(name))) {
  const text = join("lessons", page.replace(".html", ""), "README.md");
  const main = readFileSync(join(book, page), "utf8").match(/<main[^]*<\/main>/)[0];
  const shown = (main.match(/<span class="katex">/g) ?? []).length;
  const written = countFormulas(readFileSync(join(project, text), "utf8"));
  if (shown !== written) faults.push(`${page}: ${shown} formulas, and ${text} has ${written}`);
  formulas += written;
}

for (const fault of faults) console.log(`FAILED: ${fault}`);
console.log(`${pages.length} pages, ${formulas} formulas, ${faults.length} faults`);
process.exit(faults.length === 0 ? 0 : 1);
