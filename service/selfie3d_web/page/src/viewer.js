// The head on the canvas, drawn only when something has changed.
import {
  BufferAttribute,
  BufferGeometry,
  Camera,
  DoubleSide,
  LinearFilter,
  LinearMipmapLinearFilter,
  Matrix4,
  Mesh,
  PerspectiveCamera,
  PlaneGeometry,
  Points,
  SRGBColorSpace,
  Scene,
  ShaderMaterial,
  Texture,
  Vector3,
  WebGLRenderer,
} from "three";
import { Figure } from "./figure.js";
import { Orbit } from "./orbit.js";
import * as shaders from "./shaders.js";

export const MODES = ["colour", "clay", "wireframe", "confidence"];
const FIELD = 26; // degrees, vertical; long enough not to make noses large
const FILL = 1.24; // room around the head
const PHOTO_FILL = 2.5; // size of the shown part of the photo in boxes of 68 landmarks
const MAX_PIXEL_RATIO = 2;
const MAX_TEXTURE = 2048; // px
const MOVE_MS = 350; // between the free view and the photo's

export class Viewer {
  #renderer;
  #scene = new Scene();
  #camera = new Camera(); // stays where it is: `clip` holds the whole way to the screen
  #lens = new PerspectiveCamera(FIELD, 1, 1, 10000);
  #uniforms = {
    clip: { value: new Matrix4() },
    mode: { value: 0 },
    key: { value: new Vector3(0, 0, 1) },
    eye: { value: new Vector3(0, 0, 1) },
    shade: { value: 0 },
    clay: { value: new Vector3(0.62, 0.58, 0.53) },
    paper: { value: new Vector3(1, 1, 1) },
    ink: { value: new Vector3(0.06, 0.45, 0.41) },
    size: { value: 8 },
    area: { value: new Float32Array([0, 0, 1, 1]) },
    photo: { value: new Float32Array([1, 1]) },
    image: { value: null },
    skin: { value: null },
    textured: { value: 0 },
    opacity: { value: 0 },
  };
  #figure = null;
  #head = null;
  #wires = null;
  #points = null;
  #sheet = null;
  #face = null;
  #radius = 100; // mm
  #centre = new Vector3();
  #light = 0; // -1 from the left, 1 from the right
  #toPhoto = 0; // 0 free view, 1 the photo's
  #request = 0;
  #calm;

  constructor(canvas) {
    this.canvas = canvas;
    this.#calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.#renderer = new WebGLRenderer({ canvas, antialias: true, alpha: true });
    this.#renderer.setClearColor(0x000000, 0);
    this.orbit = new Orbit(canvas, () => this.draw());
    this.onDraw = () => {};
    new ResizeObserver(() => this.#resize()).observe(canvas.parentElement);
    canvas.addEventListener("webglcontextrestored", () => this.draw());
  }

  /** Compiles what draws a head before there is one: it takes a while, and nobody waits for it yet. */
  warm() {
    if (this.#warmed.children.length) return;
    const nothing = new BufferGeometry().setAttribute("position", new BufferAttribute(new Float32Array(9), 3));
    this.#warmed.add(new Mesh(nothing, this.#material(shaders.HEAD_VERTEX, shaders.HEAD_FRAGMENT)));
    this.#renderer.compile(this.#warmed, this.#camera);
  }
  #warmed = new Scene(); // kept, because a program goes with its last material

  /** Shows a face: arrays as parseGlb gives them, `face` as the job describes it. */
  show(arrays, face) {
    this.clear();
    this.#face = face;
    this.#figure = new Figure(arrays);
    const { geometry } = this.#figure;
    this.#setSkin(arrays.texture);
    this.#centre.copy(geometry.boundingSphere.center);
    this.#radius = geometry.boundingSphere.radius;
    this.#head = this.#add(new Mesh(geometry, this.#material(shaders.HEAD_VERTEX, shaders.HEAD_FRAGMENT)));
    const wires = this.#material(shaders.WIRE_VERTEX, shaders.WIRE_FRAGMENT, { wireframe: true, transparent: true });
    this.#wires = this.#add(new Mesh(geometry, wires), 1);
    const landmarks = face.landmarks.flatMap(({ x, y, z }) => [x, y, z]);
    this.#points = this.#add(this.#makePoints(this.#figure.landmarks() ?? new Float32Array(landmarks)), 2);
    this.#points.visible = false;
    this.mode = this.mode ?? "colour";
    this.#frame(face);
  }

  /** Moves a rigged face: weights of expressions and looks by name. */
  pose(weights) {
    if (!this.#figure) return;
    this.#figure.pose(weights);
    const { position } = this.#points.geometry.attributes;
    position.array.set(this.#figure.landmarks() ?? position.array);
    position.needsUpdate = true;
    this.draw();
  }

  /** Takes the head away. */
  clear() {
    for (const object of [this.#head, this.#wires, this.#points]) {
      if (!object) continue;
      this.#scene.remove(object);
      object.geometry.dispose();
      object.material.dispose();
    }
    this.#figure = this.#head = this.#wires = this.#points = this.#face = null;
    this.#setSkin(null);
    this.draw();
  }

  /** The photo to lay over the head, upright; null: there is none. */
  setPhoto(bitmap) {
    if (this.#sheet) {
      this.#scene.remove(this.#sheet);
      this.#uniforms.image.value.dispose();
      this.#sheet = null;
    }
    if (bitmap) {
      const texture = new Texture(fitted(bitmap));
      texture.minFilter = texture.magFilter = LinearFilter;
      texture.generateMipmaps = texture.flipY = false;
      texture.needsUpdate = true;
      this.#uniforms.image.value = texture;
      this.#uniforms.photo.value.set([bitmap.width, bitmap.height]);
      const options = { transparent: true, depthTest: false, depthWrite: false, side: DoubleSide };
      const material = this.#material(shaders.PHOTO_VERTEX, shaders.PHOTO_FRAGMENT, options);
      this.#sheet = this.#add(new Mesh(new PlaneGeometry().translate(0.5, 0.5, 0), material), 3);
    }
    this.overlay = 0;
  }

  get mode() {
    return MODES[this.#uniforms.mode.value];
  }

  set mode(name) {
    this.#uniforms.mode.value = Math.max(0, MODES.indexOf(name));
    if (this.#wires) this.#wires.visible = name === "wireframe";
    this.draw();
  }

  /** Where the light comes from: -1 left, 0 from the viewer and out of the colours, 1 right. */
  set light(value) {
    this.#light = value;
    this.#uniforms.shade.value = Math.min(1, Math.abs(value) * 2);
    this.draw();
  }

  set landmarks(shown) {
    if (this.#points) this.#points.visible = shown;
    this.draw();
  }

  /** How much of the photo lies over the head, 0 to 1; above 0 the head stands as in the photo. */
  set overlay(value) {
    this.#uniforms.opacity.value = value;
    if (this.#sheet) this.#sheet.visible = value > 0;
    this.#moveTo(value > 0 ? 1 : 0);
  }

  /** Draws with the next frame. */
  draw() {
    this.#request ||= requestAnimationFrame(() => {
      this.#request = 0;
      this.#draw();
    });
  }

  #draw() {
    const { yaw, pitch } = this.orbit;
    const { eye, key, clip } = this.#uniforms;
    eye.value.set(Math.sin(yaw) * Math.cos(pitch), Math.sin(pitch), Math.cos(yaw) * Math.cos(pitch));
    const angle = yaw + this.#light * 1.5;
    key.value.set(Math.sin(angle), 0.45 + Math.sin(pitch), Math.cos(angle)).normalize();
    clip.value.copy(this.#freeClip());
    if (this.#toPhoto > 0 && this.#face) blend(clip.value, this.#photoClip(), ease(this.#toPhoto), this.#centre);
    this.#setPaper();
    this.#renderer.render(this.#scene, this.#camera);
    this.onDraw();
  }

  #freeClip() {
    const aspect = this.canvas.width / Math.max(1, this.canvas.height);
    const half = Math.tan((FIELD * Math.PI) / 360) * Math.min(1, aspect);
    const distance = (this.#radius * FILL) / half / this.orbit.zoom + this.#radius * 0.35;
    const lens = this.#lens;
    lens.aspect = aspect;
    lens.near = Math.max(1, distance - this.#radius * 1.5);
    lens.far = distance + this.#radius * 1.5;
    lens.updateProjectionMatrix();
    lens.position.copy(this.#uniforms.eye.value).multiplyScalar(distance).add(this.#centre);
    lens.up.set(0, 1, 0);
    lens.lookAt(this.#centre);
    lens.updateMatrixWorld();
    return lens.projectionMatrix.clone().multiply(lens.matrixWorldInverse);
  }

  /** mesh_to_photo, then the shown part of the photo to the screen; depth grows towards the viewer. */
  #photoClip() {
    const [left, top, width, height] = this.#uniforms.area.value;
    const toPhoto = new Matrix4().set(...this.#face.mesh_to_photo);
    const depth = new Vector3().copy(this.#centre).applyMatrix4(toPhoto).z;
    const reach = Math.max(width, height) * 2;
    const toScreen = new Matrix4().set(
      2 / width, 0, 0, (-2 * left) / width - 1,
      0, -2 / height, 0, (2 * top) / height + 1,
      0, 0, -1 / reach, depth / reach,
      0, 0, 0, 1,
    );
    return toScreen.multiply(toPhoto);
  }

  #frame(face) {
    const aspect = this.canvas.width / Math.max(1, this.canvas.height);
    const size = Math.max(face.box.width, face.box.height) * PHOTO_FILL;
    const [width, height] = aspect > 1 ? [size * aspect, size] : [size, size / aspect];
    const { x, y } = face.box;
    this.#uniforms.area.value.set([
      x + face.box.width / 2 - width / 2,
      y + face.box.height * 0.35 - height / 2,
      width,
      height,
    ]);
    this.draw();
  }

  #moveTo(end) {
    const start = this.#toPhoto;
    const begun = performance.now();
    const step = () => {
      const part = this.#calm.matches ? 1 : Math.min(1, (performance.now() - begun) / MOVE_MS);
      this.#toPhoto = start + (end - start) * part;
      this.draw();
      if (part < 1) this.#moving = requestAnimationFrame(step);
    };
    cancelAnimationFrame(this.#moving);
    if (start === end) this.draw();
    else step();
  }
  #moving = 0;

  #resize() {
    const box = this.canvas.parentElement.getBoundingClientRect();
    if (!box.width || !box.height) return;
    const ratio = Math.min(MAX_PIXEL_RATIO, devicePixelRatio);
    this.#renderer.setPixelRatio(ratio);
    this.#renderer.setSize(box.width, box.height, false);
    this.#uniforms.size.value = 7 * ratio;
    if (this.#face) this.#frame(this.#face);
    this.draw();
  }

  /** The head's texture, a bitmap; null: its colours are those of its vertices. */
  #setSkin(bitmap) {
    const { skin, textured } = this.#uniforms;
    skin.value?.dispose();
    textured.value = bitmap ? 1 : 0;
    skin.value = bitmap && new Texture(bitmap);
    if (!bitmap) return;
    skin.value.colorSpace = SRGBColorSpace;
    skin.value.minFilter = LinearMipmapLinearFilter;
    skin.value.flipY = false;
    skin.value.needsUpdate = true;
  }

  #makePoints(places) {
    const geometry = new BufferGeometry().setAttribute("position", new BufferAttribute(places, 3));
    const options = { transparent: true, depthWrite: false };
    return new Points(geometry, this.#material(shaders.POINT_VERTEX, shaders.POINT_FRAGMENT, options));
  }

  #material(vertexShader, fragmentShader, options = {}) {
    return new ShaderMaterial({ uniforms: this.#uniforms, vertexShader, fragmentShader, ...options });
  }

  #add(object, order = 0) {
    object.frustumCulled = false; // three's camera does not know where we look
    object.renderOrder = order;
    this.#scene.add(object);
    return object;
  }

  #setPaper() {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    this.#uniforms.paper.value.setScalar(dark ? 0.012 : 0.9);
    this.#uniforms.ink.value.set(...(dark ? [0.36, 0.84, 0.77] : [0.06, 0.42, 0.38]));
  }
}

/** Mixes two ways to the screen into the first; both are brought to the same w at `centre` before. */
function blend(from, to, part, { x, y, z }) {
  const e = from.elements;
  const w = e[3] * x + e[7] * y + e[11] * z + e[15];
  to.elements.forEach((value, index) => {
    e[index] = e[index] * (1 - part) + value * w * part;
  });
}

function ease(part) {
  return part * part * (3 - 2 * part);
}

/** Textures larger than this bring nothing on a screen, and phones cannot hold them. */
function fitted(bitmap) {
  const scale = MAX_TEXTURE / Math.max(bitmap.width, bitmap.height);
  if (scale >= 1) return bitmap;
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(bitmap.width * scale);
  canvas.height = Math.round(bitmap.height * scale);
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
}
