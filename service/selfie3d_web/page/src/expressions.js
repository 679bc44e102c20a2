// Sliders that move a rigged face: a few that move what belongs together, and every shape of its own.
import { $, make } from "./dom.js";
import { shapeText } from "./words.js";

const both = (name) => [`${name}Left`, `${name}Right`];
const MAIN = [ // towards the slider's right, and towards its left
  { id: "blink", text: "Blink", up: both("eyeBlink"), down: [] },
  { id: "smile", text: "Smile", up: both("mouthSmile"), down: [] },
  { id: "jaw", text: "Jaw open", up: ["jawOpen"], down: [] },
  { id: "brows", text: "Brows up", up: ["browInnerUp", ...both("browOuterUp")], down: [] },
  { id: "pucker", text: "Pucker", up: ["mouthPucker"], down: [] },
  { id: "frown", text: "Frown", up: both("mouthFrown"), down: [] },
  { id: "aside", text: "Eyes aside", up: ["eyeLookOutLeft", "eyeLookInRight"], down: ["eyeLookInLeft", "eyeLookOutRight"] },
  { id: "eyes", text: "Eyes up", up: both("eyeLookUp"), down: both("eyeLookDown") },
];

let weights = {}; // of all shapes and looks that are not 0, by name
let start = {};
let pose = () => {};
let controls = [];

export function setUpExpressions() {
  $("still").addEventListener("click", () => change({ ...start }));
}

/** Offers what the rig can do, null: nothing; `onPose` gets the weights by name after each change. */
export function showExpressions(rig, onPose) {
  $("moves-box").hidden = !rig;
  controls = [];
  if (!rig) return;
  start = { ...rig.rest };
  pose = onPose;
  const own = rig.names.map((name) => ({ id: name, text: shapeText(name), up: [name], down: [] }));
  $("moves").replaceChildren(...MAIN.flatMap((move) => slider(`move-${move.id}`, move)));
  $("all-moves").replaceChildren(...own.flatMap((move) => slider(`shape-${move.id}`, move)));
  $("all-moves-title").textContent = `All ${own.length}`;
  weights = { ...start };
  refresh();
}

function slider(id, { text, up, down }) {
  const input = make("input", { type: "range", id, min: down.length ? -100 : 0, max: 100, step: 1 });
  input.addEventListener("input", () => {
    const value = Number(input.value) / 100;
    const wanted = { ...weights };
    for (const name of up) wanted[name] = Math.max(0, value);
    for (const name of down) wanted[name] = Math.max(0, -value);
    change(wanted, input);
  });
  controls.push({ input, up, down });
  return [make("label", { htmlFor: id }, text), input];
}

/** `by` is the slider in somebody's hand, which stays where it is. */
function change(wanted, by = null) {
  weights = wanted;
  refresh(by);
  pose(weights);
}

function refresh(by = null) {
  for (const { input, up, down } of controls) {
    if (input !== by) input.value = String(Math.round(100 * (mean(up) - mean(down))));
  }
}

function mean(names) {
  return names.reduce((sum, name) => sum + (weights[name] ?? 0), 0) / (names.length || 1);
}
