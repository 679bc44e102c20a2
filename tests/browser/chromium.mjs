// The real Chromium of the tests: software WebGL, no network of its own, a camera that shows a test picture.
const tools = new URL("../tools/node_modules/", import.meta.url);
const { default: packed } = await import(new URL("@sparticuz/chromium/build/index.js", tools));
const { chromium } = await import(new URL("playwright-core/index.mjs", tools));

const flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking";
const more = "--disable-component-update --disable-sync --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader";
const camera = "--use-fake-ui-for-media-stream --use-fake-device-for-media-stream";

export async function launch() {
  const args = `${flags} ${more} ${camera}`.split(" ");
  return chromium.launch({ executablePath: await packed.executablePath(), args });
}
