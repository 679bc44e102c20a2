// How long the page takes: node measure.mjs ADDRESS PHOTO. Each line on stdin is one more visit with an empty cache;
// each is answered with a line of JSON: {interactive, bytes, requests, head}, times in ms.
import { createInterface } from "node:readline";
import { launch } from "./chromium.mjs";

const [address, photo] = process.argv.slice(2);
const browser = await launch();

/** From the choice of a file to the first picture of its head. */
function watchForHead() {
  document.addEventListener("change", ({ target }) => target.id === "file" && (window.chosen = performance.now()), true);
  const look = () => {
    if (document.getElementById("done")?.hidden !== false) return requestAnimationFrame(look);
    // This frame draws the head, after us; the next but one begins when it is on its way to the screen.
    return requestAnimationFrame(() => requestAnimationFrame(() => (window.head = performance.now() - window.chosen)));
  };
  requestAnimationFrame(look);
}

async function visit() {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  await page.addInitScript(watchForHead);
  await page.goto(address, { waitUntil: "load" });
  const loaded = await page.evaluate(() => {
    const [navigation] = performance.getEntriesByType("navigation");
    const all = [navigation, ...performance.getEntriesByType("resource")];
    const bytes = all.reduce((sum, { transferSize }) => sum + transferSize, 0);
    return { interactive: navigation.domContentLoadedEventEnd, bytes, requests: all.length };
  });
  await page.setInputFiles("#file", photo);
  await page.waitForFunction(() => window.head);
  const head = await page.evaluate(() => window.head);
  await context.close();
  return { ...loaded, head };
}

for await (const _ of createInterface({ input: process.stdin })) console.log(JSON.stringify(await visit()));
await browser.close();
process.exit(0);
