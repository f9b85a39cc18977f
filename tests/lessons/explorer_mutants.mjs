// Copies of lesson 21's page with one thing broken in each, which its checks must find:
//     node tests/lessons/explorer_mutants.mjs explorer.html DIRECTORY
import { readFileSync, writeFileSync } from "node:fs";
import { gunzipSync, gzipSync } from "node:zlib";

const [source, directory] = process.argv.slice(2);
const page = readFileSync(source, "utf8");

// What must stand in the page once, and what stands there instead.
const controls = {
  "dragging does nothing": ["if (pressed) moveTo(...zAt(event));", ""],
  "an autoencoder is a VAE": ["if (isAutoencoder) this.engine", "if (false) this.engine"],
  "erasing draws": ['$("own-erase").checked ? 0 :', ""],
};

function write(name, html) {
  writeFileSync(`${directory}/${name.replaceAll(" ", "_")}.html`, html);
}

for (const [name, [from, to]] of Object.entries(controls)) {
  const parts = page.split(from);
  if (parts.length !== 2) throw new Error(`"${from}" stands in the page ${parts.length - 1} times`);
  write(name, parts.join(to));
}

// The lowest bit of one weight in the packed data: of the encoder, at a pixel in the corner, which
// is black in every picture.
const [packed] = page.match(/(?<=id="weights-map">)[^<]*/);
const bytes = gunzipSync(Buffer.from(packed, "base64"));
bytes[0] ^= 1;
write("one weight is another", page.replace(packed, gzipSync(bytes).toString("base64")));

// One letter of what is packed: the page cannot start, and says so.
const middle = packed.length >> 1;
const letter = packed[middle] === "A" ? "B" : "A";
write("one letter is another",
  page.replace(packed, packed.slice(0, middle) + letter + packed.slice(middle + 1)));
