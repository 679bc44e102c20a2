// A photo from the camera: the phone's own app, or a preview with an outline of a face.
import { $ } from "./dom.js";

const WANTED = { video: { facingMode: "user", width: { ideal: 1920 }, height: { ideal: 1440 } }, audio: false };
const QUALITY = 0.92;
const REFUSALS = {
  NotAllowedError: "The browser may not use the camera. Allow it beside the address, or choose a photo.",
  NotFoundError: "No camera was found. Choose a photo instead.",
  NotReadableError: "Another program uses the camera. Close it, or choose a photo.",
};

let stream = null;
let onPhoto = () => {};

/** Wires the button up; it is hidden where there is no way to a camera. */
export function setUpCamera(handler) {
  onPhoto = handler;
  const phone = matchMedia("(pointer: coarse)").matches;
  const preview = Boolean(navigator.mediaDevices?.getUserMedia); // only where the page came securely
  $("take").hidden = !phone && !preview;
  $("take").addEventListener("click", () => (phone ? $("capture").click() : openPreview()));
  $("capture").addEventListener("change", () => {
    const [photo] = $("capture").files;
    if (photo) onPhoto(photo);
    $("capture").value = "";
  });
  $("shoot").addEventListener("click", shoot);
  $("camera-close").addEventListener("click", () => $("camera").close());
  $("camera").addEventListener("close", stop);
}

async function openPreview() {
  $("shoot").disabled = true;
  $("camera-text").textContent = "Look into the camera and fill the outline.";
  $("camera").showModal();
  try {
    const opened = await navigator.mediaDevices.getUserMedia(WANTED);
    stream = opened;
    if (!$("camera").open) return stop();
    $("video").srcObject = stream;
    await $("video").play();
    $("shoot").disabled = false;
    $("shoot").focus();
  } catch (error) {
    $("camera-text").textContent = REFUSALS[error.name] ?? "The camera does not work. Choose a photo instead.";
  }
}

function shoot() {
  const video = $("video");
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0); // as others see one, not as the mirror shows it
  canvas.toBlob(
    (blob) => {
      $("camera").close();
      onPhoto(new File([blob], "selfie.jpg", { type: blob.type }));
    },
    "image/jpeg",
    QUALITY,
  );
}

function stop() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  $("video").srcObject = null;
}
