// The book's one stylesheet: KaTeX's with its fonts inside (a browser may refuse a page from a file
// the fonts of other files), and style.css.
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { katexFolder } from "./library.mjs";

export function stylesheet() {
  const folder = katexFolder();
  const katex = readFileSync(join(folder, "katex.min.css"), "utf8");
  const withFonts = katex.replace(/src:url\(([^)]*\.woff2)\)[^;}]*/g, (_, font) => {
    const data = readFileSync(join(folder, font)).toString("base64");
    return `src:url(data:font/woff2;base64,${data}) format("woff2")`;
  });
  return withFonts + "\n" + readFileSync(new URL("style.css", import.meta.url), "utf8");
}
