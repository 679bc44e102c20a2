// Pictures of the page: node pictures.mjs ADDRESS PHOTO FOLDER writes start.png, light.png, dark.png and phone.png there.
import { launch } from "./chromium.mjs";

const [address, photo, folder] = process.argv.slice(2);
const browser = await launch();

async function open(options) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  await page.goto(address, { waitUntil: "load" });
  return page;
}

async function moves(page) {
  await page.click(".more summary");
  await page.check("#rigged");
}

async function head(page, keys) {
  await page.setInputFiles("#file", photo);
  await page.waitForSelector("#done:not([hidden])");
  await page.focus("#view");
  for (const key of keys) await page.keyboard.press(key);
}

async function shoot(page, name) {
  await page.evaluate(() => document.activeElement.blur());
  await page.waitForFunction(
    () => {
      const now = document.getElementById("view").dataset.drawn;
      const same = window.lastDrawn === now;
      window.lastDrawn = now;
      return same;
    },
    undefined,
    { polling: 600 },
  );
  await page.screenshot({ path: `${folder}/${name}.png` });
  await page.context().close();
}

const start = await open();
await start.click(".more summary");
await shoot(start, "start");

const light = await open();
await head(light, ["ArrowLeft", "ArrowLeft", "ArrowLeft"]);
await shoot(light, "light");

const dark = await open({ colorScheme: "dark" });
await moves(dark);
await head(dark, ["ArrowRight"]);
await dark.focus("#move-brows");
await dark.keyboard.press("End");
await dark.focus("#move-jaw");
for (let step = 0; step < 4; step += 1) await dark.keyboard.press("PageUp");
await shoot(dark, "dark");

const phone = await open({ viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true });
await head(phone, ["ArrowRight", "ArrowRight"]);
await shoot(phone, "phone");

await browser.close();
process.exit(0);
