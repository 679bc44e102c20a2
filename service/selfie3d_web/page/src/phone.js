// This page's address as a QR code, so that a phone can go on with it.
import { generate } from "lean-qr";
import { $ } from "./dom.js";

const LOOPBACK = /^(localhost|127\.|\[::1\])/;

export function setUpPhone() {
  $("to-phone").addEventListener("click", open);
  $("phone-close").addEventListener("click", () => $("phone").close());
  $("copy").addEventListener("click", copy);
}

function open() {
  generate(location.href).toCanvas($("code"), { on: [0, 0, 0, 255], off: [255, 255, 255, 255], padX: 3, padY: 3 });
  $("address").textContent = location.href;
  $("phone-text").textContent = LOOPBACK.test(location.hostname)
    ? "This address works on this computer alone. For a phone in the same network, the server must listen there: see SELFIE3D_WEB_LISTEN in the manual."
    : "Point the phone's camera at it. Whoever has the address can see the head until it is deleted.";
  $("copy").textContent = "Copy the address";
  $("copy").hidden = !navigator.clipboard;
  $("phone").showModal();
}

async function copy() {
  await navigator.clipboard.writeText(location.href).then(
    () => ($("copy").textContent = "Copied"),
    () => ($("copy").textContent = "The browser does not allow it"),
  );
}
