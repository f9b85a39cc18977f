// A text of the project, in GitHub's Markdown, as HTML of the book.
import { highlighted, lineOf, unindented } from "./code.mjs";
import { formulas } from "./formulas.mjs";
import { escapeHtml, library } from "./library.mjs";

const MarkdownIt = library("markdown-it");
const katex = library("katex");

// env has what differs from text to text:
//     fault(message)       says what is wrong with the text
//     link(href)           where a link leads to in the book
//     image(src)           {src, width, height} of an image in the book
//     source(path)         {href, content} of a page of source code, or undefined
const md = new MarkdownIt({ html: true, linkify: true, typographer: true });
md.disable("replacements"); // would make a copyright sign of "(c)"
md.linkify.set({ fuzzyLink: false }); // would take pca.py for an address in Paraguay
md.use(formulas, typeset);

function typeset(tex, displayMode, env) {
  try {
    return katex.renderToString(tex, { displayMode, throwOnError: true, strict: "error" });
  } catch (error) {
    env.fault(`formula ${tex.trim()}\n    ${error.message}`);
    return `<code class="broken">${escapeHtml(tex)}</code>`;
  }
}

// A line must not end after the minus of "-ELBO".
const plainText = md.renderer.rules.text;
md.renderer.rules.text = (...all) =>
  plainText(...all).replace(/(^|[\s(])-(?=\p{L})/gu, "$1-\u2060");

md.renderer.rules.table_open = () => '<div class="wide"><table>\n';
md.renderer.rules.table_close = () => "</table></div>\n";

md.renderer.rules.image = (tokens, i, options, env) => {
  const { src, width, height } = env.image(tokens[i].attrGet("src"));
  return `<img src="${src}" width="${width}" height="${height}" loading="lazy" ` +
    `alt="${escapeHtml(tokens[i].content)}">`;
};

const codeInText = md.renderer.rules.code_inline;
md.renderer.rules.code_inline = (tokens, i, options, env, renderer) => {
  const html = codeInText(tokens, i, options, env, renderer);
  const source = tokens[i].meta?.mayLink && env.source(tokens[i].content);
  return source ? `<a class="file" href="${source.href}">${html}</a>` : html;
};

// After the formulas' rule for the blocks that are theirs.
const formulaBlock = md.renderer.rules.fence;
md.renderer.rules.fence = (tokens, i, options, env, renderer) => {
  const { content, info, meta } = tokens[i];
  if (info.trim() === "math") return formulaBlock(tokens, i, options, env, renderer);
  const code = `<pre><code>${highlighted(unindented(content), info.trim())}</code></pre>\n`;
  if (!meta?.file) return code;
  const source = env.source(meta.file);
  if (!source) env.fault(`a quote from ${meta.file}, which is not there`);
  const line = source ? lineOf(content, source.content) : 0;
  if (source && line === 0) env.fault(`a quote that is not in ${meta.file}:\n${content}`);
  return `<figure class="quote"><figcaption><a href="${source?.href}#L${line}">${meta.file}</a>` +
    `</figcaption>${code}</figure>\n`;
};

// As GitHub makes the anchor of a title.
function slug(title) {
  return title.toLowerCase().replace(/[^\p{L}\p{M}\p{N}\s_-]/gu, "").replace(/\s/g, "-");
}

function textOf(inline) {
  return inline.children.map((token) => token.content).join("");
}

// Titles get anchors; returns the sections (those of the second level).
function nameTitles(tokens, env) {
  const seen = new Map();
  const sections = [];
  tokens.forEach((token, i) => {
    if (token.type !== "heading_open") return;
    const inline = tokens[i + 1];
    const name = slug(textOf(inline));
    const times = seen.get(name) ?? 0;
    seen.set(name, times + 1);
    const id = times === 0 ? name : `${name}-${times}`;
    token.attrSet("id", id);
    if (token.tag === "h2")
      sections.push({ id, title: md.renderer.renderInline(inline.children, md.options, env) });
  });
  return sections;
}

// A comment that names a file, and below it a quote from that file.
function joinQuotes(tokens) {
  for (let i = 0; i + 1 < tokens.length; ++i) {
    const file = tokens[i].type === "html_block" && tokens[i].content.match(/^<!-- (\S+) -->\s*$/);
    if (!file || tokens[i + 1].type !== "fence") continue;
    tokens[i].content = "";
    tokens[i + 1].meta = { file: file[1] };
  }
}

function isAlone(inline) {
  return inline.children.length === 1 && inline.children[0].type === "image";
}

// A paragraph that is an image becomes a figure.
function makeFigures(tokens) {
  tokens.forEach((token, i) => {
    if (token.type === "paragraph_open" && isAlone(tokens[i + 1]))
      token.tag = tokens[i + 2].tag = "figure";
  });
}

function leadIntoBook(html, env) {
  return html.replace(/ href="([^"]*)"/g, (_, href) => ` href="${env.link(href)}"`)
    .replace(/ src="([^"]*)"/g, (_, src) => ` src="${env.image(src).src}"`);
}

function leadLinksIntoBook(tokens, env) {
  let inLink = false;
  for (const [i, token] of tokens.entries()) {
    if (token.type === "link_open") token.attrSet("href", env.link(token.attrGet("href")));
    if (token.type.startsWith("link_")) inLink = token.type === "link_open";
    if (token.type === "code_inline") token.meta = { mayLink: !inLink };
    if (token.type.startsWith("html_")) token.content = leadIntoBook(token.content, env);
    if (token.type === "inline" && tokens[i - 1].type !== "heading_open")
      leadLinksIntoBook(token.children, env);
  }
}

// {title, html, sections} of a text; the title is not in the html.
export function render(markdown, env) {
  const tokens = md.parse(markdown, env);
  joinQuotes(tokens);
  makeFigures(tokens);
  leadLinksIntoBook(tokens, env);
  const sections = nameTitles(tokens, env);
  const first = tokens[0]?.tag === "h1" ? tokens.splice(0, 3) : undefined;
  return {
    title: first ? md.renderer.renderInline(first[1].children, md.options, env) : undefined,
    html: md.renderer.render(tokens, md.options, env),
    sections,
  };
}

// A sentence, without a paragraph around it.
export function renderSentence(markdown, env) {
  return md.renderInline(markdown, env);
}
