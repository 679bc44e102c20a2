// The arrays of a GLB file as the service writes it: one face, colours and confidence by vertex, millimetres.

const MAGIC = 0x46546c67; // "glTF"
const ARRAYS = { 5126: Float32Array, 5125: Uint32Array, 5123: Uint16Array };
const SIZES = { SCALAR: 1, VEC2: 2, VEC3: 3, VEC4: 4 };

/** {positions, normals, colours, confidence, indices}; colours are RGBA, linear, normalised 16 bit. */
export function parseGlb(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < 20 || view.getUint32(0, true) !== MAGIC) throw new Error("not a GLB file");
  const length = view.getUint32(12, true);
  const tree = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 20, length)));
  const start = 20 + length + 8;
  const read = (index) => {
    const accessor = tree.accessors[index];
    const part = tree.bufferViews[accessor.bufferView];
    const at = start + (part.byteOffset ?? 0) + (accessor.byteOffset ?? 0);
    return new ARRAYS[accessor.componentType](buffer, at, accessor.count * SIZES[accessor.type]);
  };
  const [primitive] = tree.meshes[0].primitives;
  const attributes = primitive.attributes;
  return {
    positions: read(attributes.POSITION),
    normals: read(attributes.NORMAL),
    colours: read(attributes.COLOR_0),
    confidence: read(attributes._CONFIDENCE),
    indices: read(primitive.indices),
  };
}
