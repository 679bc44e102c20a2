// What people do with the page. test_browser.py names each.
import { readFile } from "node:fs/promises";

const DONE = "#done:not([hidden])";
const TROUBLE = "#trouble:not([hidden])";

/** The canvas's drawn pixels: how many are not empty, and a sum that changes with the picture. */
async function picture(page) {
  await settled(page);
  return page.evaluate(
    () =>
      new Promise((resolve) => {
        const view = document.getElementById("view");
        const before = view.dataset.drawn;
        document.getElementById("light").dispatchEvent(new Event("input")); // draws again
        const look = () => {
          if (view.dataset.drawn === before) return requestAnimationFrame(look);
          const copy = document.createElement("canvas");
          [copy.width, copy.height] = [160, 120];
          const context = copy.getContext("2d");
          context.drawImage(view, 0, 0, copy.width, copy.height);
          const { data } = context.getImageData(0, 0, copy.width, copy.height);
          let filled = 0;
          let sum = 0;
          for (let i = 0; i < data.length; i += 4) {
            if (data[i + 3] > 128) filled += 1;
            sum = (sum * 31 + data[i] + 7 * data[i + 1] + 13 * data[i + 2]) % 1000000007;
          }
          return resolve({ filled: filled / (copy.width * copy.height), sum });
        };
        requestAnimationFrame(look);
      }),
  );
}

/** The red of the drawn pixels in a part of the canvas: left, top, width and height as parts of its own. */
async function reds(page, part) {
  await settled(page);
  return page.evaluate(
    ([left, top, width, height]) =>
      new Promise((resolve) => {
        const view = document.getElementById("view");
        const before = view.dataset.drawn;
        document.getElementById("light").dispatchEvent(new Event("input")); // draws again
        const look = () => {
          if (view.dataset.drawn === before) return requestAnimationFrame(look);
          const copy = document.createElement("canvas");
          [copy.width, copy.height] = [view.width, view.height];
          const context = copy.getContext("2d");
          context.drawImage(view, 0, 0);
          const box = [left * copy.width, top * copy.height, width * copy.width, height * copy.height].map(Math.round);
          return resolve([...context.getImageData(...box).data].filter((_, place) => place % 4 === 0));
        };
        requestAnimationFrame(look);
      }),
    part,
  );
}

/** The part of pixels that differ clearly. */
function changed(one, other) {
  return one.filter((value, place) => Math.abs(value - other[place]) > 12).length / one.length;
}

/** Waits until nothing has been drawn for a while: movements have ended. */
async function settled(page) {
  await page.waitForFunction(() => {
    const now = document.getElementById("view").dataset.drawn;
    const same = window.lastDrawn === now;
    window.lastDrawn = now;
    return same;
  }, undefined, { polling: 400 });
}

async function slide(page, id, value) {
  await page.$eval(`#${id}`, (input, to) => {
    input.value = to;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }, value);
}

async function head(page, file) {
  await page.setInputFiles("#file", file);
  await page.waitForSelector(DONE);
}

async function audit(page, { tools, assert }, where) {
  const source = await readFile(`${tools}/axe-core/axe.min.js`, "utf8");
  await page.evaluate(source); // through the debugger, which the page's policy does not bind
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  assert.deepEqual(violations.map(({ id, nodes }) => `${where}: ${id} ${nodes[0].html}`), []);
}

export const scenarios = {
  async upload({ open, photo, assert }) {
    const page = await open();
    await page.evaluate(() => {
      window.said = [];
      new MutationObserver(() => window.said.push(document.getElementById("status").textContent)).observe(
        document.getElementById("status"),
        { childList: true },
      );
    });
    await head(page, photo("astronaut.jpg"));
    const said = await page.evaluate(() => window.said);
    for (const stage of ["Looking for the face", "Imagining the volume", "Painting it"]) assert.ok(said.includes(stage), stage);
    const first = await picture(page);
    assert.ok(first.filled > 0.1 && first.filled < 0.6, `filled ${first.filled}`);
    const box = await (await page.$("#view")).boundingBox();
    await page.mouse.move(box.x + 300, box.y + 300);
    await page.mouse.down();
    await page.mouse.move(box.x + 420, box.y + 310, { steps: 4 });
    await page.mouse.up();
    const turned = await picture(page);
    assert.notEqual(turned.sum, first.sum);
    await page.mouse.wheel(0, -400);
    const near = await picture(page);
    assert.ok(near.filled > turned.filled * 1.1);
    await page.click("#reset");
    assert.equal((await picture(page)).sum, first.sum);
    assert.match(page.url(), /\/j\/[0-9a-f]{32}$/);
    assert.match(await page.textContent("#kept"), /kept until .*\d{4}.* Nothing leaves this server/);
  },

  async moves(given) {
    const { open, photo, assert } = given;
    const page = await open({ reducedMotion: "reduce" });
    await page.click(".more summary");
    await page.check("#rigged");
    await head(page, photo("astronaut.jpg"));
    assert.equal(await page.textContent("#all-moves-title"), "All 47");
    assert.equal(await page.locator("#all-moves input").count(), 47);
    const [mouth, crown] = [[0.4, 0.45, 0.2, 0.25], [0.3, 0, 0.4, 0.2]];
    const before = { mouth: await reds(page, mouth), crown: await reds(page, crown) };
    assert.ok(new Set(before.mouth).size > 60, "the texture is on the face");
    const start = await page.inputValue("#move-jaw");
    await page.focus("#move-jaw");
    await page.keyboard.press("End");
    assert.equal(await page.inputValue("#shape-jawOpen"), "100", "both sliders of a shape say the same");
    assert.ok(changed(before.mouth, await reds(page, mouth)) > 0.05, "the mouth opens");
    assert.equal(changed(before.crown, await reds(page, crown)), 0, "the crown stays");
    await page.focus("#still");
    await page.keyboard.press("Enter");
    assert.equal(await page.inputValue("#move-jaw"), start);
    assert.deepEqual(await reds(page, mouth), before.mouth, "reset brings the mouth back");
    const all = [0.25, 0.1, 0.5, 0.7];
    const still = await reds(page, all);
    for (const move of ["blink", "smile", "brows", "pucker", "frown", "aside", "eyes"]) {
      await slide(page, `move-${move}`, 100);
      assert.ok(changed(still, await reds(page, all)) > 0.0005, move);
      await page.click("#still");
    }
    assert.deepEqual(await reds(page, all), still);
    await page.click("#all-moves-title");
    await audit(page, given, "head that moves");
    await page.setViewportSize({ width: 320, height: 640 });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "the sliders fit 320 px");
    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#files button:has-text('PLY')")]);
    assert.match(download.suggestedFilename(), /\.ply$/);
    const small = page.locator("#files button").filter({ has: page.getByText("Small GLB", { exact: true }) });
    const [request] = await Promise.all([page.waitForRequest(/compression=meshopt/), small.click()]);
    assert.equal(new URL(request.url()).searchParams.get("rigged"), "true", "the small file moves, too");
  },

  async compressed({ open, photo, assert }) {
    const page = await open({ reducedMotion: "reduce" });
    const bytes = [...(await readFile(photo("astronaut.jpg")))];
    const mouth = [0.4, 0.45, 0.2, 0.25];
    const look = async (compression) => {
      const id = await page.evaluate(
        async ([data, wanted]) => {
          const body = new Blob([new Uint8Array(data)]);
          const path = `/v1/jobs?format=glb&rigged=true&compression=${wanted}`;
          const headers = { "Content-Type": "application/octet-stream" };
          return (await (await fetch(path, { method: "POST", body, headers })).json()).id;
        },
        [bytes, compression],
      );
      await page.goto(new URL(`/j/${id}`, page.url()).href);
      await page.waitForSelector(DONE);
      const still = await reds(page, mouth);
      await page.click("#all-moves-title");
      await slide(page, "shape-jawOpen", 100);
      return { still, open: await reds(page, mouth) };
    };
    const plain = await look("none");
    assert.ok(changed(plain.still, plain.open) > 0.05, "the mouth opens");
    for (const compression of ["quantised", "meshopt"]) {
      const found = await look(compression);
      for (const pose of ["still", "open"]) assert.ok(changed(plain[pose], found[pose]) < 0.01, `${compression}, ${pose}`);
    }
  },

  async choices(given) {
    const { open, photo, assert } = given;
    const page = await open({ viewport: { width: 320, height: 640 } });
    await page.click(".more summary");
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "the choices fit 320 px");
    await page.check("#neutral");
    assert.ok(await page.isDisabled("#face-only"));
    await page.check("#rigged");
    await page.uncheck("#neutral");
    assert.ok(await page.isDisabled("#face-only"));
    await audit(page, given, "choices");
    await page.setInputFiles("#file", ["astronaut.jpg", "mirrored.jpg"].map(photo));
    await page.waitForSelector("#several[open]");
    assert.ok(await page.isEnabled("#one-person"), "a head that moves can be made of several photos");
    await page.click("#several-close");
    await page.uncheck("#rigged");
    await page.check("#face-only");
    await page.setInputFiles("#file", ["astronaut.jpg", "mirrored.jpg"].map(photo));
    await page.waitForSelector("#several[open]");
    assert.ok(await page.isDisabled("#one-person"));
    assert.ok(await page.isVisible("#several-note"));
    await page.click("#several-close");
    assert.ok((await page.isDisabled("#rigged")) && (await page.isDisabled("#neutral")));
    await page.check("#delight");
    const [request] = await Promise.all([page.waitForRequest(/v1\/jobs\?/), head(page, photo("astronaut.jpg"))]);
    const asked = Object.fromEntries(new URL(request.url()).searchParams);
    assert.deepEqual(asked, { all_faces: "false", detail: "standard", delight: "true", extent: "face", format: "glb" });
    assert.ok(await page.isHidden("#moves-box"), "a head without a rig has no expressions to choose");
    assert.ok((await picture(page)).filled > 0.1);
  },

  async looks({ open, photo, assert }) {
    const page = await open({ reducedMotion: "reduce" });
    await head(page, photo("astronaut.jpg"));
    const sums = new Set();
    for (const mode of ["colour", "clay", "wireframe", "confidence"]) {
      await page.check(`[name=mode][value=${mode}]`, { force: true });
      sums.add((await picture(page)).sum);
    }
    assert.equal(sums.size, 4);
    assert.ok(await page.isVisible("#legend"));
    await page.check("#landmarks");
    sums.add((await picture(page)).sum);
    await slide(page, "light", -70);
    sums.add((await picture(page)).sum);
    await page.check("[name=mode][value=colour]", { force: true });
    await page.uncheck("#landmarks");
    await slide(page, "light", 0);
    await slide(page, "overlay", 100);
    await page.waitForFunction(() => document.getElementById("view").dataset.drawn);
    const photoOnly = await picture(page);
    assert.ok(photoOnly.filled > 0.8, `the photo fills the view: ${photoOnly.filled}`);
    sums.add(photoOnly.sum);
    assert.equal(sums.size, 7);
    const stored = await page.evaluate(() => [Object.keys(localStorage), Object.keys(sessionStorage), document.cookie]);
    assert.deepEqual(stored, [["selfie3d.preferences"], [], ""]);
  },

  async faces({ open, photo, assert }) {
    const page = await open({ reducedMotion: "reduce" });
    await page.check("#all-faces");
    await head(page, photo("two.jpg"));
    assert.equal(await page.textContent("#done-title"), "2 heads are ready");
    const first = await picture(page);
    await page.check("[name=face][value='1']", { force: true });
    await page.waitForResponse(/faces\/1\/mesh/).catch(() => {});
    assert.notEqual((await picture(page)).sum, first.sum);
  },

  async heic({ open, photo, assert }) {
    const page = await open();
    await head(page, photo("astronaut.heic"));
    assert.ok((await picture(page)).filled > 0.1);
    await slide(page, "overlay", 50);
    await page.waitForFunction(() => document.getElementById("overlay").disabled);
    assert.match(await page.textContent("#overlay-note"), /cannot show the photo's format/);
    await head(page, photo("astronaut.avif"));
    assert.ok(!(await page.isDisabled("#overlay")));
  },

  async noFace({ open, photo, assert }) {
    const page = await open();
    await page.setInputFiles("#file", photo("coffee.jpg"));
    await page.waitForSelector(TROUBLE);
    assert.equal(await page.textContent("#trouble-title"), "No face in this photo");
    assert.match(await page.textContent("#trouble-tips"), /near enough .* not covered/);
    await head(page, photo("astronaut.jpg"));
  },

  async refusals({ open, photo, assert }) {
    const page = await open();
    for (const [file, title] of [
      ["empty.jpg", "The file is empty"],
      ["text.jpg", "This kind of picture is not read here"],
      ["broken.jpg", "The photo is damaged"],
      ["large.jpg", "The photo is too large"],
    ]) {
      await page.setInputFiles("#file", photo(file));
      await page.waitForFunction((wanted) => document.getElementById("trouble-title").textContent === wanted, title);
    }
    await page.goto(new URL("/j/0123", page.url()).href);
    await page.waitForSelector(TROUBLE);
    assert.equal(await page.textContent("#trouble-title"), "This is no head's address");
  },

  async waiting({ open, photo, tell, assert }) {
    const page = await open();
    await page.setInputFiles("#file", photo("astronaut.jpg"));
    const says = (on, text) => on.waitForFunction((wanted) => document.getElementById("status").textContent === wanted, text);
    const next = "Waiting for a free worker; yours is next";
    await says(page, next);
    await page.reload();
    await says(page, next);
    const behind = await open();
    await behind.setInputFiles("#file", photo("astronaut.jpg"));
    await says(behind, "Waiting for a free worker; about one photo is before yours");
    await behind.click("#cancel");
    await behind.waitForSelector(TROUBLE);
    await tell("cut the way");
    await page.waitForFunction(() => document.getElementById("status").textContent.startsWith("The connection broke"));
    await tell("mend it");
    await says(page, next);
    await tell("let the worker go on");
    await page.waitForSelector(DONE);
    assert.ok((await picture(page)).filled > 0.1);
    assert.ok(await page.isDisabled("#overlay"), "after a reload there is no photo to lay over it");
    const other = await open({}, new URL(page.url()).pathname);
    await other.waitForSelector(DONE);
    assert.ok((await picture(other)).filled > 0.1, "a second tab shows the same head");
  },

  async cancel({ open, photo, tell, assert }) {
    const page = await open();
    await page.setInputFiles("#file", photo("astronaut.jpg"));
    await page.waitForURL(/\/j\//);
    await page.click("#cancel");
    await page.waitForSelector(TROUBLE);
    assert.equal(await page.textContent("#trouble-title"), "Cancelled");
    await tell("cancelled");
    await page.click("#again");
    await page.waitForSelector(DONE);
  },

  async remove({ open, photo, assert, address }) {
    const page = await open();
    await head(page, photo("astronaut.jpg"));
    const job = new URL(page.url()).pathname.slice(3);
    await page.click("#delete");
    await page.waitForSelector("#start:not([hidden])");
    assert.match(await page.textContent("#drop .hint"), /gone from the server/);
    assert.equal((await fetch(`${address}/v1/jobs/${job}`)).status, 404);
    await page.goto(`${address}/j/${job}`);
    await page.waitForSelector(TROUBLE);
    assert.equal(await page.textContent("#trouble-title"), "This head is gone");
  },

  async files({ open, photo, assert }) {
    const page = await open();
    await head(page, photo("astronaut.jpg"));
    const starts = { GLB: "glTF", "Small GLB": "glTF", PLY: "ply\n", OBJ: "#", "OBJ + texture": "PK", USDZ: "PK", STL: "" };
    for (const [name, start] of Object.entries(starts)) {
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.locator("#files button").filter({ has: page.getByText(name, { exact: true }) }).click(),
      ]);
      const bytes = await readFile(await download.path());
      assert.ok(bytes.length > 10_000, `${name} has ${bytes.length} bytes`);
      assert.equal(bytes.subarray(0, start.length).toString(), start, name);
    }
  },

  async ar({ open, photo, assert, address }) {
    const agents = {
      desktop: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
      android: "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
      iphone: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
    };
    const shown = { desktop: false, android: address.startsWith("https:"), iphone: true };
    for (const [kind, userAgent] of Object.entries(agents)) {
      const page = await open({ userAgent, ignoreHTTPSErrors: true }, "/docs");
      await page.addInitScript((isApple) => {
        const supports = DOMTokenList.prototype.supports; // Chromium has no Quick Look; Safari says so in this way
        DOMTokenList.prototype.supports = function (word) {
          return word === "ar" ? isApple : supports.call(this, word);
        };
        const { createObjectURL } = URL;
        URL.createObjectURL = (blob) => createObjectURL.call(URL, (window.blob = blob));
        addEventListener("click", (event) => {
          const link = event.target.closest("a[hidden]");
          if (!link || !/^(intent|blob):/.test(link.href)) return;
          event.preventDefault();
          window.followed = { href: link.href, rel: link.rel, picture: link.firstElementChild?.tagName, download: link.download };
        }, true);
      }, kind === "iphone");
      await page.goto(`${address}/`);
      await head(page, photo("astronaut.jpg"));
      assert.equal(await page.isVisible("#ar"), shown[kind], kind);
      if (!shown[kind]) continue;
      await page.click("#ar");
      const followed = await page.waitForFunction(() => window.followed).then((found) => found.jsonValue());
      if (kind === "android") {
        const file = encodeURIComponent(`${address}/v1/jobs/${new URL(page.url()).pathname.slice(3)}/faces/0/mesh`);
        assert.ok(followed.href.startsWith(`intent://arvr.google.com/scene-viewer/1.0?file=${file}&mode=ar_preferred`), followed.href);
        assert.ok(followed.href.includes(`S.browser_fallback_url=${encodeURIComponent(page.url())};end;`), followed.href);
        continue;
      }
      assert.deepEqual([followed.rel, followed.picture, followed.download], ["ar", "IMG", "head.usdz"]);
      const start = await page.evaluate(async () => [window.blob.type, await window.blob.slice(0, 2).text()]);
      assert.deepEqual(start, ["model/vnd.usdz+zip", "PK"]);
      await page.reload(); // the photo is gone, and with it what a USDZ could be made of
      await page.waitForSelector(DONE);
      assert.equal(await page.isVisible("#ar"), false);
    }
  },

  async phone({ open, photo, assert }) {
    const page = await open({ viewport: { width: 320, height: 640 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true });
    const fits = () => document.documentElement.scrollWidth <= innerWidth;
    assert.ok(await page.evaluate(fits), "the start fits 320 px");
    assert.equal(await page.getAttribute("#capture", "capture"), "user");
    await page.setInputFiles("#capture", photo("astronaut.jpg"));
    await page.waitForSelector(DONE);
    assert.ok(await page.evaluate(fits), "the head fits 320 px");
    const first = await picture(page);
    const touch = await page.context().newCDPSession(page);
    const send = (type, ...points) => touch.send("Input.dispatchTouchEvent", { type, touchPoints: points.map(([x, y], id) => ({ x, y, id })) });
    await send("touchStart", [160, 220]);
    await send("touchMove", [210, 225]);
    await send("touchEnd");
    const turned = await picture(page);
    assert.notEqual(turned.sum, first.sum, "a finger turns it");
    await send("touchStart", [140, 220], [180, 220]);
    await send("touchMove", [100, 220], [220, 220]);
    await send("touchEnd");
    assert.ok((await picture(page)).filled > turned.filled * 1.1, "two fingers bring it nearer");
  },

  async wide({ open, photo, assert }) {
    const page = await open({ viewport: { width: 2560, height: 1440 } });
    await head(page, photo("astronaut.jpg"));
    const box = await (await page.$("#stage")).boundingBox();
    assert.ok(box.width > 1600 && box.height > 1200 && box.y + box.height <= 1440, JSON.stringify(box));
  },

  async keyboard({ open, photo, assert }) {
    const page = await open();
    const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
    const tabTo = async (id) => {
      for (let i = 0; i < 40; i += 1) {
        if (await page.evaluate((wanted) => document.activeElement?.id === wanted, id)) return;
        await press("Tab");
      }
      assert.fail(`Tab does not lead to ${id}`);
    };
    const chosen = page.waitForEvent("filechooser"); // before the tabbing: the browser must have heard of it when Enter comes
    await tabTo("choose");
    await press("Enter");
    await (await chosen).setFiles(photo("astronaut.jpg"));
    await page.waitForSelector(DONE);
    assert.equal(await page.evaluate(() => document.activeElement.id), "done-title");
    const first = await picture(page);
    await page.evaluate(() => document.body.focus());
    await page.focus("#delete");
    await page.keyboard.press("Shift+Tab");
    await page.focus("a.mark");
    await tabTo("view");
    await press("ArrowLeft", "ArrowUp", "+");
    const turned = await picture(page);
    assert.notEqual(turned.sum, first.sum);
    await press("0");
    assert.equal((await picture(page)).sum, first.sum);
    await tabTo("to-phone").catch(() => page.focus("#to-phone"));
    await press("Enter");
    await page.waitForSelector("#phone[open]");
    await press("Escape");
    assert.ok(!(await page.isVisible("#phone")));
  },

  async accessible(given) {
    const { open, photo } = given;
    for (const colorScheme of ["light", "dark"]) {
      const page = await open({ colorScheme, reducedMotion: "reduce" });
      await audit(page, given, `${colorScheme} start`);
      await head(page, photo("astronaut.jpg"));
      await page.check("[name=mode][value=confidence]", { force: true });
      await audit(page, given, `${colorScheme} head`);
      await page.click("#to-phone");
      await audit(page, given, `${colorScheme} code`);
      await page.click("#phone-close");
      await page.setInputFiles("#file", photo("coffee.jpg"));
      await page.waitForSelector(TROUBLE);
      await audit(page, given, `${colorScheme} trouble`);
      await page.goto(new URL("/docs", page.url()).href);
      await page.waitForSelector(".operation");
      await audit(page, given, `${colorScheme} API`);
      await page.context().close();
    }
  },

  async person({ open, photo, assert }) {
    const page = await open();
    const files = ["coffee.jpg", "astronaut.jpg", "mirrored.jpg"].map(photo);
    await page.setInputFiles("#file", files);
    await page.waitForSelector("#several[open]");
    assert.match(await page.textContent("#several-title"), /these 3 photos of one person/);
    await page.click("#several-close");
    assert.ok(await page.isVisible("#start"));
    await page.setInputFiles("#file", files);
    await page.click("#one-person");
    await page.waitForSelector(DONE);
    const views = await page.$$eval("#views li", (items) => items.map((item) => item.textContent));
    assert.equal(views.length, 3);
    assert.equal(views[0], "Photo 1 was left out: no face was found in it");
    for (const text of views.slice(1)) assert.match(text, /^Photo [23]: \d+ % of the shape$/);
    assert.equal(await page.isVisible("#files button:has-text('STL')"), false);
    const plain = await picture(page);
    await slide(page, "overlay", 100); // the photo over which the head is laid, not the first one
    assert.notEqual((await picture(page)).sum, plain.sum);
    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#files button:has-text('PLY')")]);
    assert.match(download.suggestedFilename(), /\.ply$/);
    await page.click("#new-photo");
    await page.setInputFiles("#file", [photo("astronaut.jpg"), photo("coffee.jpg")]);
    await page.click("#first-photo");
    await page.waitForSelector(DONE);
    assert.ok(await page.isHidden("#views-box"));
  },

  async drop({ open, photo, assert }) {
    const page = await open();
    const give = async (kind) => {
      const bytes = [...(await readFile(photo("astronaut.jpg")))];
      await page.evaluate(([type, data]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(data)], "me.jpg", { type: "image/jpeg" }));
        const event = type === "paste" ? new ClipboardEvent("paste", { clipboardData: transfer }) : new DragEvent("drop", { dataTransfer: transfer, cancelable: true });
        dispatchEvent(event);
      }, [kind, bytes]);
      await page.waitForSelector(DONE);
      return page.url();
    };
    const dropped = await give("drop");
    await page.click("#new-photo");
    assert.notEqual(await give("paste"), dropped);
  },

  async camera({ open, assert }) {
    const page = await open({ permissions: ["camera"] });
    await page.click("#take");
    await page.waitForSelector("#shoot:not([disabled])");
    const [request] = await Promise.all([page.waitForRequest(/v1\/jobs\?/), page.click("#shoot")]);
    assert.equal(request.method(), "POST");
    await page.waitForSelector(TROUBLE); // the camera's test picture shows no face
    assert.equal(await page.textContent("#trouble-title"), "No face in this photo");
    assert.equal(await page.evaluate(() => document.getElementById("video").srcObject), null, "the camera is off again");
  },

  async token({ open, photo, tell, assert }) {
    const page = await open();
    await page.setInputFiles("#file", photo("astronaut.jpg"));
    await page.waitForSelector("#token[open]");
    await page.fill("#token-value", "wrong");
    await page.click("#token-form [type=submit]");
    await page.waitForFunction(() => document.getElementById("token-text").textContent.startsWith("It does not know"));
    await page.fill("#token-value", await tell("which token?"));
    await page.keyboard.press("Enter");
    await page.waitForSelector(DONE);
    assert.deepEqual(await page.evaluate(() => [JSON.stringify(localStorage).includes("s3d_"), document.cookie]), [false, ""]);
  },
};
