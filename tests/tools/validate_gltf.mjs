// Prints the Khronos validator's report on a GLB file as JSON: node validate_gltf.mjs FILE
import { readFile } from "node:fs/promises";
import validator from "gltf-validator";

const bytes = new Uint8Array(await readFile(process.argv[2]));
console.log(JSON.stringify(await validator.validateBytes(bytes)));
