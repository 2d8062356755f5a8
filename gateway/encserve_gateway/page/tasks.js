/** What each task is asked with, and how its answer is shown. The names of fields are those of `POST /v1/TASK`. */
import { bars, cosine, element, marked, scrolling, shown, similarityMap } from "./draw.js";

const text = (name, label, value, rows = 3) => ({ name, label, value, rows, read: (given) => given });
const oneText = (name, label, value) => ({ ...text(name, label, value), read: (given) => [given] });
const lines = (name, label, value) => ({ ...text(name, `${label}, one a line`, value, 5), read: split("\n") });
const words = (name, label, value) => ({ ...text(name, `${label}, with commas between`, value, 1), read: split(",") });

function split(by) {
  return (given) => given.split(by).map((each) => each.trim()).filter(Boolean);
}

/** Which prompt stands before the texts, "" for that of the name; no field where the checkpoint has none. */
const prompt = {
  name: "prompt_name",
  label: "Prompt",
  choices: (model) => (model.prompt_names.length ? ["", ...model.prompt_names] : null),
};

const MAPPED = 30; // texts, as a map has the square of them

const STORY = "The lighthouse keeper counted the ships\nA storm is coming over the harbour\nMy invoice has the wrong amount";

export const TASKS = {
  "feature-extraction": {
    about: "Vectors, and how similar the texts are by them.",
    fields: [lines("texts", "Texts", `${STORY}\nI was charged twice this month`), prompt],
    draw: mapped,
  },
  "hybrid-embedding": {
    about: "Vectors, and weighted terms of the vocabulary, of one pass.",
    fields: [lines("texts", "Texts", STORY)],
    draw: (answer, given) => [...mapped(answer, given), ...weighted(answer, given)],
  },
  "token-embedding": {
    about: "A vector for each token. The first line is a question; the parts of the others that meet it are shaded.",
    fields: [lines("texts", "A question, then documents", `who watches the sea?\n${STORY}`)],
    draw: (answer, { texts }) => texts.slice(1).map((document, index) => met(answer, texts, index + 1)),
  },
  "late-interaction": {
    about: "Documents by how well they answer a query, vector by vector of their tokens.",
    route: "text-ranking",
    fields: [text("query", "Query", "a storm at sea", 1), lines("documents", "Documents", STORY)],
    draw: (answer, { documents }) =>
      [bars(zip(answer.indices, answer.scores).map(([index, score]) => [documents[index], score]))],
  },
  "sparse-embedding": {
    about: "Each text as weighted terms of the vocabulary, by their ids.",
    fields: [lines("texts", "Texts", STORY)],
    draw: weighted,
  },
  "text-classification": {
    about: "Labels and their scores.",
    fields: [
      lines("texts", "Texts", "I love this harbour\nThe film was far too long"),
      { ...lines("text_pairs", "Second texts", "There is a harbour\nThe film was short"), when: (model) => model.pairs },
    ],
    draw: (answer, { texts }) => texts.map((each, index) => group(each, labelled(answer, index))),
  },
  "zero-shot-classification": {
    about: "Which of your own labels fit.",
    fields: [oneText("texts", "Text", "The storm took the roof of the theatre"), words("labels", "Labels", "weather, films, medicine")],
    draw: (answer) => [labelled(answer, 0)],
  },
  "text-ranking": {
    about: "Documents by how well they answer a query.",
    fields: [text("query", "Query", "a storm at sea", 1), lines("documents", "Documents", STORY)],
    draw: (answer, { documents }) =>
      [bars(zip(answer.indices, answer.scores).map(([index, score]) => [documents[index], score]))],
  },
  "token-classification": {
    about: "Entities, marked in the text.",
    fields: [oneText("texts", "Text", "Ada Lovelace met Charles Babbage in London. 😀 She wrote to him from Turin.")],
    draw: (answer, { texts }) => [entities(texts[0], answer.entities[0])],
  },
  "zero-shot-token-classification": {
    about: "Entities of your own labels, marked in the text.",
    fields: [
      oneText("texts", "Text", "Ada Lovelace met Charles Babbage in London. 😀 She wrote to him from Turin."),
      words("labels", "Labels", "person, city"),
    ],
    draw: (answer, { texts }) => [entities(texts[0], answer.entities[0])],
  },
  "question-answering": {
    about: "The part of a context that answers a question.",
    fields: [
      text("question", "Question", "What went out?", 1),
      text("context", "Context", "As the storm came in, the harbour lights went out one by one. 😀 Nobody saw it but the keeper.", 5),
    ],
    options: { top_k: 3 },
    draw: (answer, { context }) => [
      marked(context, answer.spans[0].slice(0, 1)),
      bars(answer.spans[0].map((span) => [span.text || "no answer", span.score])),
    ],
  },
  "fill-mask": {
    about: "The likeliest tokens in the place of each mask.",
    fields: [oneText("texts", "Text", (model) => `The harbour ${model.mask_token} went out in the ${model.mask_token}.`)],
    draw: (answer, { texts }, model) => filled(texts[0], answer.masks[0], model.mask_token),
  },
  "text2text-generation": {
    about: "New texts that the model makes of texts.",
    fields: [lines("texts", "Texts", STORY)],
    draw: (answer) => answer.texts.map((made) => element("p", {}, made)),
  },
};

function zip(ones, others) {
  return ones.map((one, index) => [one, others[index]]);
}

function group(title, ...children) {
  return element("section", { class: "group" }, element("h3", {}, title), ...children);
}

function mapped(answer, { texts }) {
  return [
    similarityMap(texts.slice(0, MAPPED), answer.vectors.slice(0, MAPPED)),
    element("p", { class: "soft" }, `${texts.length} vectors of ${answer.vectors[0].length} numbers`
      + (texts.length > MAPPED ? `; the map has the first ${MAPPED}.` : ".")),
  ];
}

function weighted(answer, { texts }) {
  return texts.map((each, index) => group(each, bars(
    zip(answer.token_ids[index], answer.weights[index]).slice(0, 10).map(([id, weight]) => [`term ${id}`, weight]))));
}

function labelled(answer, index) {
  return bars(zip(answer.labels[index], answer.scores[index]).slice(0, 10));
}

function entities(text, found) {
  if (!found.length) return element("p", {}, "No entity.");
  return marked(text, found.map((each) => ({ ...each, title: `${each.label}, score ${shown(each.score)}` })));
}

/** A text with each mask filled by its likeliest token, and all candidates below. */
function filled(text, masks, mask) {
  const pieces = text.split(mask);
  const best = pieces.flatMap((piece, index) =>
    index < masks.length ? [piece, element("mark", {}, masks[index][0].token.trim())] : [piece]);
  const listed = masks.map((fills, index) =>
    group(`Mask ${index + 1}`, bars(fills.map((fill) => [fill.token.trim() || "␣", fill.score]))));
  return [element("p", { class: "marked" }, ...best), ...listed];
}

/** A document whose tokens are shaded by the cosine to the token of the question that they are nearest to. */
function met(answer, texts, index) {
  const question = answer.vectors[0];
  const nearest = answer.vectors[index].map((vector) => Math.max(...question.map((other) => cosine(vector, other))));
  const spans = zip(answer.offsets[index], nearest)
    .filter(([[start]]) => start >= 0)
    .map(([[start, end], part]) => ({ start, end, part, title: `cosine ${shown(part, 2)}` }));
  const score = question
    .map((vector) => Math.max(...answer.vectors[index].map((other) => cosine(vector, other))))
    .reduce((sum, most) => sum + most, 0);
  return element("section", { class: "group" }, marked(texts[index], spans), element("p", { class: "soft" }, `late interaction: ${shown(score)}`));
}

/** What the network saw of each text, and what was cut. */
export function tokensSeen(answer) {
  const counts = zip(answer.token_counts, answer.dropped_counts);
  const [seen, dropped] = [0, 1].map((part) => counts.reduce((sum, each) => sum + each[part], 0));
  const said = element("p", { class: dropped ? "problem" : "soft" }, `${seen} tokens seen, ${dropped} dropped.`);
  if (counts.length < 2) return [said];
  const rows = counts.map(([saw, cut], index) =>
    element("tr", {}, element("th", { scope: "row" }, `${index + 1}`), element("td", {}, `${saw}`), element("td", {}, `${cut}`)));
  const head = ["text", "seen", "dropped"].map((name) => element("th", { scope: "col" }, name));
  return [said, element("details", {}, element("summary", {}, "Text by text"),
    scrolling("Tokens", element("table", { class: "counts" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows))))];
}
