// All shading happens in the mesh frame; `clip` leads from there to the screen.

export const HEAD_VERTEX = `
  attribute vec4 colour;
  attribute float confidence;
  uniform mat4 clip;
  varying vec2 vUv;
  varying vec3 vNormal;
  varying vec3 vColour;
  varying float vConfidence;
  void main() {
    vUv = uv;
    vNormal = normal;
    vColour = colour.rgb;
    vConfidence = confidence;
    gl_Position = clip * vec4(position, 1.0);
  }`;

export const HEAD_FRAGMENT = `
  uniform int mode; // 0 colour, 1 clay, 2 under the wires, 3 confidence
  uniform vec3 key; // towards the light
  uniform vec3 eye; // towards the viewer
  uniform float shade; // how much the light matters in colour, 0 to 1
  uniform vec3 clay;
  uniform vec3 paper;
  uniform sampler2D skin;
  uniform float textured; // 1: the colour is in the skin, 0: in the vertices
  varying vec2 vUv;
  varying vec3 vNormal;
  varying vec3 vColour;
  varying float vConfidence;
  vec3 srgb(vec3 c) {
    return mix(c * 12.92, 1.055 * pow(max(c, vec3(0.0031308)), vec3(1.0 / 2.4)) - 0.055, step(0.0031308, c));
  }
  vec3 source(float c) {
    vec3 filled = vec3(0.23, 0.22, 0.30), mirrored = vec3(0.78, 0.42, 0.10), seen = vec3(0.06, 0.42, 0.37);
    return c < 1.0 ? mix(filled, mirrored, smoothstep(0.0, 1.0, c)) : mix(mirrored, seen, smoothstep(1.0, 2.0, c));
  }
  void main() {
    vec3 n = normalize(vNormal);
    float lambert = max(dot(n, key), 0.0);
    float fill = max(dot(n, eye), 0.0);
    float light = 0.22 + 0.62 * lambert + 0.26 * fill;
    float rim = pow(1.0 - fill, 3.0) * 0.14;
    vec3 shown;
    vec3 colour = mix(vColour, texture2D(skin, vUv).rgb, textured);
    if (mode == 0) shown = colour * mix(1.0, light * 1.1, shade);
    else if (mode == 1) shown = clay * light + rim;
    else if (mode == 2) shown = paper;
    else shown = source(vConfidence) * (0.55 + 0.45 * light) + rim * 0.4;
    gl_FragColor = vec4(srgb(clamp(shown, 0.0, 1.0)), 1.0);
  }`;

export const WIRE_VERTEX = `
  uniform mat4 clip;
  uniform vec3 eye;
  varying float vFacing;
  void main() {
    vFacing = dot(normal, eye);
    gl_Position = clip * vec4(position, 1.0);
    gl_Position.z -= 0.0006 * gl_Position.w;
  }`;

export const WIRE_FRAGMENT = `
  uniform vec3 ink;
  varying float vFacing;
  void main() { gl_FragColor = vec4(ink, 0.25 + 0.5 * max(vFacing, 0.0)); }`;

export const POINT_VERTEX = `
  uniform mat4 clip;
  uniform float size;
  void main() {
    gl_Position = clip * vec4(position, 1.0);
    gl_Position.z -= 0.004 * gl_Position.w;
    gl_PointSize = size;
  }`;

export const POINT_FRAGMENT = `
  uniform vec3 ink;
  void main() {
    float r = length(gl_PointCoord - 0.5) * 2.0;
    if (r > 1.0) discard;
    gl_FragColor = vec4(mix(ink, vec3(1.0), smoothstep(0.55, 0.7, r)), smoothstep(1.0, 0.9, r));
  }`;

export const PHOTO_VERTEX = `
  uniform vec4 area; // left, top, width, height of the screen in photo px
  uniform vec2 photo; // its size, px
  varying vec2 vUv;
  void main() {
    vec2 px = position.xy * photo;
    vUv = position.xy;
    vec2 part = (px - area.xy) / area.zw;
    gl_Position = vec4(part.x * 2.0 - 1.0, 1.0 - part.y * 2.0, 0.0, 1.0);
  }`;

export const PHOTO_FRAGMENT = `
  uniform sampler2D image;
  uniform float opacity;
  varying vec2 vUv;
  void main() { gl_FragColor = vec4(texture2D(image, vUv).rgb, opacity); }`;
