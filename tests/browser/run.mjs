// One scenario in a real Chromium: node run.mjs SCENARIO ADDRESS FOLDER. Ends with 0 when all of it held.
// `tell(line)` writes a line and waits for one: the test does something in between.
import { createInterface } from "node:readline";
import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { launch } from "./chromium.mjs";

const tools = new URL("../tools/node_modules/", import.meta.url);
const { scenarios } = await import("./scenarios.mjs");

const [name, address, folder] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function tell(line) {
  console.log(line);
  return (await lines.next()).value;
}

const browser = await launch();
const strays = [];

/** A page in a context of its own, watched: nothing may come from elsewhere, break the policy or throw. */
async function open(options = {}, path = "/") {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, acceptDownloads: true, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(`violation of ${event.violatedDirective}: ${event.blockedURI}`);
    });
  });
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(address) && !/^(blob|data):/.test(url)) strays.push(`request to ${url}`);
  });
  page.on("console", (message) => {
    const text = message.text();
    if (message.type() === "error" && !/Failed to load resource/.test(text)) strays.push(text);
  });
  page.on("pageerror", (error) => strays.push(error.stack));
  await page.goto(address + path);
  return page;
}

try {
  await scenarios[name]({ open, tell, folder, address, photo: (file) => join(folder, file), assert, tools: fileURLToPath(tools) });
  assert.deepEqual(strays, []);
} finally {
  await browser.close();
}
process.exit(0);
