// What three.js makes of a GLB file in a real Chromium: node gltf.mjs FILE. Prints JSON.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { launch } from "./chromium.mjs";

const page = new URL("../../service/selfie3d_web/page/", import.meta.url);
const { build } = await import(new URL("node_modules/esbuild/lib/main.js", page));

const code = `
import { AmbientLight, Box3, PerspectiveCamera, Scene, Vector3, WebGLRenderer } from "three";
import { GLTFLoader } from "three/examples/jsm/loaders/GLTFLoader.js";
import { MeshoptDecoder } from "three/examples/jsm/libs/meshopt_decoder.module.js";

window.look = async (bytes) => {
  const { scene } = await new GLTFLoader().setMeshoptDecoder(MeshoptDecoder).parseAsync(new Uint8Array(bytes).buffer, "");
  const renderer = new WebGLRenderer({ preserveDrawingBuffer: true });
  renderer.setSize(200, 200);
  const camera = new PerspectiveCamera(30, 1, 0.01, 10);
  camera.position.set(0, 0, 0.75);
  const stage = new Scene().add(scene, new AmbientLight());
  const draw = () => {
    renderer.render(stage, camera);
    const gl = renderer.getContext();
    const pixels = new Uint8Array(200 * 200 * 4);
    gl.readPixels(0, 0, 200, 200, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    return pixels;
  };
  const meshes = {};
  let face = null;
  scene.traverse((node) => {
    if (!node.isMesh) return;
    meshes[node.name] = { vertices: node.geometry.attributes.position.count, textured: Boolean(node.material.map) };
    if (node.morphTargetDictionary) face = node;
  });
  const before = draw();
  const changed = {};
  const weights = [...face.morphTargetInfluences];
  face.morphTargetInfluences.fill(0);
  const rest = draw();
  for (const [name, index] of Object.entries(face.morphTargetDictionary)) {
    face.morphTargetInfluences.fill(0);
    face.morphTargetInfluences[index] = 1;
    changed[name] = draw().filter((value, at) => Math.abs(value - rest[at]) > 1).length;
  }
  face.morphTargetInfluences.splice(0, weights.length, ...weights);
  const eye = scene.getObjectByName("eyeLeft");
  const still = draw();
  eye.rotateY(0.4);
  const turned = draw().filter((value, at) => Math.abs(value - still[at]) > 8).length;
  const box = new Box3().setFromBufferAttribute(face.geometry.attributes.position).applyMatrix4(face.matrixWorld);
  const size = box.getSize(new Vector3()).toArray();
  return { meshes, weights, names: Object.keys(face.morphTargetDictionary), changed, turned, size,
    drawn: before.filter((value, at) => at % 4 < 3 && value > 0).length };
};
`;
const bundled = await build({
  stdin: { contents: code, resolveDir: fileURLToPath(page) },
  bundle: true,
  write: false,
  format: "iife",
});
const bytes = [...(await readFile(process.argv[2]))];
const browser = await launch();
try {
  const tab = await browser.newPage();
  tab.on("pageerror", (error) => {
    throw error;
  });
  await tab.addScriptTag({ content: bundled.outputFiles[0].text });
  console.log(JSON.stringify(await tab.evaluate((data) => window.look(data), bytes)));
} finally {
  await browser.close();
}
