"use strict";
// What is drawn on the page's canvases.

// Ten classes: a colour that is safe for the colour-blind where it can be, and a shape of its own.
const kColours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6d00",
  "#7a4fc9", "#8c8c8c", "#c2185b"];

// Each draws a path around (x, y), r from its centre to its edge.
const kShapes = [
  (c, x, y, r) => c.arc(x, y, r, 0, 2 * Math.PI),
  (c, x, y, r) => c.rect(x - r * 0.9, y - r * 0.9, 1.8 * r, 1.8 * r),
  (c, x, y, r) => polygon(c, x, y, 1.2 * r, 3, -Math.PI / 2),
  (c, x, y, r) => polygon(c, x, y, 1.2 * r, 4, 0),
  (c, x, y, r) => polygon(c, x, y, 1.2 * r, 3, Math.PI / 2),
  (c, x, y, r) => polygon(c, x, y, 1.1 * r, 5, -Math.PI / 2),
  (c, x, y, r) => bars(c, x, y, r, 0),
  (c, x, y, r) => bars(c, x, y, r, Math.PI / 4),
  (c, x, y, r) => c.rect(x - r * 1.2, y - r * 0.4, 2.4 * r, 0.8 * r),
  (c, x, y, r) => c.rect(x - r * 0.4, y - r * 1.2, 0.8 * r, 2.4 * r),
];

function polygon(c, x, y, r, corners, turned) {
  for (let i = 0; i < corners; ++i) {
    const angle = turned + (2 * Math.PI * i) / corners;
    c.lineTo(x + r * Math.cos(angle), y + r * Math.sin(angle));
  }
  c.closePath();
}

// A cross of two bars.
function bars(c, x, y, r, turned) {
  const w = 0.4 * r;
  const l = 1.25 * r;
  const corners = [[w, w], [w, l], [-w, l], [-w, w], [-l, w], [-l, -w], [-w, -w], [-w, -l], [w, -l],
    [w, -w], [l, -w], [l, w]];
  for (const [u, v] of corners)
    c.lineTo(x + u * Math.cos(turned) - v * Math.sin(turned),
      y + u * Math.sin(turned) + v * Math.cos(turned));
  c.closePath();
}

// A colour of the style sheet, which has others in the dark.
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// The same as [red, green, blue], from "#rrggbb".
function rgb(name) {
  const number = Number.parseInt(colour(name).slice(1), 16);
  return [number >> 16, (number >> 8) & 255, number & 255];
}

// With a minus that is as wide as a plus, and none before 0.00.
function numberText(x, digits = 2) {
  const text = x.toFixed(digits);
  return text.replace("-", Number(text) === 0 ? "" : "−");
}

// Gives a canvas as many pixels as the screen has for it, and a context in CSS pixels. Text and
// lines are then sharp, on a phone as well.
function prepare(canvas, aspect = 1) {
  const width = canvas.clientWidth || 300;  // 0 while it is not shown
  const height = Math.round(width * aspect);
  const ratio = window.devicePixelRatio || 1;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const c = canvas.getContext("2d");
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  c.font = "12px system-ui, sans-serif";
  return { c, width, height };
}

// Several pictures side by side, a canvas pixel each; the style sheet makes them larger.
function drawImages(canvas, images, width, height) {
  const n = images.length / (width * height);
  canvas.width = n * width;
  canvas.height = height;
  const c = canvas.getContext("2d");
  for (let i = 0; i < n; ++i)
    c.putImageData(asImageData(images.subarray(i * width * height), width, height), i * width, 0);
}

// The same with a frame around one of them.
function drawStrip(canvas, images, width, height, framed) {
  drawImages(canvas, images, width, height);
  const c = canvas.getContext("2d");
  c.strokeStyle = colour("accent");
  c.strokeRect(framed * width + 0.5, 0.5, width - 1, height - 1);
}

function asImageData(pixels, width, height) {
  const image = new ImageData(width, height);
  for (let p = 0; p < width * height; ++p) {
    image.data.fill(255 * pixels[p], 4 * p, 4 * p + 3);
    image.data[4 * p + 3] = 255;
  }
  return image;
}

// A square piece of the plane of two latents on a canvas, with room for axes at the left and below.
class Plane {
  constructor(canvas, centre, end) {
    Object.assign(this, { canvas, centre, end, left: 44, below: 34, gap: 18 });
    const { c, width } = prepare(canvas);
    this.c = c;
    this.size = width - this.left - this.gap;
    this.total = width;
    c.fillStyle = colour("paper");
    c.fillRect(0, 0, width, width);
  }

  // Pixels of the screen to a unit of z.
  get scale() {
    return this.size / (2 * this.end);
  }

  x(z1) {
    return this.left + (this.size * (z1 - this.centre[0] + this.end)) / (2 * this.end);
  }

  y(z2) {
    return this.gap + (this.size * (this.centre[1] + this.end - z2)) / (2 * this.end);
  }

  // The z at a place of the canvas.
  at(x, y) {
    const scale = (2 * this.end) / this.size;
    return [this.centre[0] - this.end + (x - this.left) * scale,
      this.centre[1] + this.end - (y - this.gap) * scale];
  }

  // Calls f while nothing is drawn outside of the axes.
  inside(f) {
    this.c.save();
    this.c.beginPath();
    this.c.rect(this.left, this.gap, this.size, this.size);
    this.c.clip();
    f(this.c);
    this.c.restore();
  }

  axes() {
    const c = this.c;
    c.strokeStyle = colour("line");
    c.fillStyle = colour("soft");
    c.lineWidth = 1;
    c.strokeRect(this.left, this.gap, this.size, this.size);
    const digitsOf = (step) => (step < 0.1 ? 2 : step < 1 ? 1 : 0);
    const isWide = (s) => this.end / s <= 5 && s * this.scale >= 24 + 8 * digitsOf(s);
    const step = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50].find(isWide) || 100;
    const digits = digitsOf(step);
    const ticks = (middle) => {
      const values = [];
      for (let t = Math.ceil((middle - this.end) / step); t * step <= middle + this.end; ++t)
        values.push(t * step);
      return values;
    };
    c.textAlign = "center";
    c.textBaseline = "top";
    for (const t of ticks(this.centre[0])) {
      c.fillRect(this.x(t), this.gap + this.size, 1, 4);
      c.fillText(numberText(t, digits), this.x(t), this.gap + this.size + 5);
    }
    c.textAlign = "right";
    c.textBaseline = "middle";
    for (const t of ticks(this.centre[1])) {
      c.fillRect(this.left - 4, this.y(t), 4, 1);
      c.fillText(numberText(t, digits), this.left - 6, this.y(t));
    }
    c.fillStyle = colour("ink");
    c.textBaseline = "bottom";
    c.fillText("z₁", this.left + this.size, this.total - 1);
    this.label("z₂", this.left + 13, this.gap + 12);
  }

  // The prior's 1, 2 and 3 standard deviations.
  circles() {
    this.inside((c) => {
      for (const r of [1, 2, 3]) {
        const radius = this.x(r) - this.x(0);
        for (const [style, width] of [[colour("paper"), 3], [colour("ink"), 1.2]]) {
          c.strokeStyle = style;
          c.lineWidth = width;
          c.beginPath();
          c.arc(this.x(0), this.y(0), radius, 0, 2 * Math.PI);
          c.stroke();
        }
        if (this.scale >= 18) this.label(`${r}`, this.x(0), this.y(r));  // or they overlap
      }
    });
  }

  // A short text that is readable on anything.
  label(text, x, y) {
    const c = this.c;
    c.textAlign = "center";
    c.textBaseline = "middle";
    c.fillStyle = colour("paper");
    const half = c.measureText(text).width / 2 + 3;
    c.fillRect(x - half, y - 8, 2 * half, 16);
    c.fillStyle = colour("ink");
    c.fillText(text, x, y);
  }

  // A mark's outline is dark on a light page and light on a dark one: some colours are faint there.
  marks(means, labels, radius = 4) {
    const outline = [[colour("paper"), 3.5], [colour("ink"), 1.5]];
    this.inside((c) => {
      labels.forEach((label, i) => {
        const kind = label % kShapes.length;
        c.beginPath();
        kShapes[kind](c, this.x(means[2 * i]), this.y(means[2 * i + 1]), radius);
        for (const [style, width] of outline) {
          c.strokeStyle = style;
          c.lineWidth = width;
          c.stroke();
        }
        c.fillStyle = kColours[kind];
        c.fill();
      });
    });
  }

  cross(z) {
    this.inside((c) => {
      const x = this.x(z[0]);
      const y = this.y(z[1]);
      for (const [style, width] of [[colour("paper"), 7], [colour("accent"), 3]]) {
        c.strokeStyle = style;
        c.lineWidth = width;
        c.beginPath();
        c.arc(x, y, 9, 0, 2 * Math.PI);
        for (const [u, v] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
          c.moveTo(x + 5 * u, y + 5 * v);
          c.lineTo(x + 15 * u, y + 15 * v);
        }
        c.stroke();
      }
    });
  }

  // Around a mark.
  ring(z) {
    this.inside((c) => {
      for (const [style, width] of [[colour("paper"), 6], [colour("ink"), 3]]) {
        c.strokeStyle = style;
        c.lineWidth = width;
        c.beginPath();
        c.arc(this.x(z[0]), this.y(z[1]), 9, 0, 2 * Math.PI);
        c.stroke();
      }
    });
  }

  // A normal density with a diagonal covariance, at so many standard deviations.
  ellipse(mean, deviation, times, style) {
    this.inside((c) => {
      const radius = (k) => (times * deviation[k] * this.size) / (2 * this.end);
      c.strokeStyle = style;
      c.lineWidth = 2;
      c.beginPath();
      c.ellipse(this.x(mean[0]), this.y(mean[1]), radius(0), radius(1), 0, 0, 2 * Math.PI);
      c.stroke();
    });
  }

  // Numbers on the points of a grid that fills the plane, as gridPoints orders them, each a colour
  // [red, green, blue, opacity] with numbers to 255.
  shade(side, colourOf) {
    const image = new ImageData(side, side);
    for (let i = 0; i < side; ++i)
      for (let j = 0; j < side; ++j)
        image.data.set(colourOf(i * side + j), 4 * ((side - 1 - j) * side + i));
    const small = new OffscreenCanvas(side, side);
    small.getContext("2d").putImageData(image, 0, 0);
    this.inside((c) => c.drawImage(small, this.left, this.gap, this.size, this.size));
  }

  // Decoded pictures at the points of a grid of side x side.
  pictures(images, side, width, height) {
    const small = new OffscreenCanvas(width, height);
    const each = this.size / side;
    this.inside((c) => {
      c.imageSmoothingEnabled = true;
      for (let i = 0; i < side; ++i)
        for (let j = 0; j < side; ++j) {
          const at = (i * side + j) * width * height;
          const pixels = images.subarray(at, at + width * height);
          small.getContext("2d").putImageData(asImageData(pixels, width, height), 0, 0);
          c.drawImage(small, this.left + i * each, this.gap + (side - 1 - j) * each, each, each);
        }
    });
  }
}

// Panels of curves over steps of training, one above the other, each with an axis of its own:
// [{title, share, curves}], where shares are of the height and curves are
// [{name, style, dash, values}]. A value that is NaN is a break.
function drawCurves(canvas, panels, label) {
  const { c, width, height } = prepare(canvas, 1.05);
  c.fillStyle = colour("paper");
  c.fillRect(0, 0, width, height);
  const below = 22;
  const all = panels.reduce((sum, panel) => sum + panel.share, 0);
  let above = 0;
  for (const panel of panels) {
    const share = (panel.share / all) * (height - below);
    drawPanel(c, { left: 40, right: width - 8, above, bottom: above + share - 12 }, panel);
    above += share;
  }
  c.fillStyle = colour("soft");
  c.textAlign = "right";
  c.fillText(label, width - 8, height - 10);
}

function drawPanel(c, { left, right, above, bottom }, { title, curves }) {
  const top = above + 46;  // of the axis; title and legend stand above it
  const most = upperEnd(curves);
  const n = Math.max(2, ...curves.map((curve) => curve.values.length));
  const x = (i) => left + ((right - left) * i) / (n - 1);
  const y = (value) => bottom - ((bottom - top) * Math.min(value, most)) / most;
  c.strokeStyle = colour("line");
  c.fillStyle = colour("soft");
  c.lineWidth = 1;
  c.textAlign = "right";
  c.textBaseline = "middle";
  const isWide = (s) => y(0) - y(s) >= 15;  // wide enough for a line of text
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000].find(isWide) || 5000;
  for (let t = 0; t <= most; t += step) {
    c.fillText(t, left - 5, y(t));
    c.beginPath();
    c.moveTo(left, y(t));
    c.lineTo(right, y(t));
    c.stroke();
  }
  c.textAlign = "left";
  c.fillText(title, 4, above + 10);
  let at = 4;
  for (const curve of curves) {
    drawCurve(c, curve, x, y);
    at += drawKey(c, curve, at, above + 28);
  }
}

// The first losses of all would flatten the rest.
function upperEnd(curves) {
  const all = curves.flatMap((curve) => curve.values).filter((value) => !Number.isNaN(value));
  if (all.length === 0) return 10;
  all.sort((a, b) => a - b);
  return Math.max(2, all[Math.floor(0.985 * (all.length - 1))] * 1.05);
}

function drawCurve(c, { style, dash, values }, x, y) {
  c.strokeStyle = style;
  c.lineWidth = 2;
  c.setLineDash(dash);
  c.beginPath();
  values.forEach((value, i) => {
    if (Number.isNaN(value)) return;
    if (i === 0 || Number.isNaN(values[i - 1])) c.moveTo(x(i), y(value));
    else c.lineTo(x(i), y(value));
  });
  c.stroke();
  c.setLineDash([]);
}

// A piece of the line and its name. Returns the width of both.
function drawKey(c, { name, style, dash }, at, y) {
  c.strokeStyle = style;
  c.lineWidth = 2;
  c.setLineDash(dash);
  c.beginPath();
  c.moveTo(at, y);
  c.lineTo(at + 18, y);
  c.stroke();
  c.setLineDash([]);
  c.fillStyle = colour("ink");
  c.fillText(name, at + 22, y);
  return 34 + c.measureText(name).width;
}
