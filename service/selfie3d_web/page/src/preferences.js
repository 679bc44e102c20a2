// How somebody likes to look at heads: the only thing that stays in the browser.

const KEY = "selfie3d.preferences";
const DEFAULTS = { mode: "colour", landmarks: false, allFaces: false, detail: "standard" };

export function preferences() {
  try {
    return { ...DEFAULTS, ...JSON.parse(localStorage.getItem(KEY) ?? "{}") };
  } catch {
    return { ...DEFAULTS }; // storage is switched off, or holds something else
  }
}

export function prefer(changes) {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...preferences(), ...changes }));
  } catch {
    // then it is not remembered
  }
}
