// The page that shows /openapi.json as it is served.
import { $, make } from "./dom.js";

const text = (name, content, properties = {}) => make(name, { textContent: content, ...properties });

async function show() {
  const api = await (await fetch("/openapi.json")).json();
  $("about").textContent = api.info.description;
  $("example").textContent = [
    `curl -X POST '${location.origin}/v1/jobs?format=glb' -H 'Content-Type: image/jpeg' --data-binary @me.jpg`,
    `curl -N ${location.origin}/v1/jobs/ID/events`,
    `curl -OJ ${location.origin}/v1/jobs/ID/faces/0/mesh`,
  ].join("\n");
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) $("operations").append(describe(method, path, operation));
  }
  for (const [name, schema] of Object.entries(api.components.schemas)) {
    const code = text("code", JSON.stringify(schema, null, 2));
    $("schemas").append(make("details", {}, text("summary", name), make("pre", { tabIndex: 0 }, code)));
  }
}

function describe(method, path, { summary, parameters, requestBody, responses }) {
  const title = make("h2", {}, text("span", method.toUpperCase(), { className: `method ${method}` }), " ", text("code", path));
  const rows = parameters.map((each) =>
    make("tr", {}, make("td", {}, text("code", each.name)), text("td", each.in), text("td", meaning(each))),
  );
  const table = make("table", {}, make("tbody", {}, ...rows));
  const bodies = requestBody ? text("p", `Body: ${Object.keys(requestBody.content).join(", ")}`) : "";
  const answers = Object.entries(responses).map(([status, { description, content }]) =>
    make("li", {}, text("b", status), ` ${description} ${Object.keys(content ?? {}).join(", ")}`),
  );
  return make("section", { className: "operation" }, title, text("p", summary), rows.length ? table : "", bodies, make("ul", {}, ...answers));
}

function meaning({ description = "", schema = {} }) {
  const values = schema.enum ?? schema.items?.enum;
  return [description, values?.join(" · "), schema.default === undefined ? "" : `default: ${schema.default}`]
    .filter(Boolean)
    .join(" ");
}

show();
