"use strict";
// The page's side of web/interface.cpp: lesson 13's C++, called with arrays of numbers.

// ---- What the page holds -----------------------------------------------------------------------

// Calls f, which unpacks a part of the page. Where it cannot, the file is damaged.
async function unpacked(part, f) {
  try {
    return await f();
  } catch (error) {
    throw new Error(`This file is damaged: its part '${part}' cannot be unpacked. ` +
      `Make it anew: ./learn 21. (${error.message})`);
  }
}

// The text of an element that no browser runs.
function textOfElement(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error("it is not there");
  return element.textContent;
}

// Base64 of gzip -> bytes.
async function unzip(text) {
  const letters = atob(text.trim());
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; ++i) bytes[i] = letters.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  try {
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {  // "Failed to fetch", in Chromium
    throw new Error("it is not what was packed");
  }
}

function requireBytes(bytes, count) {
  if (bytes.length !== count) throw new Error(`it has ${bytes.length} bytes, not ${count}`);
}

// Two numbers of four bits in a byte, the first in its lower half: each a pixel's grey level less
// that of the pixel above it, modulo `levels` -> pixels from 0 to 1.
function unpackPixels(bytes, images, { width, height, levels }) {
  const pixels = width * height;
  const count = images * pixels;
  requireBytes(bytes, Math.ceil(count / 2));
  const all = new Uint8Array(count);
  const grey = new Float32Array(count);
  for (let i = 0; i < count; ++i) {
    const difference = i % 2 === 0 ? bytes[i >> 1] & 15 : bytes[i >> 1] >> 4;
    const above = i % pixels < width ? 0 : all[i - width];
    all[i] = (above + difference) % levels;
    grey[i] = all[i] / (levels - 1);
  }
  return grey;
}

// All lower bytes, then all upper ones, and a scale for each parameter -> weights.
function unpackWeights(bytes, { sizes, scales }) {
  const count = sizes.reduce((sum, size) => sum + size, 0);
  requireBytes(bytes, 2 * count);
  const weights = new Float32Array(count);
  let at = 0;
  sizes.forEach((size, parameter) => {
    for (const end = at + size; at < end; ++at) {
      const whole = ((bytes[at] | (bytes[count + at] << 8)) << 16) >> 16;  // with its sign
      weights[at] = scales[parameter] * whole;
    }
  });
  return weights;
}

// Everything that the page holds, unpacked. `textOf` gives the text of an element; a part without
// one, or with another one than was packed, is named in the Error.
async function loadPage(textOf = textOfElement) {
  const facts = await unpacked("facts", () => JSON.parse(textOf("facts")));
  const data = { facts, pixels: facts.width * facts.height, weights: {} };
  data.wasm = await unpacked("wasm", () => unzip(textOf("wasm")));
  const all = await unpacked("images", async () =>
    unpackPixels(await unzip(textOf("images")), facts.train + facts.test, facts));
  data.train = all.subarray(0, facts.train * data.pixels);
  data.test = all.subarray(facts.train * data.pixels);
  for (const name of ["map", "twenty"]) {
    const part = `weights-${name}`;
    data.weights[name] = await unpacked(part, async () =>
      unpackWeights(await unzip(textOf(part)), facts.models[name]));
  }
  return data;
}

// ---- The program -------------------------------------------------------------------------------

// One instance of the C++ program. After an Error that the C++ has thrown it must not be used any
// more: nothing was unwound.
class Engine {
  static async create(wasm) {
    const engine = new Engine();
    const unavailable = () => 52;  // WASI's "not supported": there are no files in a page
    const wasi = new Proxy({}, { get: () => unavailable, has: () => true });
    const fail = (text, length) => {
      const bytes = new Uint8Array(engine.memory.buffer, text, length);
      engine.broken = true;
      throw new Error(new TextDecoder().decode(bytes));
    };
    const module = await WebAssembly.compile(wasm);
    const imports = { page: { fail }, wasi_snapshot_preview1: {} };
    for (const { module: from, name } of WebAssembly.Module.imports(module))
      if (from === "wasi_snapshot_preview1") imports[from][name] = wasi[name];
    const instance = await WebAssembly.instantiate(module, imports);
    engine.calls = instance.exports;
    engine.memory = instance.exports.memory;
    engine.broken = false;
    engine.addresses = new Map();
    instance.exports._initialize();
    return engine;
  }

  // Calls f with two functions that get memory for the time of the call: `put` copies numbers in,
  // `room` makes room for an answer, which `take` reads.
  with(f) {
    const addresses = [];
    const room = (bytes) => {
      addresses.push(this.calls.allocate(bytes));
      return addresses[addresses.length - 1];
    };
    const put = (numbers) => {
      const address = room(4 * numbers.length);
      new Float32Array(this.memory.buffer, address, numbers.length).set(numbers);
      return address;
    };
    // Copies, as the memory moves when it grows.
    const take = (address, count, Type = Float32Array) =>
      new Type(this.memory.buffer, address, count).slice();
    const result = f({ room, put, take });
    addresses.forEach((address) => this.calls.release(address));
    return result;
  }

  // The density of the aggregate posterior at the points of a grid.
  aggregate(means, logVars, end, side) {
    return this.with(({ room, put, take }) => {
      const to = room(8 * side * side);
      const n = means.length / 2;
      this.calls.aggregate(n, put(means), put(logVars), end, side, to);
      return take(to, side * side, Float64Array);
    });
  }

  // The address of many numbers that are asked for again and again: they are copied in once.
  kept(numbers) {
    if (!this.addresses.has(numbers)) {
      const address = this.calls.allocate(4 * numbers.length);
      new Float32Array(this.memory.buffer, address, numbers.length).set(numbers);
      this.addresses.set(numbers, address);
    }
    return this.addresses.get(numbers);
  }

  // The mean squared difference of a pixel to the nearest of many images, which are kept.
  nearest(x, images) {
    return this.with(({ put }) => {
      const n = images.length / x.length;
      return this.calls.nearest(put(x), n, x.length, this.kept(images));
    });
  }
}

// A VAE inside an engine. N images of D pixels, K latents; all arrays row by row.
class Vae {
  constructor(engine, address, pixels, latents) {
    Object.assign(this, { engine, address, pixels, latents });
  }

  static withWeights(engine, pixels, hidden, latents, weights) {
    const address = engine.calls.vae_new(pixels, hidden, latents);
    const size = engine.calls.vae_size(address);
    if (size !== weights.length)
      throw new Error("This file is damaged: its part 'facts' does not fit its weights. Make it " +
        `anew: ./learn 21. (A model of ${size} weights was given ${weights.length}.)`);
    engine.with(({ put }) => engine.calls.vae_set(address, put(weights)));
    return new Vae(engine, address, pixels, latents);
  }

  // q(z|x): (N, D) -> means and ln s^2, (N, K) each.
  encode(images) {
    const n = images.length / this.pixels;
    return this.engine.with(({ room, put, take }) => {
      const size = n * this.latents;
      const means = room(4 * size);
      const logVars = room(4 * size);
      this.engine.calls.vae_encode(this.address, n, put(images), means, logVars);
      return { means: take(means, size), logVars: take(logVars, size) };
    });
  }

  // The means of p(x|z): (N, K) -> (N, D).
  decode(z) {
    const n = z.length / this.latents;
    return this.engine.with(({ room, put, take }) => {
      const to = room(4 * n * this.pixels);
      this.engine.calls.vae_decode(this.address, n, put(z), to);
      return take(to, n * this.pixels);
    });
  }

  // The parts of one image's ELBO, in nats, each the average of some draws of z.
  parts(image, draws, seed) {
    return this.engine.with(({ room, put, take }) => {
      const to = room(16);
      this.engine.calls.vae_elbo(this.address, put(image), draws, seed, to);
      const [reconstruction, kl] = take(to, 2, Float64Array);
      return { reconstruction, kl, elbo: reconstruction - kl };
    });
  }

  // The same without draws, for two latents: by a sum over a grid.
  exactParts(image) {
    return this.engine.with(({ room, put, take }) => {
      const to = room(16);
      this.engine.calls.vae_exact_parts(this.address, put(image), to);
      const [reconstruction, kl] = take(to, 2, Float64Array);
      return { reconstruction, kl, elbo: reconstruction - kl };
    });
  }

  // ln p(x) of one image, for two latents, by side x side cells from -end to end, and the mean and
  // the standard deviations of its true posterior.
  evidence(image, end, side) {
    return this.engine.with(({ room, put, take }) => {
      const to = room(40);
      this.engine.calls.vae_evidence(this.address, put(image), end, side, to);
      const [logEvidence, m1, m2, s1, s2] = take(to, 5, Float64Array);
      return { logEvidence, mean: [m1, m2], deviation: [s1, s2] };
    });
  }

  // ln p(x, z) of one image at points (N, K).
  logJoint(image, z) {
    const n = z.length / this.latents;
    return this.engine.with(({ room, put, take }) => {
      const to = room(4 * n);
      this.engine.calls.vae_log_joint(this.address, put(image), n, put(z), to);
      return take(to, n);
    });
  }
}

// A training from scratch inside an engine, step by step.
class Trainer {
  constructor(engine, images, pixels, hidden, latents, seed) {
    Object.assign(this, { engine, seed, steps: 0 });
    this.address = engine.with(({ put }) =>
      engine.calls.trainer_new(images.length / pixels, pixels, put(images), hidden, latents, seed));
    this.stepsAnEpoch = engine.calls.trainer_steps_an_epoch(this.address);
    this.vae = new Vae(engine, engine.calls.trainer_vae(this.address), pixels, latents);
  }

  // One minibatch: what its images were worth before it, in nats per image. An autoencoder's codes
  // have no law, and so no KL: it is NaN.
  step(beta, isAutoencoder) {
    return this.engine.with(({ room, take }) => {
      const to = room(16);
      if (isAutoencoder) this.engine.calls.trainer_step_autoencoder(this.address, to);
      else this.engine.calls.trainer_step_vae(this.address, beta, to);
      ++this.steps;
      const [reconstruction, kl] = take(to, 2, Float64Array);
      return { reconstruction, kl: isAutoencoder ? NaN : kl };
    });
  }

  release() {
    this.engine.calls.trainer_delete(this.address);
  }
}

// Points of a square of side x side cells around a centre: number i * side + j is
// (centre[0] + at(i), centre[1] + at(j)).
function gridPoints(centre, end, side) {
  const z = new Float32Array(2 * side * side);
  const step = (2 * end) / side;
  for (let i = 0; i < side; ++i)
    for (let j = 0; j < side; ++j) {
      z[2 * (i * side + j)] = centre[0] - end + step * (i + 0.5);
      z[2 * (i * side + j) + 1] = centre[1] - end + step * (j + 0.5);
    }
  return z;
}

// ln sum_i e^(x_i)
function logSumExp(x) {
  let largest = -Infinity;
  for (const value of x) largest = Math.max(largest, value);
  let sum = 0;
  for (const value of x) sum += Math.exp(value - largest);
  return largest + Math.log(sum);
}

// A new engine with both models.
async function startModels(data) {
  const engine = await Engine.create(data.wasm);
  const models = {};
  for (const name of ["map", "twenty"]) {
    const { hidden, latents } = data.facts.models[name];
    models[name] = Vae.withWeights(engine, data.pixels, hidden, latents, data.weights[name]);
  }
  return { engine, models };
}
