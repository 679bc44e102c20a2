// The HTTP door, from the browser's side. Every failure is a Refusal.

/** What the server, or the way to it, answered: `reason` as in docs/errors.md, or NETWORK. */
export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail ?? "");
    this.status = status;
    this.reason = problem.reason ?? (status ? "" : "NETWORK");
    this.retryAfter = problem.retry_after ?? 0;
  }
}

const FIRST_WAIT = 500; // ms before a broken stream is opened again
const LONGEST_WAIT = 5000;

let token = ""; // in memory only, on purpose

export function setToken(value) {
  token = value;
}

export function hasToken() {
  return token !== "";
}

/** A JSON answer, or null for an empty one. */
export async function call(method, path) {
  const answer = await send(method, path);
  return answer.status === 204 ? null : answer.json();
}

/** Sends a photo, or several of one person; `onSent` gets the part that is on its way, 0 to 1. */
export function createJob(photos, options, key, onSent) {
  const query = new URLSearchParams(options);
  const form = new FormData();
  for (const photo of photos) form.append("photo", photo);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not say how much has been sent
    request.open("POST", `/v1/jobs?${query}`);
    request.responseType = "json";
    if (photos.length === 1) request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("Idempotency-Key", key);
    if (token) request.setRequestHeader("Authorization", `Bearer ${token}`);
    request.upload.onprogress = (event) => event.total && onSent(event.loaded / event.total);
    request.onerror = () => reject(new Refusal(0, {}));
    request.onload = () =>
      request.status < 300 ? resolve(request.response) : reject(new Refusal(request.status, request.response ?? {}));
    request.send(photos.length === 1 ? photos[0] : form);
  });
}

/** The bytes of a mesh file. */
export async function mesh(job, face) {
  const answer = await send("GET", `/v1/jobs/${job}/faces/${face}/mesh`);
  return answer.arrayBuffer().catch(() => {
    throw new Refusal(0, {});
  });
}

/**
 * Follows a job until it has ended, through cuts; the job as it ended.
 * `onEvent` gets each event once, `onCut` is called when the stream broke and is about to be opened again, `onBack` when
 * it is open again.
 */
export async function watch(job, { signal, onEvent, onCut, onBack }) {
  let last = 0;
  let broke = false;
  let wait = FIRST_WAIT;
  for (;;) {
    try {
      const answer = await send("GET", `/v1/jobs/${job}/events`, { signal, headers: { "Last-Event-ID": `${last}` } });
      if (broke) onBack();
      broke = false;
      if (answer.status === 204) return await call("GET", `/v1/jobs/${job}`);
      for await (const { name, data } of readEvents(answer.body)) {
        if (name === "problem") throw new Refusal(data.status, data);
        wait = FIRST_WAIT;
        last = data.number;
        onEvent(data);
        if (name === "end") return data.job;
      }
    } catch (error) {
      if (signal.aborted || !comesBack(error)) throw error;
    }
    broke = true;
    onCut();
    await sleep(wait, signal);
    wait = Math.min(LONGEST_WAIT, wait * 2);
  }
}

/** A key that makes a repeated submission the same job. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function send(method, path, { signal, headers = {} } = {}) {
  const authorization = token ? { Authorization: `Bearer ${token}` } : {};
  let answer;
  try {
    answer = await fetch(path, { method, signal, headers: { ...headers, ...authorization }, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal(0, {});
  }
  if (!answer.ok) throw new Refusal(answer.status, await answer.json().catch(() => ({})));
  return answer;
}

async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      text += value;
      const blocks = text.split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const event = parse(block);
        if (event.data) yield { name: event.event, data: JSON.parse(event.data) };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parse(block) {
  const fields = block.split("\n").map((line) => /^(\w+): (.*)$/.exec(line));
  return Object.fromEntries(fields.filter(Boolean).map(([, name, value]) => [name, value]));
}

function comesBack(error) {
  return !(error instanceof Refusal) || error.status === 0 || error.status === 502 || error.status === 503;
}

function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
