// Colours for code, by Prism, and how a quoted piece finds its place in the source.
import { escapeHtml, library } from "./library.mjs";

const Prism = library("prismjs");
for (const language of ["c", "cpp", "bash", "python"])
  library(`prismjs/components/prism-${language}`);

const kLanguages = {
  ".hpp": "cpp", ".cpp": "cpp", ".sh": "bash", ".py": "python", ".js": "javascript",
  ".mjs": "javascript",
};

// The language of a file by how its name ends, or undefined where it is not code.
export function languageOf(path) {
  return kLanguages[path.match(/\.[a-z]+$/)?.[0]];
}

// HTML with a class for each kind of word, except those that look like the rest anyway.
export function highlighted(code, language) {
  const name = language === "sh" ? "bash" : language;
  const grammar = Prism.languages[name];
  if (!grammar) return escapeHtml(code);
  return Prism.highlight(code, grammar, name)
    .replace(/<span class="token (?:operator|punctuation)">([^<]*)<\/span>/g, "$1");
}

// Without the spaces that all of its lines have in front.
export function unindented(code) {
  const indents = code.match(/^ *(?=[^ \n])/gm) ?? [""];
  const least = Math.min(...indents.map((indent) => indent.length));
  return code.replace(new RegExp(`^ {${least}}`, "gm"), "");
}

// The line, counted from 1, at which the quote begins in the source, or 0.
export function lineOf(quote, source) {
  const wanted = quote.trim().split("\n").map((line) => line.trim());
  const lines = source.split("\n").map((line) => line.trim());
  return 1 + lines.findIndex((_, i) => wanted.every((line, j) => lines[i + j] === line));
}
