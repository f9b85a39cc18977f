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
  checkTraining(checks, data, engine);
  await checkErrors(checks, data);
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

// What each control does, in the page that is shown.
async function checkControls(checks, page) {
  const element = (id) => document.getElementById(id);
  const settle = () => new Promise((done) => setTimeout(done, 0));
  const change = async (id, value, type = "change") => {
    element(id).value = value;
    element(id).dispatchEvent(new Event(type));
    await settle();
  };
  const click = async (id) => {
    element(id).click();
    await settle();
  };
  const key = async (id, name) => {
    element(id).dispatchEvent(new KeyboardEvent("keydown", { key: name, cancelable: true }));
    await settle();
  };
  const picture = (id) => element(id).toDataURL();
  // Whether what f does changes a picture.
  const changes = async (name, id, f) => {
    const before = picture(id);
    await f();
    checks.that(name, picture(id) !== before);
  };

  const z = page.z[0];
  await changes("an arrow key moves the point", "decoded", () => key("map", "ArrowRight"));
  checks.atMost("by a tenth", Math.abs(page.z[0] - z - 0.1), 1e-9);
  await changes("a slider moves the point", "decoded", () => change("z2", "1.5", "input"));
  checks.that("and is the point's number", page.z[1] === 1.5);
  await changes("a press on the map moves the point", "decoded", async () => {
    const box = element("map").getBoundingClientRect();
    const at = { clientX: box.left + page.plane.x(-1), clientY: box.top + page.plane.y(-2) };
    element("map").dispatchEvent(new PointerEvent("pointerdown", at));
    await settle();
    element("map").dispatchEvent(new PointerEvent("pointercancel", at));
  });
  checks.atMost("to where it was pressed", Math.hypot(page.z[0] + 1, page.z[1] + 2), 1e-2);
  for (const layer of ["aggregate", "holes", "posterior", "none", "images"])
    await changes(`the map's background becomes: ${layer}`, "map", () => change("layer", layer));
  await changes("marks go", "map", () => click("show-marks"));
  await changes("marks come", "map", () => click("show-marks"));

  await change("beta", "1");
  await click("train-reset");
  await changes("a step of training moves the codes", "train-map", () => click("train-step"));
  checks.that("and is one", page.training.curves.length === 1 && page.training.curves[0].kl > 0);
  await click("train-start");
  while (page.training.curves.length < 20) await new Promise((done) => setTimeout(done, 20));
  await click("train-start");
  const { curves } = page.training;
  const loss = ({ reconstruction, kl }) => kl - reconstruction;
  checks.that("training runs, and lowers the loss", loss(curves[curves.length - 1]) < loss(curves[0]));
  const stopped = curves.length;
  await new Promise((done) => setTimeout(done, 150));
  checks.that("and stops", page.training.curves.length === stopped);
  await change("beta", "x");
  await click("train-step");
  checks.that("a beta that is none is named", element("problem").textContent.includes("β"));
  await change("beta", "50");
  const kl = curves[curves.length - 1].kl;
  for (let step = 0; step < 60; ++step) await click("train-step");
  checks.that("a large beta lowers the KL", curves[curves.length - 1].kl < 0.5 * kl);
  await change("beta", "1");
  await click("autoencoder");
  await click("train-step");
  checks.that("an autoencoder has no KL", Number.isNaN(curves[curves.length - 1].kl));
  await click("autoencoder");
  await click("train-reset");
  checks.that("begun anew, there are no steps", page.training.curves.length === 0);

  await changes("the next picture is shown", "posterior", () => click("next"));
  checks.that("and is number 1", page.chosen === 1);
  await click("previous");
  checks.that("the one before is number 0", page.chosen === 0);
  await change("chosen", "7");
  checks.that("a number chooses", page.chosen === 7);
  checks.that("the gap is not negative", page.numbers.gap >= 0);
  await click("previous");

  await changes("another end changes the path", "path-codes", () => change("to", "5"));
  await changes("and the blend", "path-pixels", () => change("from", "3"));
  await changes("the path by two latents differs", "path-codes", () => change("path-model", "map"));

  await changes("a draw from the prior", "twenty-image", () => click("draw-prior"));
  await changes("the chosen picture's code", "twenty-image", () => click("from-chosen"));
  await changes("all to 0", "twenty-image", () => click("to-zero"));
  const strongest = element("latents").querySelector("input").id;
  await changes("a slider of twenty", "twenty-image", () => change(strongest, "2", "input"));
  const of = (input) => page.kl[Number(input.id.split("-")[1])];
  const sliders = [...element("latents").querySelectorAll("input")].map(of);
  checks.that("sliders are ordered by KL", sliders.every((v, i) => i === 0 || v <= sliders[i - 1]));

  await click("own-copy");
  checks.that("a held-out picture is not far from all data", !page.own.isFar);
  await changes("dark on light turns it round", "own", () => click("own-invert"));
  checks.that("and takes it far from all data", page.own.isFar);
  await click("own-clear");
  await changes("Space paints", "own-decoded", () => key("own", " "));
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
    await checkNumbers(checks, page.data);
    await checkControls(checks, page);
  } catch (error) {
    checks.that(`no error: ${error.message}`, false);
  }
  output.textContent = `${checks.summary()}\n${checks.lines.join("\n")}`;
  frame.contentDocument.close();
}
