"use strict";
// The page's own checks: the C++ in it against native code's numbers, and against a forward pass in
// plain JavaScript. explorer.html#test runs them, and those of the controls, and writes what came
// out into the page.

// The forward pass once more, by loops: y = W x + b with W (outputs, inputs).
function layerInJavaScript(x, weights, outputs) {
  const y = Float64Array.from(weights.bias);
  for (let j = 0; j < outputs; ++j)
    for (let i = 0; i < x.length; ++i) y[j] += weights.weight[j * x.length + i] * x[i];
  return y;
}

function decodeInJavaScript(z, weights, { sizes, hidden }, pixels) {
  const parts = [];
  let at = 0;
  for (const size of sizes) {
    parts.push(weights.subarray(at, at + size));
    at += size;
  }
  const [weight1, bias1, weight2, bias2] = parts.slice(6);  // the encoder has six parameters
  const h = layerInJavaScript(z, { weight: weight1, bias: bias1 }, hidden);
  const logits = layerInJavaScript(h.map((value) => Math.max(value, 0)),
    { weight: weight2, bias: bias2 }, pixels);
  return logits.map((logit) => 1 / (1 + Math.exp(-logit)));
}

function largestDifference(a, b) {
  if (a.length !== b.length) return NaN;
  let largest = 0;
  for (let i = 0; i < a.length; ++i) {
    const difference = Math.abs(a[i] - b[i]);
    if (!(difference <= largest)) largest = difference;  // also where it is NaN
  }
  return largest;
}

// The checksum of gzip (RFC 1952, 8), which native code wrote down for each part of the page.
function crc32(bytes) {
  const table = Uint32Array.from({ length: 256 }, (_, byte) => {
    for (let bit = 0; bit < 8; ++bit) byte = byte & 1 ? 0xedb88320 ^ (byte >>> 1) : byte >>> 1;
    return byte;
  });
  let crc = 0xffffffff;
  for (const byte of bytes) crc = table[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

// Collects what was checked: each has a name, and the difference that may be at most `limit`.
class Checks {
  constructor() {
    this.lines = [];
    this.failed = 0;
  }

  atMost(name, difference, limit) {
    const ok = difference <= limit;  // false for NaN
    if (!ok) ++this.failed;
    this.lines.push(`${ok ? "ok  " : "FAIL"} ${name}: ${difference.toExponential(1)}` +
      ` (at most ${limit})`);
  }

  that(name, ok) {
    if (!ok) ++this.failed;
    this.lines.push(`${ok ? "ok  " : "FAIL"} ${name}`);
  }

  summary() {
    const count = this.lines.length;
    return this.failed === 0 ? `pass: ${count} checks` : `fail: ${this.failed} of ${count} checks`;
  }
}

// What the C++ computes, against what native code wrote into the page. Needs no document.
async function checkNumbers(checks, data) {
  checkUnpacking(checks);
  await checkParts(checks, data.facts.reference.crc);
  const { engine, models } = await startModels(data);
  const { facts, pixels } = data;
  for (const name of ["map", "twenty"]) {
    const told = facts.reference[name];
    const vae = models[name];
    const x = data.test.subarray(0, 3 * pixels);
    const { means, logVars } = vae.encode(x);
    checks.atMost(`${name}: means of q`, largestDifference(means, told.means), 1e-5);
    checks.atMost(`${name}: ln s^2 of q`, largestDifference(logVars, told.log_vars), 1e-5);
    const images = vae.decode(Float32Array.from(told.z));
    checks.atMost(`${name}: pixels`, largestDifference(images, told.images), 1e-5);
    const z = told.z.slice(0, facts.models[name].latents);
    const plain = decodeInJavaScript(z, data.weights[name], facts.models[name], pixels);
    checks.atMost(`${name}: pixels by plain JavaScript`,
      largestDifference(images.subarray(0, pixels), plain), 1e-5);
    const parts = vae.parts(x.subarray(0, pixels), told.draws, told.seed);
    checks.atMost(`${name}: reconstruction, relative`,
      Math.abs(parts.reconstruction / told.parts[0] - 1), 1e-5);
    checks.atMost(`${name}: KL, relative`, Math.abs(parts.kl / told.parts[1] - 1), 1e-5);
  }
  checkEvidence(checks, data, models.map);
  checkMany(checks, data, engine, models.map);
  checkTraining(checks, data, engine);
  checkAutoencoder(checks, data, engine);
  await checkErrors(checks, data);
  await checkDamage(checks);
}

// Worked out by hand. Two images of 2 x 2 pixels with the levels 1 2 3 4 and 15 0 0 15: less the
// pixel above, modulo 16, these are 1 2 2 2 and 15 0 1 15. And the numbers 258 and -1, in halves.
function checkUnpacking(checks) {
  const pixels = unpackPixels([0x21, 0x22, 0x0f, 0xf1], 2, { width: 2, height: 2, levels: 16 });
  const expected = [1, 2, 3, 4, 15, 0, 0, 15].map((level) => level / 15);
  checks.atMost("pixels unpacked", largestDifference(pixels, expected), 1e-6);
  const weights = unpackWeights([2, 255, 1, 255], { sizes: [1, 1], scales: [0.5, 2] });
  checks.that("weights unpacked", weights[0] === 129 && weights[1] === -2);
  checks.that("a checksum", crc32(new TextEncoder().encode("123456789")) === 0xcbf43926);
}

// Each part is, to the last bit, what native code packed.
async function checkParts(checks, told) {
  for (const [part, crc] of Object.entries(told))
    checks.that(`'${part}' is what was packed`, crc32(await unzip(textOfElement(part))) === crc);
}

function checkEvidence(checks, data, vae) {
  const told = data.facts.reference.map;
  const { end, side } = data.facts.grid;
  told.log_evidence.forEach((evidence, i) => {
    const x = data.test.subarray(i * data.pixels, (i + 1) * data.pixels);
    const here = vae.evidence(x, end, side).logEvidence;
    checks.atMost(`ln p(x) of picture ${i}, relative`, Math.abs(here / evidence - 1), 1e-5);
    const { elbo } = vae.exactParts(x);
    checks.atMost(`its ELBO, relative`, Math.abs(elbo / told.elbo[i] - 1), 1e-5);
    checks.that("which is not above ln p(x)", elbo <= here);
  });
  // Once more, added up by JavaScript over a finer grid around the first picture's posterior.
  const x = data.test.subarray(0, data.pixels);
  const { mean, deviation } = vae.evidence(x, end, side);
  const near = 7 * Math.max(...deviation);
  const joint = vae.logJoint(x, gridPoints(mean, near, 80));
  const sum = logSumExp(joint) + 2 * Math.log((2 * near) / 80);
  checks.atMost("ln p(x) added up by JavaScript", Math.abs(sum - told.log_evidence[0]), 0.01);
}

// What is computed from many pictures: q(z), and the nearest one.
function checkMany(checks, data, engine, vae) {
  const { holes, nearest } = data.facts.reference;
  const { means, logVars } = vae.encode(data.test);
  const density = engine.aggregate(means, logVars, holes.end, holes.side);
  const some = density.filter((_, p) => p % holes.every === 0);
  const most = density.reduce((a, b) => Math.max(a, b), 0);
  checks.atMost("q(z), of its largest", largestDifference(some, holes.aggregate) / most, 1e-4);
  const distance = engine.nearest(data.test.subarray(0, data.pixels), data.train);
  const ofItself = engine.nearest(data.train.subarray(0, data.pixels), data.train);
  checks.atMost("distance of the nearest picture", Math.abs(distance - nearest.of_first), 1e-6);
  checks.that("which for one of them is 0", ofItself === 0);
}

// The same seed, so the same weights and draws: the first loss agrees closely, later ones as far as
// rounding does not add up.
function checkTraining(checks, data, engine) {
  const told = data.facts.reference.training;
  const trainer = new Trainer(engine, data.train, data.pixels, data.facts.models.map.hidden, 2,
    told.seed);
  let late = 0;
  for (let step = 0; step < told.steps; ++step) {
    const { reconstruction, kl } = trainer.step(1, false);
    const loss = kl - reconstruction;
    if (step === 0)
      checks.atMost("training: first loss, relative", Math.abs(loss / told.first_loss - 1), 1e-5);
    if (step >= told.steps / 2) late += loss / (told.steps / 2);
  }
  checks.atMost("training: late loss, relative", Math.abs(late / told.late_loss - 1), 3e-3);
  checks.that("training lowers the loss", late < told.first_loss);
  trainer.release();
}

function checkAutoencoder(checks, data, engine) {
  const told = data.facts.reference.training;
  const trainer = new Trainer(engine, data.train, data.pixels, data.facts.models.map.hidden, 2,
    told.seed);
  const steps = told.autoencoder.map(() => trainer.step(1, true));
  const off = steps.map(({ reconstruction }, i) => reconstruction / told.autoencoder[i]);
  checks.atMost("an autoencoder's first losses, relative",
    largestDifference(off, off.map(() => 1)), 1e-4);
  checks.that("an autoencoder has no KL", steps.every(({ kl }) => Number.isNaN(kl)));
  trainer.release();
}

// An Error of the C++ arrives with its text, and a new engine works.
async function checkErrors(checks, data) {
  const { engine, models } = await startModels(data);
  let text = "";
  try {
    models.twenty.evidence(data.test.subarray(0, data.pixels), 4, 10);
  } catch (error) {
    text = error.message;
  }
  checks.that("an Error of the C++ arrives with its text", text.includes("20 latents"));
  checks.that("and its engine is given up", engine.broken);
}

// A part that is damaged is named, with what to do.
async function checkDamage(checks) {
  const letter = (text) => {
    const at = text.length >> 1;
    return text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1);
  };
  const other = (text) => `${text.slice(0, 200)}!${text.slice(201)}`;
  const shorter = (text) => text.slice(0, -40);
  const cases = [["one letter of", "wasm", letter], ["one letter of", "images", letter],
    ["one letter of", "weights-map", letter], ["one letter of", "weights-twenty", letter],
    ["no base64 in", "wasm", other], ["an end missing in", "images", shorter],
    ["no", "wasm", () => ""], ["a letter too many in", "facts", (text) => `${text}#`]];
  for (const [what, part, damage] of cases) {
    let said = "";
    try {
      await loadPage((id) => (id === part ? damage(textOfElement(id)) : textOfElement(id)));
    } catch (error) {
      said = error.message;
    }
    checks.that(`${what} '${part}' is named`,
      said.includes(`damaged: its part '${part}'`) && said.includes("./learn 21"));
  }
}

// ---- The page's controls -----------------------------------------------------------------------

const byId = (id) => document.getElementById(id);

const settle = () => new Promise((done) => setTimeout(done, 0));

// Whether something comes true within some seconds: not all is drawn at once.
async function comesTrue(holds) {
  for (const end = performance.now() + 3000; performance.now() < end;) {
    if (holds()) return true;
    await new Promise((done) => setTimeout(done, 10));
  }
  return false;
}

async function change(id, value, type = "change") {
  byId(id).value = value;
  byId(id).dispatchEvent(new Event(type, { bubbles: true }));
  await settle();
}

async function click(id) {
  byId(id).click();
  await settle();
}

async function key(id, name) {
  const pressed = { key: name, cancelable: true, bubbles: true };
  byId(id).dispatchEvent(new KeyboardEvent("keydown", pressed));
  await settle();
}

// The pointer, or the mouse, at a place of an element, in pixels of the screen from its corner.
async function pointer(type, id, place, Type = PointerEvent) {
  const box = byId(id).getBoundingClientRect();
  const at = { clientX: box.left + place[0], clientY: box.top + place[1], button: 0, buttons: 1,
    bubbles: true, cancelable: true };
  byId(id).dispatchEvent(new Type(type, at));
  await settle();
}

const mouse = (type, id, place) => pointer(type, id, place, MouseEvent);

// A picture's pixels, as numbers to 255, from a canvas with several side by side.
function pixelsOf(id, number, { width, height }) {
  const { data } = byId(id).getContext("2d").getImageData(number * width, 0, width, height);
  return data.filter((_, i) => i % 4 === 0);
}

// What is drawn by one method of a canvas's context while f runs: the inputs of each call.
async function callsOf(method, id, f) {
  const prototype = CanvasRenderingContext2D.prototype;
  const original = prototype[method];
  const calls = [];
  prototype[method] = function (...inputs) {
    if (this.canvas.id === id) calls.push(inputs);
    return original.apply(this, inputs);
  };
  try {
    await f();
  } finally {
    prototype[method] = original;
  }
  return calls;
}

// Whether what f does changes a picture.
async function changes(checks, name, id, f) {
  const before = byId(id).toDataURL();
  await f();
  checks.that(name, await comesTrue(() => byId(id).toDataURL() !== before));
}

// What each control does, in the page that is shown.
async function checkControls(checks, page) {
  await checkMap(checks, page);
  await checkLayers(checks, page);
  await checkTrainingControls(checks, page);
  await checkChoice(checks, page);
  await checkPath(checks, page);
  await checkTwenty(checks, page);
  await checkOwn(checks, page);
  await checkFiles(checks, page);
  await checkWidth(checks);
  checkMissing(checks);
}

async function checkMap(checks, page) {
  const place = (z1, z2) => [page.plane.x(z1), page.plane.y(z2)];
  const z = page.z[0];
  await changes(checks, "an arrow key moves the point", "decoded", () => key("map", "ArrowRight"));
  checks.atMost("by a tenth", Math.abs(page.z[0] - z - 0.1), 1e-9);
  await changes(checks, "a slider moves the point", "decoded", () => change("z2", "1.5", "input"));
  checks.that("and is the point's second number", page.z[1] === 1.5);
  await change("z1", "0.7", "input");
  checks.that("the other slider is its first", page.z[0] === 0.7 && page.z[1] === 1.5);
  const expected = page.map.decode(Float32Array.of(0.7, 1.5)).map((value) => 255 * value);
  checks.atMost("the decoded picture is shown",
    largestDifference(pixelsOf("decoded", 0, page.data.facts), expected), 1);

  const { chosen } = page;
  await changes(checks, "a press on the map moves the point", "decoded",
    () => pointer("pointerdown", "map", place(-1, -2)));
  checks.atMost("to where it was pressed", Math.hypot(page.z[0] + 1, page.z[1] + 2), 1e-2);
  await changes(checks, "dragging moves it on", "decoded",
    () => pointer("pointermove", "map", place(1.2, 0.4)));
  checks.atMost("to where the pointer is", Math.hypot(page.z[0] - 1.2, page.z[1] - 0.4), 1e-2);
  await pointer("pointerup", "map", place(1.2, 0.4));
  checks.that("which chooses no picture", page.chosen === chosen);
  await pointer("pointermove", "map", place(-1, 1));
  checks.atMost("let go of, it stays", Math.hypot(page.z[0] - 1.2, page.z[1] - 0.4), 1e-2);

  const { lone, empty } = lonePlaces(page);
  const at = place(page.codes.means[2 * lone], page.codes.means[2 * lone + 1]);
  await pointer("pointerdown", "map", at);
  await pointer("pointerup", "map", at);
  checks.that("a click on a mark chooses its picture", page.chosen === lone);
  await pointer("pointerdown", "map", place(...empty));
  await pointer("pointerup", "map", place(...empty));
  checks.that("one far from all marks chooses none", page.chosen === lone);
  const other = (lone + 1) % page.data.facts.test;
  await change("z1", page.codes.means[2 * other], "input");
  await change("z2", page.codes.means[2 * other + 1], "input");
  const nearest = nearestMark(page.z);
  await key("map", "Enter");
  checks.that("Enter chooses the nearest mark's", page.chosen === nearest && nearest !== lone);
}

// The mark that has the most room around it, and the place of the map that is farthest from all.
function lonePlaces(page) {
  const { means } = page.codes;
  const isShown = (z1, z2) => Math.max(Math.abs(z1), Math.abs(z2)) < 0.95 * page.end;
  const room = (z1, z2, self) => {
    let least = Infinity;
    for (let i = 0; i < means.length / 2; ++i)
      if (i !== self) least = Math.min(least, Math.hypot(means[2 * i] - z1, means[2 * i + 1] - z2));
    return least;
  };
  const best = (candidates) => candidates.reduce((a, b) => (b.room > a.room ? b : a));
  const marks = [];
  for (let i = 0; i < means.length / 2; ++i) {
    const z = [means[2 * i], means[2 * i + 1]];
    if (isShown(...z)) marks.push({ i, room: room(...z, i) });
  }
  const grid = gridPoints([0, 0], 0.95 * page.end, 20);
  const places = [];
  for (let i = 0; i < grid.length; i += 2) {
    const z = [grid[i], grid[i + 1]];
    places.push({ z, room: room(...z, -1) });
  }
  return { lone: best(marks).i, empty: best(places).z };
}

async function checkLayers(checks, page) {
  for (const layer of ["aggregate", "holes", "posterior", "none", "images"])
    await changes(checks, `the map's background becomes: ${layer}`, "map",
      () => change("layer", layer));
  await changes(checks, "marks go", "map", () => click("show-marks"));
  await changes(checks, "marks come", "map", () => click("show-marks"));
  const told = page.data.facts.reference.holes;
  checks.that("the map reaches as far as the codes", page.end === told.end);
  checks.atMost("the share of the prior in holes", Math.abs(page.inHoles - told.in_holes), 2e-3);

  const arcs = await callsOf("arc", "map", () => change("layer", "none"));
  const { left, gap, size } = page.plane;
  const isCentred = ([x, y]) => Math.hypot(x - left - size / 2, y - gap - size / 2) < 0.5;
  const inUnits = arcs.filter(isCentred).map(([, , r]) => (r * 2 * page.end) / size);
  const isOne = (r) => [1, 2, 3].some((whole) => Math.abs(r - whole) < 0.01);
  const all = [1, 2, 3].every((whole) => inUnits.some((r) => Math.abs(r - whole) < 0.01));
  checks.that("circles are drawn at 1, 2 and 3", all && inUnits.every(isOne));
  await change("layer", "images");
}

async function checkTrainingControls(checks, page) {
  const steps = () => page.training.curves;
  const last = () => steps()[steps().length - 1];
  const loss = ({ reconstruction, kl }) => kl - reconstruction;
  await change("beta", "1");
  await click("train-reset");
  await changes(checks, "a step of training moves the codes", "train-map",
    () => click("train-step"));
  checks.that("and is one", steps().length === 1 && last().kl > 0);

  await click("train-start");
  await comesTrue(() => steps().length >= 20);
  await change("beta", "");
  const then = steps().length;
  checks.that("training goes on while β is typed", await comesTrue(() => steps().length > then));
  await change("beta", "1");
  if (page.training.running) await click("train-start");
  checks.that("training runs, and lowers the loss", loss(last()) < loss(steps()[0]));
  const stopped = steps().length;
  await new Promise((done) => setTimeout(done, 150));
  checks.that("and stops", steps().length === stopped);

  await change("beta", "x");
  await click("train-step");
  checks.that("a beta that is none is named", byId("problem").textContent.includes("β"));
  await change("beta", "50");
  const { kl } = last();
  await click("train-start");
  checks.that("a large beta lowers the KL", await comesTrue(() => last().kl < 0.5 * kl));
  await click("train-start");

  await change("beta", "4");
  await checkSteps(checks, page, "steps with β = 4 are such", 4, false);
  await change("beta", "1");
  await click("autoencoder");
  checks.that("for an autoencoder there is no β", byId("beta").disabled);
  await checkSteps(checks, page, "an autoencoder's are its own", 1, true);
  await click("autoencoder");
  const { seed } = page.training.trainer;
  await click("train-reset");
  checks.that("begun anew, there are no steps", steps().length === 0);
  await click("train-step");
  checks.that("and other weights", page.training.trainer.seed !== seed);
}

// Three steps of the page's, and three of a trainer with the same seed.
async function checkSteps(checks, page, name, beta, isAutoencoder) {
  await click("train-reset");
  for (let step = 0; step < 3; ++step) await click("train-step");
  const { seed } = page.training.trainer;
  const { data } = page;
  const trainer = new Trainer(page.engine, data.train, data.pixels, data.facts.models.map.hidden, 2,
    seed);
  const isSame = ({ reconstruction, kl }) => {
    const told = trainer.step(beta, isAutoencoder);
    return told.reconstruction === reconstruction && Object.is(told.kl, kl);
  };
  checks.that(name, page.training.curves.length === 3 && page.training.curves.every(isSame));
  trainer.release();
}

async function checkChoice(checks, page) {
  await change("chosen", "0");
  await changes(checks, "the next picture is shown", "posterior", () => click("next"));
  checks.that("and is number 1", page.chosen === 1);
  await click("previous");
  checks.that("the one before is number 0", page.chosen === 0);
  const labels = await callsOf("fillText", "posterior", () => change("chosen", "4"));
  const context = byId("posterior").getContext("2d");  // its font is still that of the labels
  const besideAxis = labels.filter(([text, x]) => /^[−0-9]/.test(text) && x < page.plane.left);
  checks.that("the numbers beside an axis are whole", besideAxis.length > 0 &&
    besideAxis.every(([text, x]) => context.measureText(text).width <= x));
  const ellipses = await callsOf("ellipse", "posterior", () => change("chosen", "7"));
  checks.that("a number chooses", page.chosen === 7);
  checks.that("the gap is not negative", page.numbers.gap >= 0);
  const image = page.data.test.subarray(7 * page.data.pixels, 8 * page.data.pixels);
  checks.atMost("the chosen picture is shown", largestDifference(
    pixelsOf("chosen-image", 0, page.data.facts), image.map((value) => 255 * value)), 1);

  const { width } = byId("strip").getBoundingClientRect();
  const inStrip = byId("strip").width / page.data.facts.width;
  await mouse("click", "strip", [((3 + 0.5) * width) / inStrip, 2]);
  checks.that("a click on a strip of pictures chooses one", page.chosen === 3);

  const { logVars } = page.map.encode(image);
  const radii = ellipses.map(([, , a, b]) => [a, b]);
  const shape = Math.exp((logVars[0] - logVars[1]) / 2);
  checks.that("ellipses have q's shape",
    radii.every(([a, b]) => Math.abs(a / b / shape - 1) < 1e-3));
  checks.that("and are drawn at 1 and 2 of its standard deviations",
    radii.length === 2 && Math.abs(radii[1][0] / radii[0][0] - 2) < 1e-3);
}

async function checkPath(checks, page) {
  const { data } = page;
  const image = (i) => data.test.subarray(i * data.pixels, (i + 1) * data.pixels);
  await change("chosen", "9");
  await changes(checks, "the path begins at the chosen picture", "path-codes",
    () => click("from-take"));
  await changes(checks, "and ends there", "path-codes", () => click("to-take"));
  checks.that("by its number", byId("from").value === "9" && byId("to").value === "9");
  const halfway = (a, b) => a.map((value, i) => (value + b[i]) / 2);
  const inCanvas = (values) => values.map((value) => 255 * value);
  const middle = (id) => pixelsOf(id, 4, data.facts);
  await change("path-model", "twenty");
  await changes(checks, "another end changes the path", "path-codes", () => change("to", "5"));
  await changes(checks, "and the blend", "path-pixels", () => change("from", "3"));
  checks.atMost("half-way, the blend is the mean of both",
    largestDifference(middle("path-pixels"), inCanvas(halfway(image(3), image(5)))), 1);
  for (const name of ["twenty", "map"]) {
    const vae = page[name];
    await change("path-model", name);
    const z = halfway(vae.encode(image(3)).means, vae.encode(image(5)).means);
    checks.atMost(`and the path by '${name}' decoded from the mean code`,
      largestDifference(middle("path-codes"), inCanvas(vae.decode(z))), 1);
  }
}

async function checkTwenty(checks, page) {
  await changes(checks, "a draw from the prior", "twenty-image", () => click("draw-prior"));
  await changes(checks, "the chosen picture's code", "twenty-image", () => click("from-chosen"));
  const image = page.data.test.subarray(page.chosen * page.data.pixels,
    (page.chosen + 1) * page.data.pixels);
  checks.atMost("is its mean", largestDifference(page.z20, page.twenty.encode(image).means), 1e-6);
  await changes(checks, "all to 0", "twenty-image", () => click("to-zero"));
  const sliders = [...byId("latents").querySelectorAll("input")];
  const latentOf = (slider) => Number(slider.id.split("-")[1]);
  await changes(checks, "a slider of twenty", "twenty-image",
    () => change(sliders[0].id, "2", "input"));
  checks.that("is its latent's number", page.z20[latentOf(sliders[0])] === 2);

  const told = page.data.facts.reference.latents;
  const shown = sliders.map((slider) => page.kl[latentOf(slider)]);
  checks.atMost("KL of the latents", largestDifference(page.kl, told.kl), 1e-4);
  checks.that("sliders are ordered by KL", shown.every((v, i) => i === 0 || v <= shown[i - 1]));
  const dead = byId("latents").querySelectorAll(".dead").length;
  checks.that("the dead ones are marked", dead === told.dead);
}

// Drawing on one's own picture.
async function checkOwn(checks, page) {
  const { width, height } = page.data.facts;
  const box = byId("own").getBoundingClientRect();
  const middleOf = (x, y) => [((x + 0.5) * box.width) / width, ((y + 0.5) * box.height) / height];
  const pixel = (x, y) => page.own.pixels[y * width + x];
  const row = Math.floor(height / 3);
  const end = width - 6;
  await click("own-clear");
  await changes(checks, "the pointer draws", "own",
    () => pointer("pointerdown", "own", middleOf(4, row)));
  checks.that("where it is", pixel(4, row) === 1 && pixel(end, row) === 0);
  await pointer("pointermove", "own", middleOf(end, row));
  checks.that("and where it goes", pixel(end, row) === 1);
  const stroke = page.own.pixels.subarray(row * width + 4, row * width + end + 1);
  checks.that("without gaps", stroke.every((value) => value === 1));
  await pointer("pointerup", "own", middleOf(end, row));
  await pointer("pointermove", "own", middleOf(4, height - 4));
  checks.that("not after it was let go of", pixel(4, height - 4) === 0);
  await click("own-erase");
  await pointer("pointerdown", "own", middleOf(4, row));
  await pointer("pointerup", "own", middleOf(4, row));
  checks.that("with 'erase' it erases", pixel(4, row) === 0 && pixel(end, row) === 1);
  await click("own-erase");
  await click("own-clear");
  checks.that("nothing stays after 'clear'", page.own.pixels.every((value) => value === 0));
  await changes(checks, "Space paints", "own-decoded", () => key("own", " "));

  await click("own-copy");
  checks.that("a held-out picture is not far from all data", !page.own.isFar);
  const before = page.own.pixels.slice();
  await changes(checks, "light and dark change places", "own", () => click("own-invert"));
  const inverse = before.map((value) => 1 - value);
  checks.atMost("in each pixel", largestDifference(page.own.pixels, inverse), 1e-6);
  checks.that("which takes it far from all data", page.own.isFar);
  await click("own-invert");
}

// Pictures, and what is none, loaded from files.
async function checkFiles(checks, page) {
  const { width, height } = page.data.facts;
  const load = async (file) => {
    const files = new DataTransfer();
    files.items.add(file);
    byId("own-file").files = files.files;
    byId("own-file").dispatchEvent(new Event("change", { bubbles: true }));
  };
  // A picture whose grey level, to 255, is a function of its columns and rows.
  const loadPicture = async (w, h, greyAt) => {
    const canvas = new OffscreenCanvas(w, h);
    const c = canvas.getContext("2d");
    for (let y = 0; y < h; ++y)
      for (let x = 0; x < w; ++x) {
        c.fillStyle = `rgb(${greyAt(x, y)} ${greyAt(x, y)} ${greyAt(x, y)})`;
        c.fillRect(x, y, 1, 1);
      }
    await load(new File([await canvas.convertToBlob()], "picture.png", { type: "image/png" }));
  };
  const isNow = (expected) =>
    comesTrue(() => largestDifference(page.own.pixels, expected) < 0.02);
  const grey = (x, y) => Math.round(255 * (x + 2 * y) / (width + 2 * height));
  const cells = Array.from({ length: width * height },
    (_, p) => [p % width, Math.floor(p / width)]);
  await loadPicture(width, height, grey);
  checks.that("a picture is loaded", await isNow(cells.map(([x, y]) => grey(x, y) / 255)));
  await loadPicture(width, height, () => 128);
  checks.that("a grey one, too", await isNow(cells.map(() => 128 / 255)));
  checks.that("and it is far from all data", await comesTrue(() => page.own.isFar));
  await loadPicture(4 * width, 2 * height, () => 255);
  const isInside = ([, y]) => Number(y >= height / 4 && y < (3 * height) / 4);
  checks.that("a wide one keeps its shape", height % 4 !== 0 || await isNow(cells.map(isInside)));
  await load(new File(["no picture"], "note.txt", { type: "text/plain" }));
  checks.that("a file that is no picture is named",
    await comesTrue(() => byId("problem").textContent.includes("note.txt")));
  await click("own-clear");
}

// A copy of the page, without its scripts, as wide as a phone.
async function checkWidth(checks) {
  const copy = document.documentElement.cloneNode(true);
  copy.querySelectorAll("script, iframe, #checks").forEach((element) => element.remove());
  for (const width of [400, 320]) {
    const frame = document.createElement("iframe");
    frame.style = `position: absolute; left: -9999px; width: ${width}px; height: 800px; border: 0`;
    const loaded = new Promise((done) => frame.addEventListener("load", done));
    frame.srcdoc = `<!DOCTYPE html>${copy.outerHTML}`;
    document.body.append(frame);
    await loaded;
    const { scrollWidth } = frame.contentDocument.documentElement;
    checks.that(`at ${width} pixels' width nothing is beside the page (${scrollWidth})`,
      scrollWidth <= width);
    frame.remove();
  }
}

// A browser that computes no four floats at a time is told so.
function checkMissing(checks) {
  const { validate } = WebAssembly;
  WebAssembly.validate = () => false;
  const said = missing();
  WebAssembly.validate = validate;
  checks.that("WebAssembly without SIMD is named", said.includes("SIMD"));
  checks.that("and here nothing is missing", missing() === "");
}

// All checks. The document counts as loaded only when its frame is: --dump-dom of a browser without
// a window waits for that.
async function runChecks(page) {
  const frame = document.createElement("iframe");
  frame.hidden = true;
  document.body.append(frame);
  frame.contentDocument.open();
  const output = document.getElementById("checks");
  output.textContent = "checking …";
  const checks = new Checks();
  try {
    await page.ready;
    await page.drawn;
    if (page.failed) throw page.failed;
    await checkNumbers(checks, page.data);
    await checkControls(checks, page);
  } catch (error) {
    checks.that(`no error: ${error.message}`, false);
  }
  output.textContent = `${checks.summary()}\n${checks.lines.join("\n")}`;
  frame.contentDocument.close();
  frame.remove();
}
