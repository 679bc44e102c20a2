// A head's geometry. One with a rig moves: expressions displace its vertices, and its eyes turn.
import { BufferAttribute, BufferGeometry, Quaternion, Vector3 } from "three";

export class Figure {
  geometry = new BufferGeometry();
  #rest; // positions without an expression, (n, 3) mm
  #rig;
  #eyes = []; // the rig's, with `first`: the place of their vertices among all

  /** `arrays` as parseGlb gives them. */
  constructor(arrays) {
    const { rig } = arrays;
    this.#rig = rig;
    const parts = [arrays, ...(rig?.eyes ?? [])];
    let first = 0;
    const indices = parts.map((part) => {
      const moved = first ? part.indices.map((index) => index + first) : part.indices;
      if (part !== arrays) this.#eyes.push({ ...part, first });
      first += part.positions.length / 3;
      return moved;
    });
    this.#rest = join(Float32Array, parts.map((part) => part.positions));
    this.#set("position", this.#rest.slice(), 3);
    this.#set("normal", join(Float32Array, parts.map((part) => part.normals)), 3);
    const unseen = (part) => new Float32Array(part.positions.length / 3); // eyeballs are drawn, not photographed
    this.#set("confidence", join(Float32Array, parts.map((part) => part.confidence ?? unseen(part))), 1);
    if (arrays.colours) this.#set("colour", arrays.colours, 4, true);
    if (arrays.uvs) this.#set("uv", join(Float32Array, parts.map((part) => part.uvs)), 2);
    this.geometry.setIndex(new BufferAttribute(parts.length > 1 ? join(Uint32Array, indices) : arrays.indices, 1));
    if (rig) this.pose(rig.rest);
    this.geometry.computeBoundingSphere();
  }

  /** Shows expressions and looks: weights by name, 0 for those that are missing. Normals stay as they are at rest. */
  pose(weights) {
    const { array } = this.geometry.attributes.position;
    array.set(this.#rest);
    for (const [place, name] of this.#rig.names.entries()) {
      const weight = weights[name] ?? 0;
      if (!weight) continue;
      const { vertices, deltas } = this.#rig.targets[place];
      for (let i = 0; i < vertices.length; i += 1) {
        for (let axis = 0; axis < 3; axis += 1) array[vertices[i] * 3 + axis] += weight * deltas[i * 3 + axis];
      }
    }
    for (const eye of this.#eyes) this.#turn(eye, weights);
    this.geometry.attributes.position.needsUpdate = this.geometry.attributes.normal.needsUpdate = true;
  }

  /** Where the landmarks are now, (68, 3) mm; null where the mesh does not say which vertices they are. */
  landmarks() {
    if (!this.#rig?.landmarkVertices) return null;
    const { array } = this.geometry.attributes.position;
    return Float32Array.from(this.#rig.landmarkVertices.flatMap((vertex) => [...array.subarray(vertex * 3, vertex * 3 + 3)]));
  }

  /** Turns an eye from where it looks in the photo. */
  #turn({ name, positions, translation, rotation, first }, weights) {
    const turn = new Vector3(); // about its axis, by its length
    for (const [look, { node, axis, degrees }] of Object.entries(this.#rig.eyeLook)) {
      const angle = ((weights[look] ?? 0) * degrees * Math.PI) / 180;
      if (node === name) turn.addScaledVector(new Vector3(...axis), angle);
    }
    const angle = turn.length();
    const whole = new Quaternion().setFromAxisAngle(turn.normalize(), angle).multiply(new Quaternion(...rotation));
    const centre = new Vector3(...translation);
    const { position, normal } = this.geometry.attributes;
    const place = new Vector3();
    for (let i = 0; i < positions.length / 3; i += 1) {
      place.fromArray(positions, i * 3).applyQuaternion(whole);
      position.setXYZ(first + i, place.x + centre.x, place.y + centre.y, place.z + centre.z);
      place.normalize();
      normal.setXYZ(first + i, place.x, place.y, place.z);
    }
  }

  #set(name, array, size, normalized = false) {
    this.geometry.setAttribute(name, new BufferAttribute(array, size, normalized));
  }
}

function join(Type, arrays) {
  if (arrays.length === 1) return arrays[0];
  const joined = new Type(arrays.reduce((length, array) => length + array.length, 0));
  let at = 0;
  for (const array of arrays) {
    joined.set(array, at);
    at += array.length;
  }
  return joined;
}
