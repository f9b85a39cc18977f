"use strict";
// The page: what each control does, and what is drawn when.

const kDead = 0.05;  // nats: a latent with a smaller KL is called dead
const kDraws = 50;  // of z, for an ELBO of twenty latents
const kNear = 48;  // points on a side of the picture of a posterior
const kBackground = 13;  // decoded pictures on a side of the map
const kDense = 90;  // points on a side of a density on the map
const kPathLength = 9;
const kStrip = 10;  // pictures to choose from, side by side
const kReach = 12;  // pixels of the screen: a click as near as that is meant for a mark
const kQuiet = 300;  // milliseconds without a change, before it is said or judged
const kActs = new Set(["click", "change", "pointerdown"]);  // which wipe an old message away
const kBrowsers = "Chrome 91, Firefox 113, Safari 16.4 or a later one";

const $ = (id) => document.getElementById(id);

// What the page knows and shows. `data` is what loadPage gave; `engine`, `map` and `twenty`
// compute.
const page = {
  z: [0, 0],
  end: 5,  // of the map
  chosen: 0,
  z20: new Float32Array(20),
  training: { running: false, trainer: null, curves: [], end: 4, seed: 0, beta: 1 },
  own: { x: 14, y: 14, name: "" },
};

function testImage(i) {
  return page.data.test.subarray(i * page.data.pixels, (i + 1) * page.data.pixels);
}

function nameOf(i) {
  return page.data.facts.classes[page.data.facts.test_labels[i]];
}

const titleOf = (i) => `number ${i}, ${nameOf(i)}`;

// A number that was typed in -> that of a picture, also where it is none.
function inRange(number) {
  return Math.min(Math.max(Math.round(number) || 0, 0), page.data.facts.test - 1);
}

function showImages(canvas, images) {
  drawImages(canvas, images, page.data.facts.width, page.data.facts.height);
}

function describe(id, text) {
  $(id).setAttribute("aria-label", text);
}

// Calls f when nobody has called this again for a while.
function quietly(f) {
  let waiting = 0;
  return (...inputs) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => f(...inputs), kQuiet);
  };
}

// A screen reader would read each step of a drag: it is told where one ends, the last text of each
// place.
const unsaid = new Map();

const sayAll = quietly(() => {
  $("said").textContent = [...unsaid.values()].join(" ");
  unsaid.clear();
});

function say(place, text) {
  if (!page.speaks) return;  // all that is drawn at the start would be too much
  unsaid.set(place, text);
  sayAll();
}

function write(id, text) {
  $(id).textContent = text;
  say(id, text);
}

// ---- Errors ------------------------------------------------------------------------------------

function tell(error) {
  $("problem").classList.remove("loading");
  $("problem").textContent = error ? error.message || String(error) : "";
}

// The page cannot be used.
function giveUp(error) {
  page.failed = error;
  tell(error);
}

// Wraps what a control does: an Error of the C++ is told, and a new engine takes over. The message
// stays until the next control is used.
function guarded(action) {
  return async (event) => {
    try {
      if (kActs.has(event?.type)) tell(null);
      await action(event);
    } catch (error) {
      tell(error);
      if (page.engine && page.engine.broken) await replaceEngine(error);
    }
  };
}

async function startEngine() {
  const { engine, models } = await startModels(page.data);
  page.engine = engine;
  page.map = models.map;
  page.twenty = models.twenty;
}

// The model that was being trained went with the old engine.
async function replaceEngine(error) {
  const wasTrained = page.training.curves.length > 0;
  page.training.trainer = null;
  stopTraining();
  await startEngine();
  beginAnew();
  if (wasTrained) tell(new Error(`${error.message}\nTraining begins anew.`));
}

// ---- 1. The map --------------------------------------------------------------------------------

// What lies beneath the cross changes seldom, and is kept as a picture.
function drawMap() {
  const plane = new Plane($("map"), [0, 0], page.end);
  page.plane = plane;
  kLayers[$("layer").value](plane);
  if ($("show-marks").checked) plane.marks(page.codes.means, page.data.facts.test_labels);
  plane.circles();
  markChosen(plane);
  plane.axes();
  page.mapBelow = new OffscreenCanvas($("map").width, $("map").height);
  page.mapBelow.getContext("2d").drawImage($("map"), 0, 0);
  plane.cross(page.z);
}

// The chosen picture's mark, and its q(z|x) where that is compared with something.
function markChosen(plane) {
  const { mean, deviation } = codeOf(page.chosen);
  plane.ring(mean);
  if ($("layer").value !== "posterior") return;
  plane.ellipse(mean, deviation, 1, colour("ink"));
  plane.ellipse(mean, deviation, 2, colour("ink"));
}

// q(z|x) of a held-out picture by the model of the map.
function codeOf(i) {
  const of = (numbers) => [numbers[2 * i], numbers[2 * i + 1]];
  return { mean: of(page.codes.means),
    deviation: of(page.codes.logVars).map((logVar) => Math.exp(logVar / 2)) };
}

const kLayers = {
  none: () => note(""),
  images: (plane) => {
    page.background ??= page.map.decode(gridPoints([0, 0], page.end, kBackground));
    plane.pictures(page.background, kBackground, page.data.facts.width, page.data.facts.height);
    note("What the decoder makes of the middle of each cell.");
  },
  aggregate: (plane) => {
    const density = aggregate();
    const most = density.reduce((a, b) => Math.max(a, b), 0);
    const blue = rgb("second");
    plane.shade(kDense, (p) => [...blue, 255 * Math.sqrt(density[p] / most)]);
    note("The average of all clouds: the aggregate posterior, q(z) (colour: its square root).");
  },
  holes: drawHoles,
  posterior: (plane) => {
    const image = chosenImage();
    const joint = page.map.logJoint(image, gridPoints([0, 0], page.end, kDense));
    const most = joint.reduce((a, b) => Math.max(a, b), -Infinity);
    const red = rgb("accent");
    plane.shade(kDense, (p) => [...red, 255 * Math.exp((joint[p] - most) / 4)]);
    note("p(z|x) of the chosen picture, to the power 1/4, so that faint places show: the strongest " +
      "colour at its top, fading to some 10 nats below. The ellipses in the ring are q(z|x).");
  },
};

function note(text) {
  write("layer-note", text);
}

function aggregate() {
  const { means, logVars } = page.codes;
  page.density ??= page.engine.aggregate(means, logVars, page.end, kDense);
  return page.density;
}

// Where q(z) is below the prior, the prior draws what training hardly saw.
function drawHoles(plane) {
  const density = aggregate();
  const z = gridPoints([0, 0], page.end, kDense);
  const cell = (2 * page.end / kDense) ** 2;
  let inHoles = 0;
  const ratio = density.map((q, p) => {
    const prior = Math.exp(-(z[2 * p] ** 2 + z[2 * p + 1] ** 2) / 2) / (2 * Math.PI);
    if (q < 0.1 * prior) inHoles += prior * cell;
    return Math.log(Math.max(q, 1e-12) / prior);
  });
  // Red where q(z) is less than the prior, blue where it is more: fully so at a factor of 10.
  const [red, blue] = [rgb("accent"), rgb("second")];
  plane.shade(kDense, (p) => {
    const t = Math.max(-1, Math.min(1, ratio[p] / Math.log(10)));
    return [...(t < 0 ? red : blue), 200 * Math.abs(t)];
  });
  page.inHoles = inHoles;
  note(`Red: q(z) is below the prior, full red below a tenth of it: a hole. Blue: above, full at ` +
    `ten times. ${(100 * inHoles).toFixed(0)} % of draws from the prior fall where q(z) is less ` +
    `than a tenth of it.`);
}

function moveTo(z1, z2) {
  const inside = (value) => Math.max(-page.end, Math.min(page.end, value));
  page.z = [inside(z1), inside(z2)];
  showImages($("decoded"), page.map.decode(Float32Array.from(page.z)));
  const c = $("map").getContext("2d");
  c.save();
  c.resetTransform();
  c.drawImage(page.mapBelow, 0, 0);
  c.restore();
  page.plane.cross(page.z);
  $("z1").value = page.z[0];
  $("z2").value = page.z[1];
  sayWhere();
}

function sayWhere() {
  const z = page.z.map((value) => numberText(value)).join(", ");
  write("where", `z = (${z}), |z| = ${numberText(Math.hypot(...page.z))}; the nearest mark: ` +
    `${titleOf(nearestMark(page.z))}. Chosen: ${titleOf(page.chosen)} (ringed).`);
}

function distanceTo(i, z) {
  const { mean } = codeOf(i);
  return Math.hypot(mean[0] - z[0], mean[1] - z[1]);
}

function nearestMark(z) {
  let best = 0;
  let least = Infinity;
  for (let i = 0; i < page.data.facts.test; ++i) {
    const distance = distanceTo(i, z);
    if (distance < least) [least, best] = [distance, i];
  }
  return best;
}

// A click that is far from all marks chooses nothing.
function chooseAt(z) {
  const i = nearestMark(z);
  if (distanceTo(i, z) * page.plane.scale <= kReach) choose(i);
}

// From an arrow key the step along both axes, or nothing.
function arrow(event) {
  return { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
}

function listenToMap() {
  const canvas = $("map");
  let pressed = null;
  const zAt = (event) => {
    const box = canvas.getBoundingClientRect();
    return page.plane.at(event.clientX - box.left, event.clientY - box.top);
  };
  canvas.style.touchAction = "none";
  canvas.addEventListener("pointerdown", guarded((event) => {
    if (event.button !== 0) return;
    if (event.isTrusted) canvas.setPointerCapture(event.pointerId);
    pressed = [event.clientX, event.clientY];
    moveTo(...zAt(event));
  }));
  canvas.addEventListener("pointermove", guarded((event) => {
    if (pressed) moveTo(...zAt(event));
  }));
  canvas.addEventListener("pointerup", guarded((event) => {
    const still = pressed && Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]) < 4;
    pressed = null;
    if (still) chooseAt(page.z);
  }));
  canvas.addEventListener("pointercancel", () => (pressed = null));
  canvas.addEventListener("keydown", guarded((event) => {
    if (event.key === "Enter") choose(nearestMark(page.z));
    const step = arrow(event);
    if (!step) return;
    event.preventDefault();
    const size = event.shiftKey ? 0.02 : 0.1;
    moveTo(page.z[0] + size * step[0], page.z[1] + size * step[1]);
  }));
  for (const [k, id] of ["z1", "z2"].entries()) {
    Object.assign($(id), { min: -page.end, max: page.end });
    $(id).addEventListener("input", guarded(() => {
      const z = [...page.z];
      z[k] = Number($(id).value);
      moveTo(...z);
    }));
  }
  $("layer").addEventListener("change", guarded(drawMap));
  $("show-marks").addEventListener("change", guarded(drawMap));
}

function fillLegends() {
  for (const legend of document.querySelectorAll(".legend"))
    legend.replaceChildren(...page.data.facts.classes.map(legendItem));
}

function legendItem(name, kind) {
  const item = document.createElement("li");
  const canvas = document.createElement("canvas");
  canvas.setAttribute("aria-hidden", "true");
  canvas.width = canvas.height = 36;  // of 18 pixels, sharp
  item.append(canvas, ` ${name}`);
  const c = canvas.getContext("2d");
  c.scale(2, 2);
  c.beginPath();
  kShapes[kind % kShapes.length](c, 9, 9, 6);
  c.lineWidth = 1.5;
  c.strokeStyle = colour("ink");
  c.stroke();
  c.fillStyle = kColours[kind % kColours.length];
  c.fill();
  return item;
}

// ---- 2. Training -------------------------------------------------------------------------------

function trainer() {
  const t = page.training;
  t.trainer ??= new Trainer(page.engine, page.data.train, page.data.pixels,
    page.data.facts.models.map.hidden, 2, t.seed);
  return t.trainer;
}

// Takes β from its field. What is no number stops nothing that runs.
function readBeta() {
  if ($("beta").disabled) return;
  const beta = $("beta").valueAsNumber;  // NaN where it is empty
  if (!(beta >= 0 && beta <= 100)) throw new Error("β must be a number from 0 to 100.");
  page.training.beta = beta;
}

function trainingStep() {
  const { beta, curves } = page.training;
  curves.push({ ...trainer().step(beta, $("autoencoder").checked), beta });
}

const kCalm = matchMedia("(prefers-reduced-motion: reduce)");

const epochsOf = (t) => t.curves.length / t.trainer.stepsAnEpoch;

// Steps for some milliseconds, then the map, then again: the page stays alive. Where reduced motion
// is asked for, the map is drawn once an epoch.
function train() {
  const t = page.training;
  if (!t.running) return;
  try {
    const start = performance.now();
    const epochs = Math.floor(epochsOf(t));
    while (performance.now() - start < 60) trainingStep();
    if (!kCalm.matches || Math.floor(epochsOf(t)) > epochs) showTraining();
  } catch (error) {
    stopTraining();
    throw error;
  }
  requestAnimationFrame(guarded(train));
}

function stopTraining() {
  page.training.running = false;
  $("train-start").textContent = "Start";
}

function startTraining() {
  readBeta();
  trainer();
  page.training.running = true;
  $("train-start").textContent = "Stop";
  say("train-status", "Training.");
  return train();
}

function resetTraining() {
  const t = page.training;
  stopTraining();
  if (t.trainer) t.trainer.release();
  t.trainer = null;
  ++t.seed;
  beginAnew();
}

function beginAnew() {
  page.training.curves = [];
  page.training.end = 4;
  showTraining();
}

function showTraining() {
  drawTraining();
  reportTraining();
}

function drawTraining() {
  const t = page.training;
  const { means } = trainer().vae.encode(page.data.test);
  // An autoencoder's codes go where they like: the axes follow, by whole steps.
  const sorted = [...means].map(Math.abs).sort((a, b) => a - b);
  const reach = sorted[Math.floor(0.99 * sorted.length)];
  while (reach > t.end && t.end < 500) t.end *= 2;
  const plane = new Plane($("train-map"), [0, 0], t.end);
  plane.pictures(t.trainer.vae.decode(gridPoints([0, 0], t.end, 9)), 9,
    page.data.facts.width, page.data.facts.height);
  plane.marks(means, page.data.facts.test_labels, 3.5);
  plane.circles();
  plane.axes();
  describe("train-map", `The codes of ${page.data.facts.test} held-out pictures after ` +
    `${t.curves.length} steps of training; axes to ±${t.end}.`);
  drawLosses();
}

function drawLosses() {
  const smooth = smoothed(page.training.curves);
  const curve = (name, style, dash, of) => ({ name, style, dash, values: smooth.map(of) });
  const loss = [
    curve("−ELBO", colour("accent"), [], ({ reconstruction, kl }) => kl - reconstruction),
    curve("−reconstruction", colour("second"), [7, 4], ({ reconstruction }) => -reconstruction),
  ];
  const isOther = page.training.curves.some(({ beta, kl }) => beta !== 1 && !Number.isNaN(kl));
  if (isOther) loss.push(curve("trained", colour("ink"), [1, 3], ({ trained }) => trained));
  const kl = [curve("KL", colour("third"), [], ({ kl }) => kl)];
  const hasNumbers = ({ values }) => values.length === 0 || !values.every(Number.isNaN);
  const steps = page.training.curves.length;
  const panels = [
    { title: "nats per picture", share: 0.6, curves: loss.filter(hasNumbers) },
    { title: "nats per picture", share: 0.4, curves: kl.filter(hasNumbers) },
  ].filter(({ curves }) => curves.length > 0);
  drawCurves($("curves"), panels, `steps of training: ${steps}`);
}

// At most 200 points, each the mean of as many steps.
function smoothed(curves) {
  const size = Math.max(1, Math.ceil(curves.length / 200));
  const means = [];
  for (let i = 0; i + size <= curves.length; i += size)
    means.push(meanOf(curves.slice(i, i + size)));
  return means;
}

// `trained` is what the steps make smaller.
function meanOf(steps) {
  const mean = (of) => steps.reduce((sum, step) => sum + of(step), 0) / steps.length;
  return {
    reconstruction: mean(({ reconstruction }) => reconstruction),
    kl: mean(({ kl }) => kl),
    trained: mean(({ reconstruction, kl, beta }) => beta * kl - reconstruction),
  };
}

// The last steps, an epoch's at most, that were trained as the very last one was.
function lastSteps() {
  const { curves, trainer: { stepsAnEpoch } } = page.training;
  const last = curves[curves.length - 1];
  const isLike = (step) => step.beta === last.beta &&
    Number.isNaN(step.kl) === Number.isNaN(last.kl);
  let from = curves.length - 1;
  while (from > 0 && curves.length - from < stepsAnEpoch && isLike(curves[from - 1])) --from;
  return curves.slice(from);
}

function reportTraining() {
  const text = trainingText();
  $("train-status").textContent = text;
  describe("curves", `Curves over the steps of training. ${text}`);
  if (!page.training.running) say("train-status", text);
}

function trainingText() {
  const t = page.training;
  const steps = t.curves.length;
  if (steps === 0) return "Not trained yet.";
  const last = lastSteps();
  const { reconstruction, kl, trained } = meanOf(last);
  const { beta } = last[0];
  const epochs = epochsOf(t).toFixed(1);
  const lately = last.length === 1 ? "The last one" : `The last ${last.length}, on average`;
  const start = `${steps === 1 ? "1 step" : `${steps} steps`}, ${epochs} epochs. ${lately}: ` +
    `−reconstruction ${numberText(-reconstruction, 1)}`;
  const parts = Number.isNaN(kl) ? " nats; an autoencoder's codes have no KL, and no ELBO." :
    `, KL ${numberText(kl, 1)}, −ELBO ${numberText(kl - reconstruction, 1)} nats.`;
  const loss = Number.isNaN(kl) || beta === 1 ? "" :
    ` Trained: −reconstruction + ${beta} KL = ${numberText(trained, 1)}.`;
  const axes = t.end > 4 ? ` Axes to ±${t.end}.` : "";
  const calm = t.running && kCalm.matches ? " (Drawn once an epoch: you asked for less motion.)" : "";
  return start + parts + loss + axes + calm;
}

function listenToTraining() {
  $("train-count").textContent = page.data.facts.train.toLocaleString("en");
  $("train-start").addEventListener("click", guarded(() => {
    if (!page.training.running) return startTraining();
    stopTraining();
    showTraining();
  }));
  $("train-step").addEventListener("click", guarded(() => {
    readBeta();
    trainingStep();
    showTraining();
  }));
  $("beta").addEventListener("change", guarded(readBeta));
  $("autoencoder").addEventListener("change", guarded(() => {
    $("beta").disabled = $("autoencoder").checked;
  }));
  $("train-reset").addEventListener("click", guarded(resetTraining));
}

// ---- 3. One picture ----------------------------------------------------------------------------

function chosenImage() {
  return testImage(page.chosen);
}

// A picture by its number; before the first comes the last.
function choose(i) {
  const n = page.data.facts.test;
  page.chosen = ((i % n) + n) % n;
  drawMap();
  sayWhere();
  showChosen();
}

function showChosen() {
  const image = chosenImage();
  const q = codeOf(page.chosen);
  const parts = page.map.exactParts(image);
  const { end, side } = page.data.facts.grid;
  const truth = page.map.evidence(image, end, side);
  page.numbers = { ...parts, evidence: truth.logEvidence, gap: truth.logEvidence - parts.elbo };
  $("chosen").value = page.chosen;
  showStrip();
  showImages($("chosen-image"), image);
  describe("chosen-image", titleOf(page.chosen));
  $("chosen-name").textContent = titleOf(page.chosen);
  showImages($("chosen-decoded"), page.map.decode(Float32Array.from(q.mean)));
  drawPosterior(image, q, truth);
  $("of-reconstruction").textContent = numberText(parts.reconstruction);
  $("of-kl").textContent = numberText(-parts.kl);
  $("of-elbo").textContent = numberText(parts.elbo);
  $("of-evidence").textContent = numberText(page.numbers.evidence);
  $("of-gap").textContent = numberText(page.numbers.gap);
  say("chosen", `Chosen: ${titleOf(page.chosen)}. ELBO ${numberText(parts.elbo)}, ln p(x) ` +
    `${numberText(page.numbers.evidence)}, gap ${numberText(page.numbers.gap)} nats.`);
}

// The chosen picture among those beside it.
function showStrip() {
  const { facts: { test, width, height }, pixels } = page.data;
  const first = page.chosen - (page.chosen % kStrip);
  const n = Math.min(kStrip, test - first);
  const images = page.data.test.subarray(first * pixels, (first + n) * pixels);
  drawStrip($("strip"), images, width, height, page.chosen - first);
  describe("strip", `Pictures ${first} to ${first + n - 1}, number ${page.chosen} in a frame.`);
}

function chooseInStrip(event) {
  const box = $("strip").getBoundingClientRect();
  const { width } = page.data.facts;
  const place = Math.floor(((event.clientX - box.left) / box.width) * ($("strip").width / width));
  choose(page.chosen - (page.chosen % kStrip) + place);
}

// The smallest square that has most of both, q(z|x) and p(z|x).
function squareAround(q, truth) {
  const low = [0, 1].map((k) =>
    Math.min(q.mean[k] - 3 * q.deviation[k], truth.mean[k] - 4 * truth.deviation[k]));
  const high = [0, 1].map((k) =>
    Math.max(q.mean[k] + 3 * q.deviation[k], truth.mean[k] + 4 * truth.deviation[k]));
  const centre = [0, 1].map((k) => (low[k] + high[k]) / 2);
  return { centre, end: Math.max(high[0] - low[0], high[1] - low[1]) / 2 };
}

function drawPosterior(image, q, truth) {
  const { centre, end } = squareAround(q, truth);
  const joint = page.map.logJoint(image, gridPoints(centre, end, kNear));
  const most = joint.reduce((a, b) => Math.max(a, b), -Infinity);
  const plane = new Plane($("posterior"), centre, end);
  const blue = rgb("second");
  plane.shade(kNear, (p) => [...blue, 255 * Math.exp(joint[p] - most)]);
  plane.ellipse(q.mean, q.deviation, 1, colour("accent"));
  plane.ellipse(q.mean, q.deviation, 2, colour("accent"));
  plane.axes();
  plane.label("shade: p(z|x), ellipses: q(z|x)", plane.left + plane.size / 2, plane.gap + 14);
  const place = (values) => `(${values.map((value) => numberText(value)).join(", ")})`;
  describe("posterior", `Picture ${page.chosen}: its true posterior around ${place(truth.mean)}, ` +
    `standard deviations ${place(truth.deviation)}; the encoder's ellipse around ${place(q.mean)}, ` +
    `${place(q.deviation)}.`);
}

function listenToChoice() {
  const numbered = `pictures are numbered 0 to ${page.data.facts.test - 1}`;
  document.querySelectorAll(".numbered").forEach((span) => (span.textContent = numbered));
  $("chosen").max = page.data.facts.test - 1;
  $("chosen").addEventListener("change", guarded(() => choose(inRange($("chosen").value))));
  $("strip").addEventListener("click", guarded(chooseInStrip));
  $("previous").addEventListener("click", guarded(() => choose(page.chosen - 1)));
  $("next").addEventListener("click", guarded(() => choose(page.chosen + 1)));
}

// ---- 4. From one picture to another ------------------------------------------------------------

// Points from a to b, both among them.
function between(a, b, n) {
  const points = new Float32Array(n * a.length);
  for (let i = 0; i < n; ++i)
    for (let k = 0; k < a.length; ++k) {
      const t = i / (n - 1);
      points[i * a.length + k] = (1 - t) * a[k] + t * b[k];
    }
  return points;
}

// The picture that a field asks for, which is shown beside it.
function pictureOf(id) {
  const i = inRange($(id).value);
  $(id).value = i;
  showImages($(`${id}-image`), testImage(i));
  return i;
}

function drawPath() {
  const [from, to] = [pictureOf("from"), pictureOf("to")];
  const vae = page[$("path-model").value];
  const code = (i) => vae.encode(testImage(i)).means;
  const decoded = vae.decode(between(code(from), code(to), kPathLength));
  const blended = between(testImage(from), testImage(to), kPathLength);
  showImages($("path-codes"), decoded);
  showImages($("path-pixels"), blended);
  const half = (kPathLength - 1) / 2;
  const middle = (images) => images.subarray(half * page.data.pixels,
    (half + 1) * page.data.pixels);
  const far = (images) => numberText(page.engine.nearest(middle(images), page.data.train), 3);
  const ends = `from ${titleOf(from)} to ${titleOf(to)}`;
  describe("path-codes", `${kPathLength} pictures decoded ${ends}`);
  describe("path-pixels", `${kPathLength} blends of pixels ${ends}`);
  write("path-note", `${nameOf(from)} to ${nameOf(to)}. Half-way, the mean squared ` +
    `difference of a pixel to the nearest training picture: ${far(decoded)} for the decoded ` +
    `picture, ${far(blended)} for the blend.`);
}

function listenToPath() {
  for (const id of ["from", "to", "path-model"])
    $(id).addEventListener("change", guarded(drawPath));
  for (const id of ["from", "to"]) {
    $(id).max = page.data.facts.test - 1;
    $(`${id}-take`).addEventListener("click", guarded(() => {
      $(id).value = page.chosen;
      drawPath();
    }));
  }
}

// ---- 5. Twenty latents -------------------------------------------------------------------------

// KL(q(z_k|x) || p(z_k)), the mean over the held-out pictures, of each latent.
function klOfLatents() {
  const { means, logVars } = page.twenty.encode(page.data.test);
  const K = page.twenty.latents;
  const kl = new Float64Array(K);
  means.forEach((m, i) => {
    const log = logVars[i];
    kl[i % K] += (m * m + Math.exp(log) - 1 - log) / 2 / page.data.facts.test;
  });
  return kl;
}

function fillLatents() {
  page.kl = klOfLatents();
  const order = [...page.kl.keys()].sort((a, b) => page.kl[b] - page.kl[a]);
  for (const k of order) $("latents").append(latentLabel(k));
}

const klText = (k) => `KL ${page.kl[k].toFixed(2)}${page.kl[k] < kDead ? ", dead" : ""}`;

// A slider with its number and its KL: z9 = 0.35   KL 2.33
function latentLabel(k) {
  const label = document.createElement("label");
  label.classList.toggle("dead", page.kl[k] < kDead);
  const slider = document.createElement("input");
  Object.assign(slider, { id: `latent-${k}`, type: "range", min: -4, max: 4, step: 0.01, value: 0 });
  slider.setAttribute("aria-label", `latent ${k + 1}`);
  slider.addEventListener("input", guarded(() => {
    page.z20[k] = Number(slider.value);
    showTwenty("");
  }));
  const number = document.createElement("span");
  number.id = `number-${k}`;
  label.append(number, klText(k), slider);
  return label;
}

function setTwenty(z, text) {
  page.z20.set(z);
  showTwenty(text);
}

function showTwenty(text) {
  page.z20.forEach(showLatent);
  showImages($("twenty-image"), page.twenty.decode(page.z20));
  const length = numberText(Math.hypot(...page.z20));
  describe("twenty-image", `Decoded from twenty latents of length ${length}. ${text}`);
  write("twenty-note", `${text && `${text} `}|z| = ${length}; draws from the prior have about ` +
    `${numberText(Math.sqrt(page.twenty.latents - 0.5))}.`);
}

function showLatent(value, k) {
  const slider = $(`latent-${k}`);
  slider.value = value;
  slider.setAttribute("aria-valuetext", `${numberText(value)}, ${klText(k)}`);
  $(`number-${k}`).textContent = `z${k + 1} = ${numberText(value)}`;
}

// A standard normal number, by Box and Muller.
function normal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

function listenToTwenty() {
  $("draw-prior").addEventListener("click",
    guarded(() => setTwenty(Float32Array.from({ length: page.twenty.latents }, normal),
      "A draw from the prior.")));
  $("to-zero").addEventListener("click",
    guarded(() => setTwenty(new Float32Array(page.twenty.latents), "The middle of the prior.")));
  $("from-chosen").addEventListener("click",
    guarded(() => setTwenty(page.twenty.encode(chosenImage()).means,
      `The code of picture ${page.chosen}, ${nameOf(page.chosen)}.`)));
}

// ---- 6. A picture of one's own -----------------------------------------------------------------

function showOwn() {
  drawOwn();
  judgeOwn();
}

function drawOwn() {
  const own = page.own;
  showImages($("own"), own.pixels);
  if ($("own").matches(":focus-visible")) {  // by keyboard
    const c = $("own").getContext("2d");
    c.fillStyle = "rgb(255 60 100 / 0.8)";
    c.fillRect(own.x, own.y, 1, 1);
  }
  showImages($("own-decoded"), page.twenty.decode(page.twenty.encode(own.pixels).means));
}

// Is it like the data? Two answers: its ELBO, and how near the nearest training picture is.
function judgeOwn() {
  const { pixels, name } = page.own;
  const isEmpty = pixels.every((value) => value === 0);
  const parts = page.twenty.parts(pixels, kDraws, 1);
  const distance = page.engine.nearest(pixels, page.data.train);
  const { far, elbo_quantiles: usual } = page.data.facts;
  const isLow = usual !== undefined && parts.elbo < usual.low;
  const isHigh = usual !== undefined && parts.elbo > usual.high;
  page.own.isFar = !isEmpty && (distance > far || isLow || isHigh);
  page.own.elbo = parts.elbo;
  if (isEmpty) return write("own-note", "Draw something.");
  const reasons = [
    isLow && "its ELBO is below that of 99 of 100 held-out pictures",
    isHigh && "its ELBO is above that of 99 of 100 held-out pictures, as a black one's is (lesson " +
      "20 tells why)",
    distance > far && "no training picture is near",
  ].filter(Boolean).join(", and ");
  const verdict = page.own.isFar ? `Far from the data: ${reasons}.` :
    "By both numbers it is as held-out pictures are.";
  write("own-note", `${name}${verdict} By the model of 20 latents its ELBO is ` +
    `${numberText(parts.elbo, 1)} nats (reconstruction ${numberText(parts.reconstruction, 1)}, ` +
    `KL ${numberText(parts.kl, 1)})${usualText(usual)}. The nearest training picture differs by ` +
    `${numberText(distance, 3)} a pixel; 99 of 100 held-out pictures are nearer than ` +
    `${numberText(far, 3)}.`);
}

function usualText(usual) {
  if (usual === undefined) return "";
  const [low, middle, high] = [usual.low, usual.middle, usual.high].map((x) => numberText(x, 0));
  return `; 98 of 100 held-out pictures have from ${low} to ${high}, half of them below ${middle}`;
}

// A soft brush: full at its middle, half around it.
function paint(x, y) {
  const { width, height } = page.data.facts;
  for (let v = -1; v <= 1; ++v)
    for (let u = -1; u <= 1; ++u) {
      if (x + u < 0 || x + u >= width || y + v < 0 || y + v >= height) continue;
      const at = (y + v) * width + x + u;
      const strength = u === 0 && v === 0 ? 1 : 0.5;
      page.own.pixels[at] = $("own-erase").checked ? 0 : Math.max(page.own.pixels[at], strength);
    }
}

// The cells from one to another, without the first.
function line(from, to) {
  const steps = Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y), 1);
  const cells = [];
  for (let i = 1; i <= steps; ++i)
    cells.push({ x: Math.round(from.x + ((to.x - from.x) * i) / steps),
      y: Math.round(from.y + ((to.y - from.y) * i) / steps) });
  return cells;
}

async function loadFile() {
  const [file] = $("own-file").files;
  if (!file) return;
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    throw new Error(`${file.name} is not a picture that this browser can read.`);
  }
  page.own.pixels.set(shrunk(picture));
  page.own.name = `${file.name}, ${picture.width} × ${picture.height} pixels, keeps its shape, and ` +
    `stands on black. `;
  showOwn();
}

// A picture of any size -> grey numbers, its shape kept, in the middle of black.
function shrunk(picture) {
  const { width, height } = page.data.facts;
  const c = new OffscreenCanvas(width, height).getContext("2d");
  const scale = Math.min(width / picture.width, height / picture.height);
  const [w, h] = [picture.width * scale, picture.height * scale];
  c.fillRect(0, 0, width, height);
  c.imageSmoothingQuality = "high";
  c.drawImage(picture, (width - w) / 2, (height - h) / 2, w, h);
  const { data } = c.getImageData(0, 0, width, height);
  return Float32Array.from({ length: width * height }, (_, p) =>
    (0.299 * data[4 * p] + 0.587 * data[4 * p + 1] + 0.114 * data[4 * p + 2]) / 255);
}

const judgeSoon = quietly(guarded(judgeOwn));

// Strokes come faster than they can be drawn: once a frame is enough.
function drawSoon() {
  judgeSoon();
  if (page.own.isWaiting) return;
  page.own.isWaiting = true;
  requestAnimationFrame(guarded(() => {
    page.own.isWaiting = false;
    drawOwn();
  }));
}

function listenToPointer() {
  const canvas = $("own");
  const { width, height } = page.data.facts;
  let last = null;  // the cell where the stroke is, or null
  const cellAt = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: Math.floor(((event.clientX - box.left) / box.width) * width),
      y: Math.floor(((event.clientY - box.top) / box.height) * height) };
  };
  const strokeTo = (event) => {
    const to = cellAt(event);
    for (const { x, y } of line(last, to)) paint(x, y);
    last = to;
    drawSoon();
  };
  canvas.style.touchAction = "none";
  canvas.addEventListener("pointerdown", guarded((event) => {
    if (event.button !== 0) return;
    if (event.isTrusted) canvas.setPointerCapture(event.pointerId);
    last = cellAt(event);
    strokeTo(event);
  }));
  canvas.addEventListener("pointermove", guarded((event) => {
    if (!last) return;
    // What the pointer did since the last frame; some browsers tell only where it is now.
    const events = event.getCoalescedEvents?.() ?? [];
    (events.length > 0 ? events : [event]).forEach(strokeTo);
  }));
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, () => (last = null));
}

function listenToKeys() {
  const { width, height } = page.data.facts;
  const own = page.own;
  $("own").addEventListener("keydown", guarded((event) => {
    const step = arrow(event);
    if (!step && event.key !== " ") return;
    event.preventDefault();
    if (!step) {
      paint(own.x, own.y);
      judgeSoon();
    } else {
      own.x = Math.max(0, Math.min(width - 1, own.x + step[0]));
      own.y = Math.max(0, Math.min(height - 1, own.y - step[1]));
      say("cell", `column ${own.x + 1}, row ${own.y + 1}.`);
    }
    drawOwn();
  }));
  for (const change of ["focus", "blur"]) $("own").addEventListener(change, guarded(drawOwn));
}

// A button that makes all pixels anew.
function listenToButton(id, change) {
  $(id).addEventListener("click", guarded(() => {
    page.own.name = $("own-file").value = "";
    change(page.own.pixels);
    showOwn();
  }));
}

function listenToOwn() {
  const { width, height } = page.data.facts;
  page.own.pixels = new Float32Array(page.data.pixels);
  document.querySelectorAll(".size").forEach((span) => (span.textContent = `${width} × ${height}`));
  listenToPointer();
  listenToKeys();
  listenToButton("own-clear", (pixels) => pixels.fill(0));
  listenToButton("own-copy", (pixels) => pixels.set(chosenImage()));
  listenToButton("own-invert", (pixels) => pixels.forEach((value, p) => (pixels[p] = 1 - value)));
  // The same file may come again.
  $("own-file").addEventListener("click", () => ($("own-file").value = ""));
  $("own-file").addEventListener("change", guarded(loadFile));
}

// ---- The checks --------------------------------------------------------------------------------

const kFields = ["layer", "beta", "chosen", "from", "to", "path-model"];
const kTicks = ["show-marks", "autoencoder", "own-erase"];

// What was chosen, typed in and drawn.
function state() {
  return {
    values: kFields.map((id) => $(id).value),
    ticks: kTicks.map((id) => $(id).checked),
    z: page.z,
    z20: page.z20.slice(),
    pixels: page.own.pixels.slice(),
  };
}

function setState({ values, ticks, z, z20, pixels }) {
  kFields.forEach((id, i) => ($(id).value = values[i]));
  kTicks.forEach((id, i) => ($(id).checked = ticks[i]));
  $("beta").disabled = $("autoencoder").checked;
  page.own.pixels.set(pixels);
  choose(inRange($("chosen").value));
  moveTo(...z);
  drawPath();
  setTwenty(z20, "");
  showOwn();
  readBeta();
}

// The checks use each control, from where a new page stands. All comes back but a training.
async function check() {
  await page.drawn;
  const mine = state();
  setState(page.atFirst);
  $("checks").scrollIntoView();
  await runChecks(page);
  setState(mine);
  $("checks").scrollIntoView();
}

// ---- Start -------------------------------------------------------------------------------------

// Anew, where the page's width or its colours have changed.
function redraw() {
  page.speaks = false;
  fillLegends();
  drawMap();
  moveTo(...page.z);
  drawTraining();
  showChosen();
  page.speaks = true;
}

// One after the other, and between them what was clicked.
async function drawLater() {
  const middle = () => showTwenty("The middle of the prior.");
  for (const draw of [showTraining, showChosen, drawPath, fillLatents, middle, showOwn]) {
    await new Promise((done) => setTimeout(done, 0));
    draw();
  }
  performance.mark("drawn");
  page.speaks = true;
  page.atFirst = state();
}

// A WebAssembly program of one function, which has four numbers in a vector.
const kVectors = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10,
  10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11);

// What this browser lacks, or nothing.
function missing() {
  if (typeof WebAssembly !== "object")
    return `This browser has no WebAssembly (or it is switched off), in which the lesson's C++ ` +
      `runs: use ${kBrowsers}.`;
  if (!WebAssembly.validate(kVectors))
    return `This browser's WebAssembly has no vectors (SIMD), with which the lesson's C++ ` +
      `computes: use ${kBrowsers}.`;
  if (typeof DecompressionStream !== "function")
    return `This browser has no DecompressionStream, which unpacks the page's data: ` +
      `use ${kBrowsers}.`;
  if (typeof OffscreenCanvas !== "function")
    return `This browser has no OffscreenCanvas, which the maps are drawn with: use ${kBrowsers}.`;
  return "";
}

async function start() {
  const lacks = missing();
  if (lacks) throw new Error(lacks);
  page.data = await loadPage();
  await startEngine();
  page.codes = page.map.encode(page.data.test);
  const sorted = [...page.codes.means].map(Math.abs).sort((a, b) => a - b);
  page.end = Math.max(3.2, Math.ceil(sorted[Math.floor(0.995 * sorted.length)]));
  const { facts } = page.data;
  $("source").textContent = `Two latents: ${facts.models.map.source}; twenty: ` +
    `${facts.models.twenty.source}. Here are ${facts.train.toLocaleString("en")} pictures of ` +
    `${facts.data} to train with, and ${facts.test} that no training saw.`;
  for (const part of document.querySelectorAll("main, footer p")) part.hidden = false;
  tell(null);
  fillLegends();
  listenToMap();
  listenToTraining();
  listenToChoice();
  listenToPath();
  listenToTwenty();
  listenToOwn();
  drawMap();
  moveTo(...page.z);
  performance.mark("ready");
  page.drawn = drawLater().catch(giveUp);
  $("check").addEventListener("click", guarded(check));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", guarded(redraw));
  let width = innerWidth;
  addEventListener("resize", guarded(() => {
    if (width === innerWidth) return;  // a phone's address bar came or went
    width = innerWidth;
    redraw();
  }));
}

// Ready when the map is: the rest is drawn after it.
page.ready = start().catch(giveUp);
if (location.hash === "#test") {
  page.ready = page.ready.then(() => page.drawn);
  runChecks(page);
}
