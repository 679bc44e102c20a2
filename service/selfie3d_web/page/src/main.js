// From a photo to a head on the screen.
import * as api from "./api.js";
import { offerAr, setUpAr } from "./ar.js";
import { setUpCamera } from "./camera.js";
import { choices, needsOnePhoto, optionsFor, setUpChoices } from "./choices.js";
import { $, make, only } from "./dom.js";
import { offerFiles, setUpDownload } from "./download.js";
import { setUpExpressions, showExpressions } from "./expressions.js";
import { parseGlb } from "./glb.js";
import { Line } from "./line.js";
import { setUpPhone } from "./phone.js";
import { prefer, preferences } from "./preferences.js";
import { mainPhoto, setUpSeveral, showViews } from "./several.js";
import { askToken, setUpToken } from "./token.js";
import { Viewer } from "./viewer.js";
import { STAGES, keptText, lineText, progressText, trouble } from "./words.js";

const MAX_PHOTO_BYTES = 20 * 1024 * 1024;
const VIEW_FORMAT = "glb";

/**
 * What is on the screen. `photos` were sent, `photo` is the one over which the head is laid; `extra` holds the ids of jobs
 * made for other formats.
 */
const now = { job: null, face: 0, photo: null, photos: [], options: {}, extra: [], meshes: new Map(), leave: new AbortController() };
let viewer = null;

let take = () => {}; // photos that somebody chose, dropped or pasted

function setUp() {
  take = setUpSeveral(submit, needsOnePhoto);
  const liked = preferences();
  $("all-faces").checked = liked.allFaces;
  $("detail").value = liked.detail;
  $("landmarks").checked = liked.landmarks;
  $("choose").addEventListener("click", () => $("file").click());
  $("another").addEventListener("click", () => $("file").click());
  $("again").addEventListener("click", () => (now.photo ? submit(now.photos) : route()));
  $("new-photo").addEventListener("click", () => goHome());
  $("cancel").addEventListener("click", cancel);
  $("delete").addEventListener("click", remove);
  $("file").addEventListener("change", () => {
    take($("file").files);
    $("file").value = "";
  });
  document.querySelector(".mark").addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    goHome();
  });
  setUpChoices();
  setUpDrop();
  setUpExpressions();
  setUpViewerControls(liked);
  setUpCamera((photo) => submit([photo]));
  setUpToken();
  setUpPhone();
  setUpDownload(makeFile);
  setUpAr(makeFile, () => `/v1/jobs/${now.job.id}/faces/${now.job.faces[now.face].index}/mesh`);
  $("steps").replaceChildren(...Object.entries(STAGES).map(([stage, text]) => make("li", { id: `step-${stage}` }, text)));
  addEventListener("popstate", route);
  route();
}

/** Shows what the address says. */
function route() {
  now.leave.abort();
  now.leave = new AbortController();
  const id = /^\/j\/([^/]+)$/.exec(location.pathname)?.[1];
  document.body.classList.toggle("at-work", Boolean(id));
  if (!id) return showStart();
  if (now.job?.id !== id) forget();
  showProgress();
  return attempt(() => follow(id));
}

function goHome() {
  forget();
  history.pushState(null, "", "/");
  route();
  $("choose").focus();
}

/** Forgets the photo and its head. */
function forget() {
  Object.assign(now, { job: null, face: 0, photo: null, photos: [], options: {}, extra: [], meshes: new Map() });
  $("thumb").hidden = true;
  viewer?.clear();
  viewer?.setPhoto(null);
}

/** Sends a photo, or several of one person, and follows the job. */
function submit(photos) {
  now.leave.abort();
  now.leave = new AbortController();
  forget();
  [now.photo] = now.photos = photos;
  const detail = $("detail").value;
  const several = photos.length > 1;
  now.options = { ...(several ? { one_person: true } : { all_faces: $("all-faces").checked }), detail, ...choices(several) };
  prefer({ allFaces: $("all-faces").checked, detail });
  showProgress();
  showThumb(now.photo);
  const key = api.newKey();
  return attempt(async () => {
    if (photos.some(({ size }) => size > MAX_PHOTO_BYTES)) throw new api.Refusal(413, { reason: "PHOTO_TOO_LARGE" });
    const options = { ...now.options, format: VIEW_FORMAT };
    const job = await api.createJob(photos, options, key, (part) => setProgress(part * 0.02, "Sending the photo"));
    history.pushState(null, "", `/j/${job.id}`);
    await follow(job.id);
  });
}

/** Watches a job to its end and shows what became of it. */
async function follow(id) {
  const { signal } = now.leave;
  setTimeout(warmViewer);
  const line = new Line(id, (place) => setProgress(null, lineText(place)));
  signal.addEventListener("abort", () => line.leave());
  let last = null;
  const show = (event) => {
    last = event;
    setProgress(event.progress, progressText(event), event.stage);
    if (event.state === "queued") line.enter();
    else line.leave();
  };
  const onCut = () => {
    line.leave();
    setProgress(null, "The connection broke; finding it again");
  };
  const job = await api.watch(id, { signal, onEvent: show, onCut, onBack: () => last && show(last) });
  if (signal.aborted) return;
  now.job = job;
  if (job.state !== "succeeded") {
    const { reason, message } = job.error ?? { reason: "CANCELLED", message: "" };
    throw new api.Refusal(200, { reason, detail: message });
  }
  if (job.views.length && now.photos.length) now.photo = now.photos[mainPhoto(job.views)];
  setProgress(1, "Fetching the head");
  await showFace(0);
  if (!signal.aborted) showDone();
}

/** Runs something that talks to the server; asks for a token when it wants one, and shows what went wrong. */
async function attempt(work) {
  const { signal } = now.leave;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted) return null;
      const wantsToken = error.status === 401 && (await askToken());
      if (wantsToken) continue;
      if (!(error instanceof api.Refusal)) console.error(error);
      return showTrouble(error);
    }
  }
}

async function showFace(index) {
  const face = now.job.faces[index];
  const { signal } = now.leave;
  if (!now.meshes.has(index)) now.meshes.set(index, await api.mesh(now.job.id, face.index));
  now.face = index;
  const arrays = await parseGlb(now.meshes.get(index));
  if (signal.aborted || now.face !== index) return;
  viewer ??= openViewer();
  viewer.show(arrays, face);
  showExpressions(arrays.rig, (weights) => viewer.pose(weights));
  viewer.mode = document.querySelector("[name=mode]:checked").value;
  viewer.landmarks = $("landmarks").checked;
}

function warmViewer() {
  try {
    viewer ??= openViewer();
    viewer.warm();
  } catch (error) {
    console.warn(error); // showFace fails, too, and tells of it
  }
}

function openViewer() {
  const opened = new Viewer($("view"));
  opened.onDraw = () => ($("view").dataset.drawn = String(Number($("view").dataset.drawn ?? 0) + 1));
  return opened;
}

function showStart() {
  document.title = "selfie3d";
  only($("start"), $("start"), $("work"));
}

function showProgress() {
  document.title = "Making the head – selfie3d";
  document.body.classList.add("at-work");
  only($("work"), $("start"), $("work"));
  only($("progress"), $("progress"), $("trouble"), $("done"));
  $("stage").dataset.state = "busy";
  $("tools").hidden = $("gesture").hidden = true;
  setProgress(0, now.photo ? "Sending the photo" : "Looking it up");
  $("work-title").focus({ preventScroll: true });
}

function showDone() {
  document.title = "A head – selfie3d";
  const several = now.job.faces.length > 1;
  $("faces-box").hidden = !several;
  $("faces").replaceChildren(...(several ? now.job.faces.map(faceChoice) : []));
  $("kept").textContent = keptText(now.job.expire_time);
  showViews(now.job.views);
  offerFiles(Boolean(now.photo), now.options);
  offerAr(Boolean(now.photo));
  $("overlay").disabled = !now.photo;
  $("overlay-note").textContent = now.photo
    ? "Lays your photo over the head."
    : "The photo is not kept, so there is none to lay over the head.";
  $("overlay").value = $("light").value = 0;
  viewer.light = 0;
  viewer.orbit.reset();
  $("thumb").hidden = true;
  $("tools").hidden = $("gesture").hidden = false;
  $("stage").dataset.state = "done";
  only($("done"), $("progress"), $("trouble"), $("done"));
  $("done-title").textContent = several ? `${now.job.faces.length} heads are ready` : "The head is ready";
  $("done-title").focus({ preventScroll: true });
}

function showTrouble(error) {
  const { title, text, tips, again } = trouble(error.reason, error.message);
  document.title = `${title} – selfie3d`;
  $("trouble-title").textContent = title;
  $("trouble-text").textContent = text;
  $("trouble-tips").replaceChildren(...tips.map((tip) => make("li", {}, tip)));
  $("again").hidden = !again;
  $("trouble-code").textContent = error.reason ? `Code: ${error.reason}` : "";
  $("stage").dataset.state = "trouble";
  only($("trouble"), $("progress"), $("trouble"), $("done"));
  $("trouble-title").focus({ preventScroll: true });
}

/** `part` 0 to 1, null: unchanged. */
function setProgress(part, text, stage) {
  if ($("status").textContent !== text) $("status").textContent = text;
  if (part !== null) {
    $("fill").setAttribute("width", String(part * 100));
    $("track").setAttribute("aria-valuenow", String(Math.round(part * 100)));
  }
  const names = Object.keys(STAGES);
  const at = part === 1 ? names.length : names.indexOf(stage);
  for (const [index, name] of names.entries()) {
    $(`step-${name}`).dataset.state = index < at ? "done" : index === at ? "now" : "next";
  }
}

async function showThumb(photo) {
  const thumb = $("thumb");
  const url = URL.createObjectURL(photo);
  thumb.onload = () => URL.revokeObjectURL(url);
  thumb.onerror = () => {
    URL.revokeObjectURL(url);
    thumb.hidden = true;
  };
  thumb.src = url;
  thumb.hidden = false;
}

function faceChoice(face, index) {
  const input = make("input", { type: "radio", name: "face", value: String(index), checked: index === now.face });
  input.addEventListener("change", () => {
    $("overlay").value = 0;
    viewer.overlay = 0;
    attempt(() => showFace(index));
  });
  return make("label", {}, input, make("span", {}, String(index + 1)));
}

function setUpViewerControls(liked) {
  for (const input of document.querySelectorAll("[name=mode]")) {
    input.checked = input.value === liked.mode;
    input.addEventListener("change", () => {
      $("legend").hidden = input.value !== "confidence";
      viewer.mode = input.value;
      prefer({ mode: input.value });
    });
  }
  $("legend").hidden = liked.mode !== "confidence";
  $("light").addEventListener("input", () => (viewer.light = $("light").value / 100));
  $("overlay").addEventListener("input", overlay);
  $("landmarks").addEventListener("change", () => {
    viewer.landmarks = $("landmarks").checked;
    prefer({ landmarks: $("landmarks").checked });
  });
  $("zoom-in").addEventListener("click", () => viewer.orbit.zoomBy(1.25));
  $("zoom-out").addEventListener("click", () => viewer.orbit.zoomBy(0.8));
  $("reset").addEventListener("click", () => viewer.orbit.reset());
  $("view").addEventListener("pointerdown", () => {
    $("gesture").hidden = true;
    if (Number($("overlay").value) > 0) {
      $("overlay").value = 0;
      viewer.overlay = 0;
    }
  });
}

let laid = null; // the photo that the viewer has

async function overlay() {
  if (laid !== now.photo) {
    const picture = await createImageBitmap(now.photo).catch(() => null); // not every browser reads HEIC
    if (!picture) {
      $("overlay").value = 0;
      $("overlay").disabled = true;
      $("overlay-note").textContent = "This browser cannot show the photo's format, so it cannot be laid over the head.";
      return;
    }
    laid = now.photo;
    viewer.setPhoto(picture);
  }
  viewer.overlay = $("overlay").value / 100;
}

/** A file in one of the formats: {bytes, extension}. Raises Refusal. */
async function makeFile({ options }) {
  if (options.format === VIEW_FORMAT && !options.compression) return { bytes: now.meshes.get(now.face), extension: `.${VIEW_FORMAT}` };
  const made = await api.createJob(now.photos, { ...optionsFor(options.format, now.options), ...options }, api.newKey(), () => {});
  now.extra.push(made.id);
  const job = await api.watch(made.id, { signal: now.leave.signal, onEvent: () => {}, onCut: () => {}, onBack: () => {} });
  if (job.state !== "succeeded") throw new api.Refusal(200, { reason: job.error?.reason, detail: job.error?.message });
  const { index, file } = job.faces[now.face];
  return { bytes: await api.mesh(job.id, index), extension: file.extension };
}

async function cancel() {
  const id = /^\/j\/([^/]+)$/.exec(location.pathname)?.[1];
  if (id) return attempt(() => api.call("POST", `/v1/jobs/${id}/cancel`)); // the watch then shows the end
  return goHome();
}

async function remove() {
  const ids = [now.job.id, ...now.extra];
  await attempt(async () => {
    for (const id of ids) {
      await api.call("DELETE", `/v1/jobs/${id}`).catch((error) => {
        if (error.reason !== "JOB_NOT_FOUND") throw error;
      });
    }
    goHome();
    $("drop").querySelector(".hint").textContent = "Deleted: the head is gone from the server. Choose, drop or paste the next photo.";
  });
}

function setUpDrop() {
  const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  let depth = 0;
  addEventListener("dragenter", (event) => holdsFiles(event) && ((depth += 1), ($("veil").hidden = false)));
  addEventListener("dragleave", (event) => holdsFiles(event) && (depth -= 1) <= 0 && ($("veil").hidden = true));
  addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    depth = 0;
    $("veil").hidden = true;
    take(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => {
    take([...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/")));
  });
}

setUp();
