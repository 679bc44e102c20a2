// What kind of head somebody wants. Choices that the service would refuse together cannot be made together.
import { $ } from "./dom.js";

const WHOLE = ["rigged", "neutral"]; // heads, never faces

export function setUpChoices() {
  for (const id of [...WHOLE, "face-only"]) $(id).addEventListener("change", exclude);
  exclude(); // browsers may remember what was ticked
}

/** The options of a job with a photo, or with several of one person. */
export function choices(several) {
  const options = $("delight").checked ? { delight: true } : {};
  for (const id of WHOLE) if ($(id).checked) options[id] = true;
  return !several && $("face-only").checked ? { ...options, extent: "face" } : options;
}

/** Whether what is chosen can be made of one photo only. */
export function needsOnePhoto() {
  return $("face-only").checked;
}

/** The options with which another file of the same head is made: only a GLB moves, and a solid is the face. */
export function optionsFor(format, { rigged, neutral, ...rest }) {
  if (format === "glb") return { ...rest, ...(neutral && { neutral }), ...(rigged && { rigged }) };
  if (format === "stl") return rest;
  return { ...rest, ...(neutral && { neutral }), ...(rigged && { topology: "head" }) };
}

function exclude() {
  const whole = WHOLE.some((id) => $(id).checked);
  const face = $("face-only").checked && !whole;
  $("face-only").checked = face;
  $("face-only").disabled = whole;
  for (const id of WHOLE) $(id).disabled = face;
}
