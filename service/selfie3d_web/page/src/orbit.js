// The hand on the head: mouse, touch, pen, wheel and keys turn and zoom a view.

const TURN = 0.009; // radians a pixel
const KEY_TURN = 0.15; // radians a key press
const ZOOM_STEP = 1.15;
const MIN_ZOOM = 0.5;
const MAX_ZOOM = 6;
const MAX_PITCH = 1.45; // radians; short of straight above

/** `yaw` and `pitch` in radians, `zoom` as a factor; `onChange` is called after each change. */
export class Orbit {
  #pointers = new Map();
  #spread = 0;

  constructor(element, onChange) {
    this.onChange = onChange;
    this.home = { yaw: 0, pitch: 0, zoom: 1 };
    Object.assign(this, this.home);
    element.addEventListener("pointerdown", (event) => this.#down(event, element));
    element.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) element.addEventListener(name, (event) => this.#up(event));
    element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    element.addEventListener("keydown", (event) => this.#key(event));
    element.addEventListener("dblclick", () => this.reset());
  }

  reset() {
    Object.assign(this, this.home);
    this.onChange();
  }

  zoomBy(factor) {
    this.#set(this.yaw, this.pitch, this.zoom * factor);
  }

  #set(yaw, pitch, zoom) {
    this.yaw = yaw;
    this.pitch = Math.max(-MAX_PITCH, Math.min(MAX_PITCH, pitch));
    this.zoom = Math.max(MIN_ZOOM, Math.min(MAX_ZOOM, zoom));
    this.onChange();
  }

  #down(event, element) {
    element.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, [event.clientX, event.clientY]);
    this.#spread = this.#distance();
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    this.#pointers.set(event.pointerId, [event.clientX, event.clientY]);
    if (this.#pointers.size === 1) {
      const [dx, dy] = [event.clientX - before[0], event.clientY - before[1]];
      this.#set(this.yaw - dx * TURN, this.pitch + dy * TURN, this.zoom);
    } else {
      const spread = this.#distance();
      if (this.#spread) this.zoomBy(spread / this.#spread);
      this.#spread = spread;
    }
  }

  #up(event) {
    this.#pointers.delete(event.pointerId);
    this.#spread = this.#distance();
  }

  #distance() {
    const [first, second] = [...this.#pointers.values()];
    return second ? Math.hypot(first[0] - second[0], first[1] - second[1]) : 0;
  }

  #wheel(event) {
    event.preventDefault();
    const pixels = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? event.deltaY : event.deltaY * 30;
    this.zoomBy(Math.exp(-pixels * 0.0015));
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const turns = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const turn = turns[event.key];
    if (turn) this.#set(this.yaw - turn[0] * KEY_TURN, this.pitch + turn[1] * KEY_TURN, this.zoom);
    else if (event.key === "+" || event.key === "=") this.zoomBy(ZOOM_STEP);
    else if (event.key === "-") this.zoomBy(1 / ZOOM_STEP);
    else if (event.key === "0" || event.key === "Home") this.reset();
    else return;
    event.preventDefault();
  }
}
