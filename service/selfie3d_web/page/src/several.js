// Several photos at once: of one person they become one head, else only the first one is used.
import { $, make } from "./dom.js";
import { viewText } from "./words.js";

const MOST_PHOTOS = 16;

let chosen = [];

/**
 * Wires the question up; `onPhotos` gets the photos to send, one or all of one person. `needsOne` says whether the head
 * that is wanted can be made of one only.
 */
export function setUpSeveral(onPhotos, needsOne) {
  const answer = (photos) => {
    $("several").close();
    onPhotos(photos);
  };
  $("one-person").addEventListener("click", () => answer(chosen));
  $("first-photo").addEventListener("click", () => answer(chosen.slice(0, 1)));
  $("several-close").addEventListener("click", () => $("several").close());
  return (files) => {
    chosen = [...files].slice(0, MOST_PHOTOS);
    if (chosen.length < 2) return chosen.length && onPhotos(chosen);
    $("several-title").textContent = `Are these ${chosen.length} photos of one person?`;
    $("one-person").disabled = needsOne();
    $("several-note").hidden = !needsOne();
    return $("several").showModal();
  };
}

/** What each photo gave, when there were several. */
export function showViews(views) {
  $("views-box").hidden = views.length < 2;
  $("views").replaceChildren(...views.map((view) => make("li", {}, viewText(view))));
}

/** The place of the photo over which the head is laid. */
export function mainPhoto(views) {
  return views.reduce((best, view, place) => (view.weight > views[best].weight ? place : best), 0);
}
