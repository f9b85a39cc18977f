"use strict";
// The page: what each control does, and what is drawn when.

const kDead = 0.05;  // nats: a latent with a smaller KL is called dead
const kDraws = 50;  // of z, for an ELBO of twenty latents
const kNear = 48;  // points on a side of the picture of a posterior
const kBackground = 13;  // decoded pictures on a side of the map
const kDense = 90;  // points on a side of a density on the map
const kPathLength = 9;

const $ = (id) => document.getElementById(id);

// What the page knows and shows. `data` is what loadPage gave; `engine`, `map` and `twenty` compute.
const page = {
  z: [0, 0],
  end: 5,  // of the map
  chosen: 0,
  z20: new Float32Array(20),
  training: { running: false, trainer: null, curves: [], end: 4 },
  own: { x: 14, y: 14 },
};

function testImage(i) {
  return page.data.test.subarray(i * page.data.pixels, (i + 1) * page.data.pixels);
}

function nameOf(i) {
  return page.data.facts.classes[page.data.facts.test_labels[i]];
}

function showImages(canvas, images) {
  drawImages(canvas, images, page.data.facts.width, page.data.facts.height);
}

const numberText = (x, digits = 2) => x.toFixed(digits).replace("-", "−");

// ---- Errors ------------------------------------------------------------------------------------

function tell(error) {
  $("problem").textContent = error ? error.message || String(error) : "";
}

// Wraps what a control does: an Error of the C++ is told, and a new engine takes over.
function guarded(action) {
  return async (...inputs) => {
    try {
      tell(null);
      await action(...inputs);
    } catch (error) {
      tell(error);
      if (page.engine && page.engine.broken) await startEngine();
    }
  };
}

async function startEngine() {
  const { engine, models } = await startModels(page.data);
  page.engine = engine;
  page.map = models.map;
  page.twenty = models.twenty;
  page.training.trainer = null;
  stopTraining();
}

// ---- 1. The map --------------------------------------------------------------------------------

// What lies beneath the cross changes seldom, and is kept as a picture.
function drawMap() {
  const plane = new Plane($("map"), [0, 0], page.end);
  page.plane = plane;
  kLayers[$("layer").value](plane);
  if ($("show-marks").checked) plane.marks(page.codes.means, page.data.facts.test_labels);
  plane.circles();
  plane.axes();
  page.mapBelow = new OffscreenCanvas($("map").width, $("map").height);
  page.mapBelow.getContext("2d").drawImage($("map"), 0, 0);
  plane.cross(page.z);
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
    plane.shade(kDense, (p) => [11, 95, 165, 255 * Math.sqrt(density[p] / most)]);
    note("The average of all clouds: the aggregate posterior, q(z).");
  },
  holes: drawHoles,
  posterior: (plane) => {
    const image = chosenImage();
    const joint = page.map.logJoint(image, gridPoints([0, 0], page.end, kDense));
    const most = joint.reduce((a, b) => Math.max(a, b), -Infinity);
    plane.shade(kDense, (p) => [179, 18, 63, 255 * Math.exp((joint[p] - most) / 4)]);
    note("ln p(z|x) of the chosen picture, from its top (dark) to some 10 nats below (light).");
  },
};

function note(text) {
  $("layer-note").textContent = text;
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
  plane.shade(kDense, (p) => {
    const t = Math.max(-1, Math.min(1, ratio[p] / Math.log(10)));
    return t < 0 ? [197, 60, 40, -230 * t] : [11, 95, 165, 230 * t];
  });
  page.inHoles = inHoles;
  note(`Red: q(z) is below the prior (a hole); blue: above it; full colour at ten times. ` +
    `${(100 * inHoles).toFixed(0)} % of draws from the prior fall where q(z) is less than a tenth ` +
    `of it.`);
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
  const i = nearestMark(page.z);
  $("where").textContent = `z = (${page.z.map((value) => numberText(value)).join(", ")}), ` +
    `|z| = ${numberText(Math.hypot(...page.z))}; the nearest mark: ${nameOf(i)}`;
}

function nearestMark(z) {
  const { means } = page.codes;
  let best = 0;
  let least = Infinity;
  for (let i = 0; i < means.length / 2; ++i) {
    const distance = Math.hypot(means[2 * i] - z[0], means[2 * i + 1] - z[1]);
    if (distance < least) [least, best] = [distance, i];
  }
  return best;
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
    if (still) choose(nearestMark(page.z));
  }));
  canvas.addEventListener("pointercancel", () => (pressed = null));
  canvas.addEventListener("keydown", guarded((event) => {
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

function fillLegend() {
  page.data.facts.classes.forEach((name, kind) => {
    const item = document.createElement("li");
    const canvas = document.createElement("canvas");
    canvas.setAttribute("aria-hidden", "true");
    item.append(canvas, ` ${name}`);
    $("legend").append(item);
    const { c } = prepare(canvas);
    c.fillStyle = kColours[kind % kColours.length];
    c.beginPath();
    kShapes[kind % kShapes.length](c, 8, 8, 6);
    c.fill();
  });
}

// ---- 2. Training -------------------------------------------------------------------------------

function trainer() {
  const t = page.training;
  t.trainer ??= new Trainer(page.engine, page.data.train, page.data.pixels,
    page.data.facts.models.map.hidden, 2, t.seed ?? 0);
  return t.trainer;
}

function trainingStep() {
  const beta = $("beta").valueAsNumber;  // NaN where it is empty
  if (!(beta >= 0 && beta <= 100)) throw new Error("β must be a number from 0 to 100.");
  page.training.curves.push(trainer().step(beta, $("autoencoder").checked));
}

// Steps for some milliseconds, then the map, then again: the page stays alive.
function train() {
  const t = page.training;
  if (!t.running) return;
  const start = performance.now();
  while (performance.now() - start < 60) trainingStep();
  drawTraining();
  requestAnimationFrame(guarded(train));
}

function stopTraining() {
  page.training.running = false;
  $("train-start").textContent = "Start";
  if (page.training.trainer) reportTraining();
}

function startTraining() {
  page.training.running = true;
  $("train-start").textContent = "Stop";
  $("train-status").textContent = "Training …";
  return train();
}

function resetTraining() {
  const t = page.training;
  stopTraining();
  if (t.trainer) t.trainer.release();
  t.trainer = null;
  t.curves = [];
  t.end = 4;
  t.seed = (t.seed ?? 0) + 1;
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
  const smooth = smoothed(t.curves);
  drawCurves($("curves"), [
    { name: "−ELBO", style: colour("accent"), dash: [],
      values: smooth.map(({ reconstruction, kl }) => kl - reconstruction) },
    { name: "−reconstruction", style: colour("second"), dash: [7, 4],
      values: smooth.map(({ reconstruction }) => -reconstruction) },
    { name: "KL", style: colour("third"), dash: [2, 3], values: smooth.map(({ kl }) => kl) },
  ], t.curves.length === 0 ? "steps of training" : `${t.curves.length} steps of training`);
}

// At most 200 points, each the mean of as many steps.
function smoothed(curves) {
  const size = Math.max(1, Math.ceil(curves.length / 200));
  const means = [];
  for (let i = 0; i + size <= curves.length; i += size) {
    const part = curves.slice(i, i + size);
    means.push({
      reconstruction: part.reduce((sum, step) => sum + step.reconstruction, 0) / size,
      kl: part.reduce((sum, step) => sum + step.kl, 0) / size,
    });
  }
  return means;
}

function reportTraining() {
  const t = page.training;
  const steps = t.curves.length;
  if (steps === 0) {
    $("train-status").textContent = "Not trained yet.";
    return;
  }
  const last = t.curves.slice(-t.trainer.stepsAnEpoch);
  const of = (part) => last.reduce((sum, step) => sum + step[part], 0) / last.length;
  const [reconstruction, kl] = [of("reconstruction"), of("kl")];
  $("train-status").textContent = `${steps} steps, ` +
    `${(steps / t.trainer.stepsAnEpoch).toFixed(1)} epochs. Lately: −reconstruction ` +
    `${numberText(-reconstruction, 1)}` +
    (Number.isNaN(kl) ? " nats; an autoencoder's codes have no KL, and no ELBO." :
      `, KL ${numberText(kl, 1)}, −ELBO ${numberText(kl - reconstruction, 1)} nats.`);
}

function listenToTraining() {
  $("train-count").textContent = page.data.facts.train.toLocaleString("en");
  $("train-start").addEventListener("click",
    guarded(() => (page.training.running ? stopTraining() : startTraining())));
  $("train-step").addEventListener("click", guarded(() => {
    trainingStep();
    drawTraining();
    reportTraining();
  }));
  $("train-reset").addEventListener("click", guarded(resetTraining));
}

// ---- 3. One picture ----------------------------------------------------------------------------

function chosenImage() {
  return page.ownChosen ?? testImage(page.chosen);
}

function choose(i) {
  const n = page.data.facts.test;
  page.chosen = ((Math.round(i) % n) + n) % n || 0;
  page.ownChosen = null;
  $("chosen").value = page.chosen;
  showChosen();
}

function showChosen() {
  const image = chosenImage();
  const { means, logVars } = page.map.encode(image);
  const deviation = [...logVars].map((value) => Math.exp(value / 2));
  showImages($("chosen-image"), image);
  $("chosen-image").setAttribute("aria-label", nameOf(page.chosen));
  $("chosen-name").textContent = `number ${page.chosen}: ${nameOf(page.chosen)}`;
  showImages($("chosen-decoded"), page.map.decode(means));
  const parts = page.map.exactParts(image);
  const { end, side } = page.data.facts.grid;
  const truth = page.map.evidence(image, end, side);
  drawPosterior(image, { mean: means, deviation }, truth);
  page.numbers = { ...parts, evidence: truth.logEvidence, gap: truth.logEvidence - parts.elbo };
  $("of-reconstruction").textContent = numberText(parts.reconstruction);
  $("of-kl").textContent = numberText(-parts.kl);
  $("of-elbo").textContent = numberText(parts.elbo);
  $("of-evidence").textContent = numberText(page.numbers.evidence);
  $("of-gap").textContent = numberText(page.numbers.gap);
  if ($("layer").value === "posterior") drawMap();
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
  plane.shade(kNear, (p) => [11, 95, 165, 255 * Math.exp(joint[p] - most)]);
  plane.ellipse(q.mean, q.deviation, 1, colour("accent"));
  plane.ellipse(q.mean, q.deviation, 2, colour("accent"));
  plane.axes();
  plane.label("shade: p(z|x), ellipses: q(z|x)", plane.left + plane.size / 2, plane.gap + 14);
}

function listenToChoice() {
  $("chosen").max = page.data.facts.test - 1;
  $("chosen").addEventListener("change", guarded(() => choose(Number($("chosen").value))));
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

function drawPath() {
  const place = (id) => Math.min(Math.max(Math.round(Number($(id).value)) || 0, 0),
    page.data.facts.test - 1);
  const [from, to] = [place("from"), place("to")];
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
  $("path-note").textContent = `${nameOf(from)} to ${nameOf(to)}. Half-way, the mean squared ` +
    `difference of a pixel to the nearest training picture: ${far(decoded)} for the decoded ` +
    `picture, ${far(blended)} for the blend.`;
}

function listenToPath() {
  for (const id of ["from", "to", "path-model"])
    $(id).addEventListener("change", guarded(drawPath));
  for (const id of ["from", "to"]) $(id).max = page.data.facts.test - 1;
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
  for (const k of order) {
    const label = document.createElement("label");
    label.classList.toggle("dead", page.kl[k] < kDead);
    const slider = document.createElement("input");
    Object.assign(slider, { type: "range", min: -3, max: 3, step: 0.05, value: 0, id: `latent-${k}` });
    slider.addEventListener("input", guarded(() => {
      page.z20[k] = Number(slider.value);
      showTwenty("");
    }));
    label.append(`z${k + 1}`, slider, `${page.kl[k].toFixed(2)} nats`);
    $("latents").append(label);
  }
}

function setTwenty(z, text) {
  page.z20.set(z);
  z.forEach((value, k) => ($(`latent-${k}`).value = value));
  showTwenty(text);
}

function showTwenty(text) {
  showImages($("twenty-image"), page.twenty.decode(page.z20));
  const length = Math.hypot(...page.z20);
  $("twenty-note").textContent = `${text} |z| = ${numberText(length)}; draws from the prior have ` +
    `about ${numberText(Math.sqrt(page.twenty.latents - 0.5))}.`;
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
  const own = page.own;
  showImages($("own"), own.pixels);
  if (document.activeElement === $("own")) {
    const c = $("own").getContext("2d");
    c.fillStyle = "rgb(255 60 100 / 0.8)";
    c.fillRect(own.x, own.y, 1, 1);
  }
  showImages($("own-decoded"), page.twenty.decode(page.twenty.encode(own.pixels).means));
  const parts = page.twenty.parts(own.pixels, kDraws, 1);
  const distance = page.engine.nearest(own.pixels, page.data.train);
  own.isFar = distance > page.data.facts.far;
  $("own-note").textContent = `ELBO ${numberText(parts.elbo, 1)} nats (reconstruction ` +
    `${numberText(parts.reconstruction, 1)}, KL ${numberText(parts.kl, 1)}). The nearest training ` +
    `picture differs by ${numberText(distance, 3)} a pixel` +
    (own.isFar ? `: far from all data. 99 of 100 held-out pictures are nearer than ` +
      `${numberText(page.data.facts.far, 3)}.` : `, as held-out pictures do.`);
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

async function loadFile() {
  const [file] = $("own-file").files;
  if (!file) return;
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    throw new Error(`${file.name} is not a picture that this browser can read.`);
  }
  const { width, height } = page.data.facts;
  const small = new OffscreenCanvas(width, height);
  const c = small.getContext("2d");
  c.imageSmoothingQuality = "high";
  c.drawImage(picture, 0, 0, width, height);
  const { data } = c.getImageData(0, 0, width, height);
  for (let p = 0; p < width * height; ++p) {
    const grey = (0.299 * data[4 * p] + 0.587 * data[4 * p + 1] + 0.114 * data[4 * p + 2]) / 255;
    page.own.pixels[p] = $("own-invert").checked ? 1 - grey : grey;
  }
  showOwn();
}

function listenToOwn() {
  const { width, height } = page.data.facts;
  const canvas = $("own");
  page.own.pixels = new Float32Array(page.data.pixels);
  document.querySelectorAll(".size").forEach((span) => (span.textContent = `${width} × ${height}`));
  canvas.style.touchAction = "none";
  let drawing = false;
  const paintAt = (event) => {
    const box = canvas.getBoundingClientRect();
    paint(Math.floor(((event.clientX - box.left) / box.width) * width),
      Math.floor(((event.clientY - box.top) / box.height) * height));
    showOwn();
  };
  canvas.addEventListener("pointerdown", guarded((event) => {
    if (event.isTrusted) canvas.setPointerCapture(event.pointerId);
    drawing = true;
    paintAt(event);
  }));
  canvas.addEventListener("pointermove", guarded((event) => drawing && paintAt(event)));
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, () => (drawing = false));
  canvas.addEventListener("keydown", guarded((event) => {
    const step = arrow(event);
    if (!step && event.key !== " ") return;
    event.preventDefault();
    if (step) {
      page.own.x = Math.max(0, Math.min(width - 1, page.own.x + step[0]));
      page.own.y = Math.max(0, Math.min(height - 1, page.own.y - step[1]));
    } else {
      paint(page.own.x, page.own.y);
    }
    showOwn();
  }));
  for (const change of ["focus", "blur"]) canvas.addEventListener(change, guarded(showOwn));
  $("own-clear").addEventListener("click", guarded(() => {
    page.own.pixels.fill(0);
    showOwn();
  }));
  $("own-copy").addEventListener("click", guarded(() => {
    page.own.pixels.set(chosenImage());
    showOwn();
  }));
  $("own-file").addEventListener("change", guarded(loadFile));
  $("own-invert").addEventListener("change", guarded(() => {
    page.own.pixels.forEach((value, p) => (page.own.pixels[p] = 1 - value));
    showOwn();
  }));
}

// ---- Start -------------------------------------------------------------------------------------

function drawAll() {
  drawMap();
  moveTo(...page.z);
  drawTraining();
  showChosen();
  drawPath();
  showOwn();
}

// What this browser lacks, or nothing.
function missing() {
  if (typeof WebAssembly !== "object")
    return "This browser has no WebAssembly (or it is switched off), in which the lesson's C++ runs.";
  if (typeof DecompressionStream !== "function")
    return "This browser has no DecompressionStream, which unpacks the page's data: use Firefox 113, " +
      "Chrome 80, Safari 16.4 or a later one.";
  if (typeof OffscreenCanvas !== "function")
    return "This browser has no OffscreenCanvas, which the maps are drawn with: use Firefox 105, " +
      "Chrome 69, Safari 16.4 or a later one.";
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
    `${facts.models.twenty.source}. Pictures: ${facts.data}.`;
  document.querySelector("main").hidden = false;
  fillLegend();
  fillLatents();
  listenToMap();
  listenToTraining();
  listenToChoice();
  listenToPath();
  listenToTwenty();
  listenToOwn();
  drawAll();
  showTwenty("The middle of the prior.");
  reportTraining();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", guarded(drawAll));
  let width = innerWidth;
  addEventListener("resize", guarded(() => {
    if (width === innerWidth) return;  // a phone's address bar came or went
    width = innerWidth;
    drawAll();
  }));
}

page.ready = start().catch(tell);
addEventListener("hashchange", () => location.hash === "#test" && runChecks(page));
if (location.hash === "#test") runChecks(page);
