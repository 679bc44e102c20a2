// The arrays of a GLB file as the service writes it: one face in millimetres, with colours by vertex or a texture.

const MAGIC = 0x46546c67; // "glTF"
const ARRAYS = { 5126: Float32Array, 5125: Uint32Array, 5123: Uint16Array };
const SIZES = { SCALAR: 1, VEC2: 2, VEC3: 3, VEC4: 4 };

/**
 * {positions, normals, colours, confidence, indices, uvs, texture, rig}. Colours are RGBA, linear, normalised 16 bit; a
 * textured face has `uvs` and a bitmap instead. `rig` is null for a face that does not move, else {names, targets, rest,
 * eyeLook, landmarkVertices, eyes}: a target says which vertices it moves and by how much.
 */
export async function parseGlb(buffer) {
  const file = new File(buffer);
  const mesh = file.tree.meshes[0];
  const arrays = file.primitive(mesh);
  return { ...arrays, texture: await file.texture(mesh), rig: mesh.extras?.targetNames ? file.rig(mesh) : null };
}

class File {
  constructor(buffer) {
    const view = new DataView(buffer);
    if (buffer.byteLength < 20 || view.getUint32(0, true) !== MAGIC) throw new Error("not a GLB file");
    const length = view.getUint32(12, true);
    this.buffer = buffer;
    this.tree = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 20, length)));
    this.start = 20 + length + 8;
  }

  array(index) {
    if (index === undefined) return null;
    const { bufferView, componentType, count, type, byteOffset = 0 } = this.tree.accessors[index];
    return this.view(bufferView, componentType, count * SIZES[type], byteOffset);
  }

  view(index, componentType, count, offset = 0) {
    const at = this.start + (this.tree.bufferViews[index].byteOffset ?? 0) + offset;
    return new ARRAYS[componentType](this.buffer, at, count);
  }

  primitive({ primitives: [{ attributes, indices }] }) {
    return {
      positions: this.array(attributes.POSITION),
      normals: this.array(attributes.NORMAL),
      colours: this.array(attributes.COLOR_0),
      confidence: this.array(attributes._CONFIDENCE),
      uvs: this.array(attributes.TEXCOORD_0),
      indices: this.array(indices),
    };
  }

  async texture({ primitives: [{ material }] }) {
    const of = this.tree.materials?.[material]?.pbrMetallicRoughness?.baseColorTexture;
    if (!of) return null;
    const { bufferView, mimeType } = this.tree.images[this.tree.textures[of.index].source];
    const { byteOffset = 0, byteLength } = this.tree.bufferViews[bufferView];
    const bytes = new Uint8Array(this.buffer, this.start + byteOffset, byteLength);
    return createImageBitmap(new Blob([bytes], { type: mimeType }), { colorSpaceConversion: "none" });
  }

  rig(mesh) {
    const { targetNames, eyeLook, landmark_vertices: landmarkVertices } = mesh.extras;
    const targets = mesh.primitives[0].targets.map(({ POSITION }) => {
      const { count, indices, values } = this.tree.accessors[POSITION].sparse;
      return {
        vertices: this.view(indices.bufferView, indices.componentType, count),
        deltas: this.view(values.bufferView, 5126, count * 3),
      };
    });
    const turning = this.tree.nodes.filter((node) => node.name.startsWith("eye") && node.mesh !== undefined);
    const eyes = turning.map((node) => ({ ...node, ...this.primitive(this.tree.meshes[node.mesh]) }));
    const rest = Object.fromEntries(targetNames.map((name, index) => [name, mesh.weights[index]]));
    return { names: targetNames, targets, rest, eyeLook, landmarkVertices, eyes };
  }
}
