// What the page says.

export const STAGES = {
  decode: "Reading the photo",
  detect: "Looking for the face",
  align: "Placing 68 landmarks",
  network: "Imagining the volume",
  surface: "Finding the surface",
  colour: "Painting it",
  encode: "Packing the file",
  store: "Putting it on the shelf",
};

const BETTER_PHOTO = [
  "One face, near enough to fill a third of the picture",
  "Eyes, nose and mouth not covered",
  "Even light, in focus, the right way up",
];

const TROUBLES = {
  NO_FACE: ["No face in this photo", "We looked everywhere in it. A photo like this works:", BETTER_PHOTO],
  NO_SURFACE: ["This face did not become a head", "The face was found, but is too blurred or too small.", BETTER_PHOTO],
  PHOTO_EMPTY: ["The file is empty", "Choose the photo again; it may not have been copied fully."],
  PHOTO_TOO_LARGE: ["The photo is too large", "At most 20 MiB go through, 60 MiB of several. Save it smaller, or send a screenshot of it."],
  PHOTO_UNSUPPORTED: [
    "This kind of picture is not read here",
    "Send a JPEG, PNG, WebP, HEIC or AVIF.",
  ],
  PHOTO_CORRUPT: ["The photo is damaged", "It breaks off or holds wrong data. Save it again, then send that."],
  PHOTO_TOO_MANY_PIXELS: ["The photo has too many pixels", "At most 64 megapixels. Save it smaller; a face needs few."],
  PHOTO_ANIMATED: ["This is an animation", "Send one still picture of it."],
  PHOTO_TOO_SMALL: ["The photo is too small", "A face needs to be at least 40 pixels wide in it."],
  QUEUE_FULL: ["Many people are waiting", "Try again in a few seconds."],
  QUOTA_EXCEEDED: ["Too many of your photos are waiting", "Let some of them finish, then try again."],
  STORAGE_FULL: ["The shelf is full", "Try again in a little while, when older heads have gone."],
  UPLOADS_BUSY: ["Many photos are arriving", "Try again in a few seconds."],
  STREAMS_BUSY: ["Many people are watching", "Try again in a few seconds."],
  STORE_UNAVAILABLE: ["The server is not quite there", "It cannot reach its store. Try again in a moment."],
  SHUTTING_DOWN: ["The server is restarting", "Try again in a moment."],
  UPLOAD_STALLED: ["The photo got stuck on its way", "Is the connection weak? Send it again."],
  NETWORK: ["The server cannot be reached", "Check the connection, then try again."],
  JOB_NOT_FOUND: ["This head is gone", "It was deleted, its time was over, or the address belongs to somebody else."],
  JOB_ID_INVALID: ["This is no head's address", "It may have been cut short when it was copied."],
  SCOPE_MISSING: ["The token may not do this", "Ask for one that may submit and read."],
  TOKEN_MISSING: ["A token is needed", "Without one this server takes no photos."],
  TOKEN_INVALID: ["The token is not known", "Check it, or ask for a new one."],
  DEADLINE_PASSED: ["It took too long", "The server was too busy to be done in time. Try again."],
  TIME_LIMIT: ["It took too long", "This photo needs more time than one may have. Send a smaller one."],
  CANCELLED: ["Cancelled", "Nothing of it is kept but this note."],
};

const RETRIED = new Set(
  "QUEUE_FULL QUOTA_EXCEEDED STORAGE_FULL UPLOADS_BUSY STREAMS_BUSY STORE_UNAVAILABLE SHUTTING_DOWN".split(" ").concat(
    "UPLOAD_STALLED NETWORK DEADLINE_PASSED TIME_LIMIT POISON_INPUT INTERNAL CANCELLED".split(" "),
  ),
);

/** {title, text, tips, again}: what went wrong and what to do; `again`: the same photo may work the next time. */
export function trouble(reason, detail) {
  const known = TROUBLES[reason];
  const [title, text, tips = []] = known ?? ["Something went wrong", detail || "The server's log says more."];
  return { title, text, tips, again: RETRIED.has(reason) || !known };
}

const LEFT_OUT = {
  NO_FACE: "no face was found in it",
  BLURRED: "it is much less sharp than the others",
  COVERED: "something covers the face",
  DIFFERENT_PERSON: "it shows somebody else",
};

/** What one of several photos gave to the head. */
export function viewText({ index, weight, left_out: reason }) {
  const share = Math.round(weight * 100);
  return reason ? `Photo ${index + 1} was left out: ${LEFT_OUT[reason] ?? reason}` : `Photo ${index + 1}: ${share} % of the shape`;
}

/** An expression's name in words: eyeBlinkLeft is "Eye blink left". */
export function shapeText(name) {
  const words = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return words[0].toUpperCase() + words.slice(1);
}

/** Where an event is, in a sentence. */
export function progressText(event) {
  if (event.state === "queued") return "Waiting for a free worker; it starts by itself";
  if (event.state === "running") return STAGES[event.stage] ?? "A worker has taken it";
  return "Done";
}

/** The same for a waiting job whose place in the line is known: 1 is the next one. */
export function lineText(place) {
  const before = place === 2 ? "one photo is" : `${place - 1} photos are`;
  return place === 1 ? "Waiting for a free worker; yours is next" : `Waiting for a free worker; about ${before} before yours`;
}

/** The line that says what is kept, and until when. */
export function keptText(expireTime) {
  const date = new Date(expireTime);
  const shown = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }).format(date);
  return `Your photo was deleted when the head was done. The head is kept until ${shown}, or until you delete it. Nothing leaves this server.`;
}
