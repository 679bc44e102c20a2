// The token, when the service wants one: asked for once, kept in memory.
import { hasToken, setToken } from "./api.js";
import { $ } from "./dom.js";

let asked = null;

/** Asks for a token; whether one was given. Several that need it at once get the same answer. */
export function askToken() {
  asked ??= new Promise((resolve) => {
    $("token-text").textContent = hasToken()
      ? "It does not know the one you gave. Check it, or ask whoever runs the server."
      : "Ask whoever runs the server for one.";
    $("token-value").value = "";
    $("token").returnValue = "";
    $("token").onclose = () => {
      asked = null;
      resolve($("token").returnValue === "given");
    };
    $("token").showModal();
    $("token-value").focus();
  });
  return asked;
}

export function setUpToken() {
  $("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    setToken($("token-value").value.trim());
    $("token-value").value = "";
    $("token").close("given");
  });
  $("token-close").addEventListener("click", () => $("token").close());
}
