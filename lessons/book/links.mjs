// What leads where: texts of the project become pages, source code becomes pages with colours, all
// other files are copied. Whatever is linked to is in the book.
import { readFileSync, statSync } from "node:fs";
import { posix } from "node:path";

import { languageOf } from "./code.mjs";

export class Links {
  constructor(root) {
    this.root = root;
    this.texts = new Set(); // paths in the project
    this.sources = new Map(); // path -> content
    this.copies = new Set();
    this.faults = [];
  }

  read(path) {
    return readFileSync(posix.join(this.root, path), "utf8");
  }

  isFile(path) {
    return !path.startsWith("..") &&
      statSync(posix.join(this.root, path), { throwIfNoEntry: false })?.isFile() === true;
  }

  // The page of a text: 13_vae.html of lessons/13_vae/README.md.
  page(text) {
    this.texts.add(text);
    return `${posix.basename(posix.dirname(text)).replace(/^\.$/, "index")}.html`;
  }

  // The page of a source that a text names, from its own folder or from the project's.
  source(text, path) {
    if (!languageOf(path)) return undefined;
    const found = [posix.join(posix.dirname(text), path), posix.normalize(path)]
      .find((candidate) => this.isFile(candidate));
    if (!found) return undefined;
    if (!this.sources.has(found)) this.sources.set(found, this.read(found));
    return { href: sourcePage(found), content: this.sources.get(found) };
  }

  // Where a link of a text leads to.
  link(text, href) {
    if (/^([a-z]+:|#)/.test(href)) return href;
    const [path, anchor] = decodeURI(href).split("#");
    const fragment = anchor === undefined ? "" : `#${anchor}`;
    const target = posix.join(posix.dirname(text), path);
    if (!this.isFile(target)) {
      this.faults.push(`${text}: a link to ${href}, which is not there`);
      return href;
    }
    if (posix.basename(target) === "README.md") return this.page(target) + fragment;
    return (this.source(text, path)?.href ?? this.copy(target)) + fragment;
  }

  copy(path) {
    this.copies.add(path);
    return `files/${path}`;
  }

  // An image with the size that its header tells.
  image(text, src) {
    const path = posix.join(posix.dirname(text), src);
    if (!this.isFile(path) || !path.endsWith(".png")) {
      this.faults.push(`${text}: an image ${src}, which is no PNG file that is there`);
      return { src, width: 0, height: 0 };
    }
    const header = readFileSync(posix.join(this.root, path)).subarray(0, 24);
    const [width, height] = [header.readUInt32BE(16), header.readUInt32BE(20)];
    return { src: this.copy(path), width, height };
  }
}

export function sourcePage(path) {
  return `files/${path}.html`;
}
