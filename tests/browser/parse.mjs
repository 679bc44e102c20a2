// What the page's own reader makes of GLB files: node parse.mjs FILE... Prints JSON, one object a file.
import { readFile } from "node:fs/promises";
import { parseGlb } from "../../service/selfie3d_web/page/src/glb.js";

globalThis.createImageBitmap = async (blob) => blob.size; // pictures are for browsers
const plain = (key, value) => (ArrayBuffer.isView(value) ? [...value] : value);
const found = [];
for (const path of process.argv.slice(2)) {
  const bytes = await readFile(path);
  found.push(await parseGlb(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)));
}
console.log(JSON.stringify(found, plain));
