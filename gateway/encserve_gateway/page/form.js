/** The form that asks a pipeline, and what it answers. */
import { ask } from "./ask.js";
import { element } from "./draw.js";
import { TASKS, tokensSeen } from "./tasks.js";

/** Show the form of a model in these parts of the page; `refused` is told what goes wrong. */
export function showForm({ form, answer, title }, model, refused) {
  const task = TASKS[model.task];
  title.textContent = `Try ${model.id}`;
  answer.replaceChildren();
  if (!task) {
    form.replaceChildren(element("p", {}, `This page has no form for ${model.task}.`));
    return;
  }
  const fields = task.fields.filter((field) => field.when?.(model) ?? field.choices?.(model) !== null);
  const button = element("button", { type: "submit", class: "main" }, "Ask");
  form.replaceChildren(
    element("p", { class: "soft" }, task.about),
    ...fields.map((field) => labelledField(field, model)),
    element("p", { class: "beside" }, button, element("span", { class: "soft" }, "or Ctrl+Enter in a text")),
  );
  let asking = null;
  form.onsubmit = async (event) => {
    event.preventDefault();
    asking?.abort();
    const mine = (asking = new AbortController());
    answer.setAttribute("aria-busy", "true");
    try {
      const values = read(form, fields);
      const shownAnswer = await askModel(model, task, values, mine.signal);
      if (mine === asking) answer.replaceChildren(...shownAnswer);
    } catch (error) {
      if (error.name === "AbortError") return;
      answer.replaceChildren(element("p", { class: "problem", role: "alert" }, error.message));
      refused(error);
    }
    if (mine === asking) answer.removeAttribute("aria-busy");
  };
  form.onkeydown = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  };
}

function labelledField(field, model) {
  const id = `field-${field.name}`;
  const choices = field.choices?.(model);
  const value = typeof field.value === "function" ? field.value(model) : field.value;
  const input = choices
    ? element("select", { id, name: field.name }, ...choices.map((each) => element("option", { value: each }, each || "as the name has it")))
    : element("textarea", { id, name: field.name, rows: field.rows, required: true }, value);
  return element("p", {}, element("label", { for: id }, field.label), input);
}

function read(form, fields) {
  const values = {};
  for (const field of fields) {
    const given = form.elements[field.name].value;
    if (field.choices && !given) continue;
    values[field.name] = field.read ? field.read(given) : given;
    if (!values[field.name].length) throw new Error(`${field.label}: there is none.`);
  }
  return values;
}

async function askModel(model, task, values, signal) {
  const began = performance.now();
  const response = await ask(`v1/${task.route ?? model.task}`, { body: { model: model.id, ...values, ...task.options }, signal });
  const answer = await response.json();
  const tookMs = performance.now() - began;
  const pipelineMs = /pipeline;dur=([\d.]+)/.exec(response.headers.get("server-timing") ?? "")?.[1];
  return [
    ...task.draw(answer, values, model),
    ...tokensSeen(answer),
    element("p", { class: "soft" },
      `${Number(pipelineMs).toFixed(1)} ms at the pipeline, ${tookMs.toFixed(1)} ms in all. Answered by ${answer.model}, version `,
      `${answer.version}, certificate `, element("code", { title: answer.certificate }, answer.certificate.slice(0, 12)), "."),
  ];
}
