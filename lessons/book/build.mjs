// Writes the lessons' texts as a site that needs no network and no script, to OUT/book/:
//     node lessons/book/build.mjs OUT
// ./learn book calls it. Where a formula, a link or a quote of a text does not work, the site is
// written all the same, the text and the formula are named, and the exit status is 1.
import { copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

import { highlighted, languageOf } from "./code.mjs";
import { giveUp } from "./library.mjs";
import { Links, sourcePage } from "./links.mjs";
import { render, renderSentence } from "./markdown.mjs";
import { cards, frame, listing, numbered, steps } from "./page.mjs";
import { readCards, readFront, readParts } from "./plan.mjs";
import { stylesheet } from "./style.mjs";

const kRoot = fileURLToPath(new URL("../..", import.meta.url));
const kExplorer = "21_explorer";

class Book {
  constructor(out) {
    this.out = out;
    this.links = new Links(kRoot);
    this.hasExplorer = existsSync(join(out, kExplorer, "explorer.html"));
    this.front = readFront(this.links.read("README.md"));
    this.lessons = {
      text: "lessons/README.md", name: this.links.page("lessons/README.md"),
      short: "How to begin, notation, claims",
    };
    this.about = { text: "README.md", name: "about.html", short: "The project" };
    this.parts = readParts(this.links.read("lessons/README.md")).map(({ title, lessons }) => ({
      title, pages: lessons.map((lesson) => this.lesson(title, lesson)),
    }));
    this.order = [this.lessons, ...this.parts.flatMap((part) => part.pages), this.about];
    this.contents = [{ pages: [this.lessons] }, ...this.parts, { pages: [this.about] }];
  }

  lesson(part, { folder, short, gist }) {
    const text = `lessons/${folder}/README.md`;
    return { text, name: this.links.page(text), short, folder, part, gist };
  }

  env(text) {
    return {
      fault: (message) => this.links.faults.push(`${text}: ${message}`),
      link: (href) => this.links.link(text, href),
      image: (src) => this.links.image(text, src),
      source: (path) => this.links.source(text, path),
    };
  }

  // The pages of all texts that the order names, and of those that these link to.
  pages() {
    const pages = [this.cover()];
    this.about = this.page(this.about, `# The project\n\n${this.front.rest}`);
    pages.push(this.about);
    const done = new Set(["README.md"]);
    for (const text of this.links.texts) { // grows meanwhile
      if (done.has(text)) continue;
      done.add(text);
      const known = this.order.find((page) => page.text === text);
      pages.push(this.page(known ?? { text, name: this.links.page(text) }, this.links.read(text)));
    }
    return pages;
  }

  page(plan, markdown) {
    const { title, html, sections } = render(markdown, this.env(plan.text));
    const part = plan.part ? `<p class="part">${plan.part}</p>\n` : "";
    const at = this.order.findIndex((page) => page.name === plan.name);
    const around = at < 0 ? "" : steps(this.order[at - 1], this.order[at + 1]);
    const body = plan.folder === kExplorer ? html.replace("<h2", `${this.explorer()}<h2`) : html;
    return {
      ...plan, root: "", title, sections,
      html: `${part}<h1>${numbered(title)}</h1>\n${body}${this.sourcesOf(plan)}${around}`,
    };
  }

  cover() {
    const env = this.env("README.md");
    const intro = render(this.front.intro, env);
    const pictures = readCards(this.links.read("README.md"));
    const parts = this.parts.map(({ title, pages }) => {
      const own = pages.map((page) => this.card(page, pictures.get(page.folder)));
      return `<h2>${title}</h2>\n${cards(own)}`;
    });
    return {
      name: "index.html", root: "", title: intro.title, sections: [],
      html: `<div class="cover"><h1>${intro.title}</h1>\n${intro.html}</div>\n` +
        `${render(this.front.lessons, env).html}${parts.join("")}`,
    };
  }

  card(page, { image, sentence } = {}) {
    const first = () => this.links.read(page.text).match(/!\[[^\]]*\]\(([^)]*)\)/)[1];
    return {
      ...page,
      image: image ? this.links.image("README.md", image) : this.links.image(page.text, first()),
      sentence: renderSentence(sentence ?? page.gist, this.env("README.md")),
    };
  }

  explorer() {
    return this.hasExplorer
      ? '<p class="open"><a href="explorer.html">Open the page</a> It computes in your browser, ' +
        "and needs no network.</p>\n"
      : '<p class="open">The page itself opens from here once it is made: run ' +
        "<code>./learn 21</code>, and then <code>./learn book</code>.</p>\n";
  }

  // The sources of a lesson, which its text does not all mention.
  sourcesOf({ text, folder }) {
    if (!folder) return "";
    const names = readdirSync(join(kRoot, "lessons", folder)).filter(languageOf).sort();
    const links = names.map((name) =>
      `<a class="file" href="${this.links.source(text, name).href}"><code>${name}</code></a>`);
    return `<p class="sources">The lesson's source: ${links.join(", ")}.</p>\n`;
  }

  sourcePages() {
    return [...this.links.sources].map(([path, content]) => {
      const lines = content.trimEnd().split("\n").length;
      return {
        name: sourcePage(path), root: "../".repeat(path.split("/").length), title: path,
        sections: [], html: listing(path, highlighted(content, languageOf(path)), lines),
      };
    });
  }

  write() {
    const put = (name, content) => {
      const path = join(this.out, "book", name);
      mkdirSync(dirname(path), { recursive: true });
      content(path);
    };
    for (const page of [...this.pages(), ...this.sourcePages()])
      put(page.name, (path) => writeFileSync(path, frame(page, this.contents)));
    for (const file of this.links.copies)
      put(`files/${file}`, (path) => copyFileSync(join(kRoot, file), path));
    const explorer = join(this.out, kExplorer, "explorer.html");
    if (this.hasExplorer) put("explorer.html", (path) => copyFileSync(explorer, path));
    put("style.css", (path) => writeFileSync(path, stylesheet()));
  }
}

const [out, ...others] = process.argv.slice(2);
if (!out || others.length > 0) giveUp("usage: node lessons/book/build.mjs OUT");
const book = new Book(out);
try {
  book.write();
} catch (error) {
  if (!error.syscall) throw error;
  giveUp(`cannot write the book: ${error.message}\nTo put it elsewhere: ./learn book --out DIR`);
}
for (const fault of book.links.faults) console.error(`book: ${fault}`);
if (book.links.faults.length > 0) process.exit(1);
console.log(`The book begins at ${join(out, "book", "index.html")}`);
