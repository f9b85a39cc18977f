// A Chromium without a window, for scripts that look at the page: they speak its DevTools protocol
// over a pipe, so that nothing has to be installed besides Node.js and Chromium.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

// Calls of the protocol as promises: each message ends with a zero byte.
function connect(browser) {
  const [, , , to, from] = browser.stdio;
  const waiting = new Map();
  let text = "";
  let last = 0;
  from.setEncoding("utf8");
  from.on("data", (piece) => {
    const messages = (text + piece).split("\0");
    text = messages.pop();
    for (const message of messages.map((one) => JSON.parse(one))) {
      const answer = waiting.get(message.id);
      if (!answer) continue;  // an event
      waiting.delete(message.id);
      if (message.error) answer.reject(new Error(message.error.message));
      else answer.resolve(message.result);
    }
  });
  return (method, params = {}, sessionId = undefined) => new Promise((resolve, reject) => {
    waiting.set(++last, { resolve, reject });
    to.write(`${JSON.stringify({ id: last, method, params, sessionId })}\0`);
  });
}

// Opens a page. Returns what can be done with it:
//     run(code)                 evaluates JavaScript in the page, and awaits it
//     resize(width)             of the window
//     picture(selectors, file)  writes what the elements cover as a PNG
//     close()
export async function openPage(url, { width = 1280, dark = false } = {}) {
  const profile = mkdtempSync(path.join(tmpdir(), "explorer-"));
  const browser = spawn("chromium", ["--headless=new", "--no-sandbox", "--disable-gpu",
    "--hide-scrollbars", `--user-data-dir=${profile}`, "--remote-debugging-pipe", "about:blank"],
    { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
  const call = connect(browser);
  const { targetInfos } = await call("Target.getTargets");
  const { targetId } = targetInfos.find(({ type }) => type === "page");
  const { sessionId } = await call("Target.attachToTarget", { targetId, flatten: true });
  const send = (method, params) => call(method, params, sessionId);

  async function run(expression) {
    const { result, exceptionDetails } = await send("Runtime.evaluate",
      { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception.description);
    return result.value;
  }

  async function picture(selectors, file) {
    const clip = await run(`(() => {
      const boxes = ${JSON.stringify(selectors)}.map((one) =>
        document.querySelector(one).getBoundingClientRect());
      const x = Math.min(...boxes.map((box) => box.left)) + scrollX;
      const y = Math.min(...boxes.map((box) => box.top)) + scrollY;
      const right = Math.max(...boxes.map((box) => box.right)) + scrollX;
      const bottom = Math.max(...boxes.map((box) => box.bottom)) + scrollY;
      return { x: x - 8, y: y - 8, width: right - x + 16, height: bottom - y + 16, scale: 1 };
    })()`);
    const { data } = await send("Page.captureScreenshot",
      { format: "png", captureBeyondViewport: true, clip });
    writeFileSync(file, Buffer.from(data, "base64"));
  }

  async function close() {
    const ended = new Promise((resolve) => browser.once("exit", resolve));
    await call("Browser.close");
    await ended;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }

  async function resize(width) {
    await send("Emulation.setDeviceMetricsOverride",
      { width, height: 900, deviceScaleFactor: 1, mobile: false });
    await run("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 500)))");
  }

  await resize(width);
  await send("Emulation.setEmulatedMedia",
    { features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }] });
  await send("Page.navigate", { url });
  await run(`new Promise((done) => {
    if (document.readyState === "complete") done();
    else addEventListener("load", done);
  })`);
  return { run, picture, resize, close };
}
