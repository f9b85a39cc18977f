// The packages that the book is made with, and what all of its parts use.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import process from "node:process";

const require = createRequire(import.meta.url);

// Ends the program with a message: nothing can be done about it here.
export function giveUp(message) {
  console.error(`book: ${message}`);
  process.exit(3);
}

const kHint = "Install it:\n" +
  "Debian and Ubuntu: sudo apt-get install nodejs node-markdown-it katex node-prismjs\n" +
  "elsewhere: npm install markdown-it katex prismjs, and NODE_PATH=.../node_modules";

// A package of Node.js, wherever it finds packages: beside this file, or in a folder of NODE_PATH.
export function library(name) {
  try {
    return require(name);
  } catch (error) {
    if (error.code !== "MODULE_NOT_FOUND") throw error;
    return giveUp(`Node.js has no package '${name.split("/")[0]}' here. ${kHint}`);
  }
}

// The folder that has the stylesheet and fonts of KaTeX. Debian puts them beside its other scripts.
export function katexFolder() {
  const folder = dirname(require.resolve("katex"));
  const places = [folder, join(folder, "dist"), "/usr/share/javascript/katex"];
  const found = places.find((place) => existsSync(join(place, "katex.min.css")));
  return found ?? giveUp(`katex.min.css is in none of ${places.join(", ")}. ${kHint}`);
}

export function escapeHtml(text) {
  const names = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(/[&<>"]/g, (c) => names[c]);
}
