import { readFile, writeFile } from "node:fs/promises";
import { MeshFormat, connect } from "selfie3d";

const [address = "http://localhost:8080", photo = "me.jpg", mesh = "me.glb"] = process.argv.slice(2);
const settings = { options: { format: MeshFormat.GLB } };
const file: Uint8Array[] = [];
for await (const { part } of connect(address).reconstruct({ photo: await readFile(photo), settings })) {
  if (part.case === "event") console.log(`${part.value.number} ${part.value.progress}`);
  if (part.case === "chunk") file.push(part.value.data);
}
await writeFile(mesh, file);
