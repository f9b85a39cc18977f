// The frame of every page, and the pieces that only the book has.
import { escapeHtml } from "./library.mjs";

// "13 VAE: everything joins" -> its number set apart.
export function numbered(title) {
  return title.replace(/^(\d\d) /, '<span class="number">$1</span> ');
}

function listItem(page, current) {
  const here = page.name === current.name;
  const mark = here ? ' aria-current="page"' : "";
  const link = `<a href="${current.root}${page.name}"${mark}>${numbered(page.short)}</a>`;
  const sections = here ? current.sections : [];
  const links = sections.map(({ id, title }) => `<li><a href="#${id}">${title}</a></li>`);
  return `<li>${link}${links.length > 0 ? `<ul>${links.join("")}</ul>` : ""}</li>\n`;
}

// The contents: what the book's parts are, with the sections of the page that is open.
function contents(parts, current) {
  const lists = parts.map(({ title, pages }) => {
    const items = pages.map((page) => listItem(page, current));
    return `${title ? `<p>${title}</p>` : ""}<ul>\n${items.join("")}</ul>\n`;
  });
  return `<nav id="contents" aria-label="Contents">
<a class="home" href="${current.root}index.html">Gradus</a>
${lists.join("")}</nav>`;
}

function step(direction, word, page) {
  if (!page) return "";
  const title = `<small>${word}</small> ${numbered(page.short)}`;
  return `<a rel="${direction}" href="${page.name}">${title}</a>`;
}

// What leads to the pages before and after, in the order of reading.
export function steps(before, after) {
  const both = step("prev", "Before", before) + step("next", "Next", after);
  return both && `<nav class="steps" aria-label="Before and next">${both}</nav>\n`;
}

// A page: {name, root, title, sections, html}; root leads from it to the book's folder.
export function frame(page, parts) {
  const title = page.title.replace(/<[^>]*>/g, "");
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title === "Gradus" ? title : `${title} - Gradus`}</title>
<link rel="stylesheet" href="${page.root}style.css">
</head>
<body>
<a class="skip" href="#text">Skip to the text</a>
<header>
<a class="home" href="${page.root}index.html">Gradus</a>
<a href="#contents">Contents</a>
</header>
<main id="text">
${page.html}</main>
${contents(parts, page)}
</body>
</html>
`;
}

// Pictures and sentences of lessons, each of which leads to its page.
export function cards(pages) {
  const items = pages.map(({ name, short, image, sentence }) => `<li><a href="${name}">
<img src="${image.src}" width="${image.width}" height="${image.height}" loading="lazy" alt="">
<strong>${numbered(short)}</strong></a>
<p>${sentence}</p></li>`);
  return `<ul class="cards">\n${items.join("\n")}\n</ul>\n`;
}

// A file of code, with a number for each line to which others can link.
export function listing(path, code, count) {
  const numbers = Array.from({ length: count }, (_, i) => `<span id="L${i + 1}">${i + 1}</span>`);
  return `<h1 class="path">${escapeHtml(path)}</h1>
<div class="listing">
<pre class="lines">${numbers.join("\n")}</pre>
<pre><code>${code}</code></pre>
</div>
`;
}
