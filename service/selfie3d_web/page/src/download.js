// The same head in every format. The service writes a file a job, so other formats are a job of their own.
import * as api from "./api.js";
import { $, make, save } from "./dom.js";

const FILES = [
  { name: "GLB", text: "for the web and AR", options: { format: "glb" } },
  { name: "Small GLB", text: "meshopt: for the web", options: { format: "glb", compression: "meshopt" } },
  { name: "PLY", text: "points, colours, source", options: { format: "ply" } },
  { name: "OBJ", text: "colours by vertex", options: { format: "obj" } },
  { name: "OBJ + texture", text: "a ZIP", options: { format: "obj", textured: true } },
  { name: "USDZ", text: "AR on iPhone, iPad", options: { format: "usdz" } },
  { name: "STL", text: "a solid for printing", options: { format: "stl" } },
];
const OWN = FILES[0]; // what the viewer has

/** `get` makes the file: ({name, options}) => {bytes, extension}. */
export function setUpDownload(get) {
  $("files").replaceChildren(
    ...FILES.map((file) => {
      const button = make("button", { type: "button" }, make("b", {}, file.name), make("small", {}, file.text));
      button.addEventListener("click", () => run(button, file, get));
      return button;
    }),
  );
}

/**
 * Only the viewer's own file is there when the photo is not; a solid is made of one photo alone, and a head with the
 * head model's vertices always has a texture.
 */
export function offerFiles(hasPhoto, { one_person: several, rigged, neutral }) {
  for (const [index, button] of [...$("files").children].entries()) {
    button.disabled = !hasPhoto && FILES[index] !== OWN;
    const { format, textured } = FILES[index].options;
    button.hidden = Boolean((several && format === "stl") || ((rigged || neutral) && format === "obj" && !textured));
  }
  $("files-note").textContent = hasPhoto ? "" : "The photo is no longer here. Choose it again for the other formats.";
}

async function run(button, file, get) {
  button.disabled = true;
  const note = $("files-note");
  note.textContent = file === OWN ? "" : `Making the ${file.name} file …`;
  try {
    const { bytes, extension } = await get(file);
    save(bytes, `head${extension}`);
    note.textContent = `${file.name}: saved.`;
  } catch (error) {
    if (!(error instanceof api.Refusal)) throw error;
    note.textContent = `${file.name}: ${error.message || "the server cannot be reached."}`;
  }
  button.disabled = false;
}
