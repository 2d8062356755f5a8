/** The page at `/`: which pipelines there are, how they are, what goes on, and a form to try each. */
import { ask, useKey } from "./ask.js";
import { element, shown, sparkline } from "./draw.js";
import { showForm } from "./form.js";
import { between, lookAt } from "./numbers.js";

const EVERY_MS = 2_000;
const WINDOW = 5; // looks between which rates are told
const KEPT = 60; // looks that the lines show: two minutes

const $ = (id) => document.getElementById(id);
const looks = [];
let models = [];
let rows = [];
let chosen = "";
let paused = false;

const COLUMNS = {
  task: (model) => model.task,
  state: (model, states) => state(states[model.pipeline] ?? "silent"),
  version: (model) => model.version || "not asked yet",
  precision: (model) => `${model.precision} ${model.engine}`,
  tokens: (model) => `${model.max_model_len}`,
  certificate: (model) => element("code", { title: model.certificate }, model.certificate.slice(0, 12)),
  "requests/s": (model) => now(model.id, ({ perSecond }) => shown(perSecond, 1)),
  "p50, p95 ms": (model) => now(model.id, ({ p50, p95 }) => `${milliseconds(p50)}, ${milliseconds(p95)}`),
};

function state(word) {
  return element("span", { class: `state ${word}` }, word);
}

function milliseconds(seconds) {
  return shown(seconds === null ? null : seconds * 1000, 1);
}

function latest() {
  return looks.length < 2 ? null : between(looks.at(-1 - Math.min(WINDOW, looks.length - 1)), looks.at(-1));
}

function now(name, tell) {
  return tell(latest()?.models.get(name) ?? { perSecond: looks.length > 1 ? 0 : null, p50: null, p95: null });
}

function showNow() {
  const seen = latest();
  const pairs = looks.slice(1).map((look, index) => between(looks[index], look));
  const figures = [
    ["requests a second", shown(seen?.perSecond ?? null, 1), pairs.map((pair) => pair.perSecond)],
    ["texts a second", shown(seen?.textsPerSecond ?? null, 1), pairs.map((pair) => pair.textsPerSecond)],
    ["under way", shown(looks.at(-1)?.inFlight ?? null, 0), looks.map((look) => look.inFlight)],
    ["p50, ms", milliseconds(seen?.p50 ?? null), pairs.map((pair) => pair.p50 ?? 0)],
    ["p95, ms", milliseconds(seen?.p95 ?? null), pairs.map((pair) => pair.p95 ?? 0)],
    ["refused a second", shown(seen?.refusedPerSecond ?? null, 1), pairs.map((pair) => pair.refusedPerSecond)],
  ];
  $("now").replaceChildren(...figures.map(([name, figure, values]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, figure, sparkline(values, `${name}, the last two minutes`)))));
  $("version").textContent = looks.at(-1)?.version ?? "";
}

/** The table; its buttons stay the same while the names do, so that none goes away under a finger. */
function showPipelines(states) {
  if (rows.map(({ id }) => id).join("\n") !== models.map(({ id }) => id).join("\n")) makeRows();
  models.forEach((model, index) => {
    for (const [name, tell] of Object.entries(COLUMNS)) rows[index].cells[name].replaceChildren(tell(model, states));
  });
}

function makeRows() {
  const head = ["name", ...Object.keys(COLUMNS)].map((name) => element("th", { scope: "col" }, name));
  rows = models.map((model) => {
    const button = element("button", { type: "button", "data-model": model.id, "aria-pressed": `${model.id === chosen}` }, model.id);
    button.onclick = () => choose(model);
    const cells = Object.fromEntries(Object.keys(COLUMNS).map((name) => [name, element("td", { "data-name": name })]));
    const alias = model.id === model.pipeline ? [] : [element("span", { class: "soft" }, ` of ${model.pipeline}`)];
    const row = element("tr", {}, element("th", { scope: "row" }, button, ...alias), ...Object.values(cells));
    return { id: model.id, row, cells };
  });
  $("pipelines").replaceChildren(
    element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows.map(({ row }) => row)));
}

function choose(model, { focus = true } = {}) {
  chosen = model.id;
  for (const button of document.querySelectorAll("[data-model]")) {
    button.setAttribute("aria-pressed", `${button.dataset.model === chosen}`);
  }
  $("try").hidden = false;
  showForm({ form: $("question"), answer: $("answer"), title: $("try-title") }, model, refused);
  if (focus) $("question").focus();
}

function refused(error) {
  if (error.status !== 401) return;
  if ($("access").hidden) {
    $("access").hidden = false;
    document.querySelector("nav").hidden = true; // its links cannot show a key
  }
}

function problem(message) {
  if ($("problem").textContent !== message) $("problem").textContent = message; // said once, not every two seconds
  $("problem").hidden = !message;
}

async function refresh() {
  try {
    const health = await (await ask("health", { anyStatus: true })).json();
    $("state").replaceChildren(state(health.status));
    models = (await (await ask("v1/models")).json()).data;
    looks.push(lookAt(await (await ask("metrics")).text(), performance.now() / 1000));
    looks.splice(0, looks.length - KEPT);
    showPipelines(health.pipelines ?? {}); // without a key it has none
    problem(models.length ? "" : "No pipeline answers.");
  } catch (error) {
    if (error.status === 0) $("state").replaceChildren(state("silent"));
    problem(error.message);
    refused(error);
  }
  showNow();
  if (!chosen && models.length) choose(models[0], { focus: false });
}

async function live() {
  if (!paused && document.visibilityState === "visible") await refresh();
  setTimeout(live, EVERY_MS);
}

$("pause").onclick = () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", `${paused}`);
};

$("access").onsubmit = (event) => {
  event.preventDefault();
  useKey($("key").value);
  $("key").value = "";
  refresh();
};

live();
