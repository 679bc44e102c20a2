// The page's elements by id.

export const $ = (id) => document.getElementById(id);

/** An element with properties and children; text is only ever text. */
export function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

/** Shows one of the elements and hides the others. */
export function only(shown, ...others) {
  for (const element of others) element.hidden = element !== shown;
  shown.hidden = false;
}

/** Saves bytes under a name. */
export function save(bytes, name) {
  const url = URL.createObjectURL(new Blob([bytes]));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
