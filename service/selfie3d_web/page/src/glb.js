// The arrays of a GLB file as the service writes it: one face in millimetres, with colours by vertex or a texture; floats,
// quantised, or compressed with meshopt.
// The decoder in plain JavaScript, which meshoptimizer does not export by name: this page's policy forbids WebAssembly.
import { MeshoptDecoder } from "../node_modules/meshoptimizer/meshopt_decoder_reference.js";

const MAGIC = 0x46546c67; // "glTF"
const ARRAYS = { 5126: Float32Array, 5125: Uint32Array, 5123: Uint16Array, 5122: Int16Array, 5121: Uint8Array, 5120: Int8Array };
const MOST = { 5123: 65535, 5122: 32767, 5121: 255, 5120: 127 }; // what stands for 1 in a normalised array
const SIZES = { SCALAR: 1, VEC2: 2, VEC3: 3, VEC4: 4 };
const MESHOPT = "EXT_meshopt_compression";
const AS_IT_IS = { translation: [0, 0, 0], scale: [1, 1, 1] };

/**
 * {positions, normals, colours, confidence, indices, uvs, texture, rig}. Colours are RGBA, linear, normalised 16 bit; a
 * textured face has `uvs` and a bitmap instead. `rig` is null for a face that does not move, else {names, targets, rest,
 * eyeLook, landmarkVertices, eyes}: a target says which vertices it moves and by how much.
 */
export async function parseGlb(buffer) {
  const file = new File(buffer);
  const mesh = file.tree.meshes[0];
  const place = { ...AS_IT_IS, ...file.tree.nodes.find((node) => node.mesh === 0) };
  const arrays = file.primitive(mesh, place);
  return { ...arrays, texture: await file.texture(mesh), rig: mesh.extras?.targetNames ? file.rig(mesh, place) : null };
}

class File {
  #unpacked = new Map(); // bufferView -> its bytes

  constructor(buffer) {
    const view = new DataView(buffer);
    if (buffer.byteLength < 20 || view.getUint32(0, true) !== MAGIC) throw new Error("not a GLB file");
    const length = view.getUint32(12, true);
    this.buffer = buffer;
    this.tree = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 20, length)));
    this.start = 20 + length + 8;
  }

  /** An accessor's numbers as they are stored, one row after the other. */
  array(index) {
    if (index === undefined) return null;
    const { bufferView, componentType, count, type, byteOffset = 0 } = this.tree.accessors[index];
    return this.view(bufferView, componentType, count, SIZES[type], byteOffset);
  }

  /** The same as floats; what is normalised as -1 to 1. */
  floats(index) {
    const found = this.array(index);
    if (!found || found instanceof Float32Array) return found;
    const { normalized, componentType } = this.tree.accessors[index];
    const most = normalized ? MOST[componentType] : 1;
    return Float32Array.from(found, (value) => value / most);
  }

  view(index, componentType, count, size, offset = 0) {
    const Type = ARRAYS[componentType];
    const bytes = this.bytes(index);
    const wide = this.tree.bufferViews[index].byteStride ?? size * Type.BYTES_PER_ELEMENT;
    const step = wide / Type.BYTES_PER_ELEMENT;
    const whole = new Type(bytes.buffer, bytes.byteOffset + offset, (count - 1) * step + size);
    if (step === size) return whole;
    const found = new Type(count * size);
    for (let i = 0; i < count; i += 1) for (let k = 0; k < size; k += 1) found[i * size + k] = whole[i * step + k];
    return found;
  }

  /** A bufferView's bytes, unpacked. */
  bytes(index) {
    const { byteOffset = 0, byteLength, extensions } = this.tree.bufferViews[index];
    const packed = extensions?.[MESHOPT];
    if (!packed) return new Uint8Array(this.buffer, this.start + byteOffset, byteLength);
    if (!this.#unpacked.has(index)) this.#unpacked.set(index, this.unpack(packed));
    return this.#unpacked.get(index);
  }

  unpack({ byteOffset = 0, byteLength, byteStride, count, mode, filter }) {
    const bytes = new Uint8Array(count * byteStride);
    const source = new Uint8Array(this.buffer, this.start + byteOffset, byteLength);
    MeshoptDecoder.decodeGltfBuffer(bytes, count, byteStride, source, mode, filter ?? "NONE");
    return bytes;
  }

  /** A mesh's arrays, its places as its node puts them. */
  primitive({ primitives: [{ attributes, indices }] }, { translation, scale }) {
    const positions = this.floats(attributes.POSITION).map((value, i) => translation[i % 3] + scale[i % 3] * value);
    return {
      positions,
      normals: this.floats(attributes.NORMAL),
      colours: this.array(attributes.COLOR_0),
      confidence: this.floats(attributes._CONFIDENCE),
      uvs: this.floats(attributes.TEXCOORD_0),
      indices: this.array(indices),
    };
  }

  async texture({ primitives: [{ material }] }) {
    const of = this.tree.materials?.[material]?.pbrMetallicRoughness?.baseColorTexture;
    if (!of) return null;
    const { bufferView, mimeType } = this.tree.images[this.tree.textures[of.index].source];
    const blob = new Blob([this.bytes(bufferView)], { type: mimeType });
    return createImageBitmap(blob, { colorSpaceConversion: "none" });
  }

  rig(mesh, place) {
    const { targetNames, eyeLook, landmark_vertices: landmarkVertices } = mesh.extras;
    const targets = mesh.primitives[0].targets.map(({ POSITION }) => this.target(POSITION, place.scale[0]));
    const turning = this.tree.nodes.filter((node) => node.name.startsWith("eye") && node.mesh !== undefined);
    const rest = Object.fromEntries(targetNames.map((name, index) => [name, mesh.weights[index]]));
    return { names: targetNames, targets, rest, eyeLook, landmarkVertices, eyes: turning.map((node) => this.eye(node, place)) };
  }

  /** Which vertices an expression moves, and by how many millimetres each. */
  target(index, scale) {
    const { componentType, count, sparse } = this.tree.accessors[index];
    if (sparse) {
      const vertices = this.view(sparse.indices.bufferView, sparse.indices.componentType, sparse.count, 1);
      const stored = this.view(sparse.values.bufferView, componentType, sparse.count, 3);
      return { vertices, deltas: Float32Array.from(stored, (value) => value * scale) };
    }
    const all = this.array(index);
    const vertices = [...Array(count).keys()].filter((i) => all[i * 3] || all[i * 3 + 1] || all[i * 3 + 2]);
    return { vertices, deltas: Float32Array.from(vertices.flatMap((i) => [...all.subarray(i * 3, i * 3 + 3)]), (value) => value * scale) };
  }

  /** An eyeball: its vertices around its own centre, which `translation` tells. */
  eye(node, place) {
    const own = { ...AS_IT_IS, ...node };
    const size = { translation: [0, 0, 0], scale: own.scale.map((value, i) => value * place.scale[i]) };
    const translation = own.translation.map((value, i) => place.translation[i] + place.scale[i] * value);
    return { ...node, translation, ...this.primitive(this.tree.meshes[node.mesh], size) };
  }
}
