// What the two front texts say of the book's order: README.md has a picture and a sentence for each
// lesson, lessons/README.md the parts.
import { giveUp } from "./library.mjs";

// The parts: [{title, lessons: [{folder, short, gist}]}].
export function readParts(markdown) {
  const parts = [];
  const row = /^\| (?:\*\*(.*)\*\*)? *\| \[(.*)\]\((\d\d_\w+)\/README\.md\) \| (.*) \|$/gm;
  for (const [, title, short, folder, gist] of markdown.matchAll(row)) {
    if (title) parts.push({ title, lessons: [] });
    parts.at(-1)?.lessons.push({ folder, short, gist });
  }
  if (parts.length === 0) giveUp("lessons/README.md has no table of the lessons in their parts");
  return parts;
}

// folder -> {image, sentence}, from the table of README.md.
export function readCards(markdown) {
  const cell = /<a href="lessons\/(\w+)\/README\.md"><img src="([^"]*)".*?<br>.*?<br>(.*?) \|/g;
  return new Map([...markdown.matchAll(cell)].map(([, folder, image, sentence]) =>
    [folder, { image, sentence }]));
}

// README.md, taken apart: what stands before its sections, what its section on the lessons says
// before the table, and all other sections.
export function readFront(markdown) {
  const [intro, ...sections] = markdown.split(/^(?=## )/m);
  const lessons = sections.find((section) => section.startsWith("## The lessons\n"));
  if (!lessons) giveUp("README.md has no section '## The lessons'");
  return {
    intro,
    lessons: lessons.slice(0, lessons.indexOf("\n|")).replace(/^## .*\n/, ""),
    rest: sections.filter((section) => section !== lessons).join(""),
  };
}
