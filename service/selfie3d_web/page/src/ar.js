// The head in the room: Quick Look on iPhones and iPads, Scene Viewer on Android.
import * as api from "./api.js";
import { $, make } from "./dom.js";

const USDZ = "model/vnd.usdz+zip";
const hasQuickLook = () => document.createElement("a").relList.supports?.("ar") ?? false;
// Scene Viewer is another program: it fetches the file itself, over HTTPS alone and without the page's token.
const hasSceneViewer = () => /\bAndroid\b/.test(navigator.userAgent) && location.protocol === "https:" && !api.hasToken();

let made = { mesh: "", url: "" }; // the newest USDZ, so that a second tap need not wait

/** `get` makes a file: ({options}) => {bytes}; `mesh` says where the GLB of the head on the screen is, from "/" on. */
export function setUpAr(get, mesh) {
  $("ar").addEventListener("click", () => (hasQuickLook() ? quickLook(get, mesh()) : follow(sceneViewer(mesh()))));
}

/** Quick Look needs a file of its own, which is made of the photo. */
export function offerAr(hasPhoto) {
  $("ar").hidden = !(hasQuickLook() ? hasPhoto : hasSceneViewer());
}

async function quickLook(get, mesh) {
  $("ar").disabled = true;
  try {
    if (made.mesh !== mesh) {
      $("files-note").textContent = "Making the file for your room …";
      const { bytes } = await get({ options: { format: "usdz" } });
      URL.revokeObjectURL(made.url);
      made = { mesh, url: URL.createObjectURL(new Blob([bytes], { type: USDZ })) };
      $("files-note").textContent = "";
    }
    follow(made.url, "ar", "head.usdz");
  } catch (error) {
    if (!(error instanceof api.Refusal)) throw error;
    $("files-note").textContent = `In your room: ${error.message || "the server cannot be reached."}`;
  } finally {
    $("ar").disabled = false;
  }
}

function sceneViewer(mesh) {
  const query = new URLSearchParams({ file: location.origin + mesh, mode: "ar_preferred", title: "selfie3d" });
  const parts = ["scheme=https", "package=com.google.android.googlequicksearchbox", "action=android.intent.action.VIEW"];
  parts.push(`S.browser_fallback_url=${encodeURIComponent(location.href)}`);
  return `intent://arvr.google.com/scene-viewer/1.0?${query}#Intent;${parts.join(";")};end;`;
}

/** Safari opens Quick Look only for a link around a picture. */
function follow(href, rel = "", download = "") {
  const link = make("a", { href, hidden: true }, make("img", { alt: "" }));
  if (rel) Object.assign(link, { rel, download });
  document.body.append(link);
  link.click();
  link.remove();
}
