/** Pieces of the page. Whatever comes from outside becomes the text of a node, and never markup. */

/** An element. Attributes that are true have no value, those that are false or null are left out. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** The same, with a custom property of CSS, which the policy of this page does not let an attribute set. */
export function sized(tag, part, attributes = {}, ...children) {
  const made = element(tag, attributes, ...children);
  made.style.setProperty("--part", Math.min(Math.max(part, 0), 1).toFixed(4));
  return made;
}

export function shown(number, digits = 3) {
  if (number === null || !Number.isFinite(number)) return "–";
  return number.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits });
}

/**
 * Scores as bars: items are [what, score]. Scores between 0 and 1 have bars of that part, others (the logits of
 * rerankers, weights of terms) bars between the least and the greatest of them.
 */
export function bars(items) {
  const scores = items.map(([, score]) => score);
  const [least, most] = [Math.min(0, ...scores), Math.max(1, ...scores)];
  const row = ([what, score]) =>
    element("li", {},
      element("span", { class: "what" }, what),
      element("span", { class: "score" }, shown(score)),
      sized("span", (score - least) / (most - least), { class: "bar", "aria-hidden": "true" }));
  return element("ol", { class: "bars" }, ...items.map(row));
}

/**
 * A text with spans of it marked: [{start, end, label, title, part}], which count characters as Python does.
 * Spans that begin before the last one ended are left out.
 */
export function marked(text, spans) {
  const characters = Array.from(text); // and not halves of them
  const nodes = [];
  let at = 0;
  for (const span of [...spans].sort((one, other) => one.start - other.start)) {
    if (span.start < at || span.end <= span.start) continue;
    nodes.push(characters.slice(at, span.start).join(""));
    const inside = [characters.slice(span.start, span.end).join("")];
    if (span.label) inside.push(element("span", { class: "label" }, span.label));
    nodes.push(sized("mark", span.part ?? 1, { title: span.title ?? null, class: span.part === undefined ? null : "shaded" }, ...inside));
    at = span.end;
  }
  nodes.push(characters.slice(at).join(""));
  return element("p", { class: "marked" }, ...nodes);
}

export function cosine(one, other) {
  let [product, ones, others] = [0, 0, 0];
  for (let place = 0; place < one.length; place++) {
    product += one[place] * other[place];
    ones += one[place] ** 2;
    others += other[place] ** 2;
  }
  return ones && others ? product / Math.sqrt(ones * others) : 0;
}

/** How similar texts are to each other, as a table of cosines that is shaded by them. */
export function similarityMap(texts, vectors) {
  const head = texts.map((text, index) => element("th", { scope: "col", title: text }, `${index + 1}`));
  const rows = vectors.map((vector, index) =>
    element("tr", {},
      element("th", { scope: "row", title: texts[index] }, element("b", {}, `${index + 1} `), texts[index]),
      ...vectors.map((other) => {
        const value = cosine(vector, other);
        return sized("td", value, { class: value > 0.79 ? "strong" : null }, shown(value, 2));
      })));
  return scrolling("Cosines of the texts",
    element("table", { class: "map" },
      element("caption", {}, "Cosines: 1 means the same direction."),
      element("thead", {}, element("tr", {}, element("td"), ...head)),
      element("tbody", {}, ...rows)));
}

/** Something wide that scrolls, with the keys too. */
export function scrolling(name, ...children) {
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name }, ...children);
}

/** A line through values, newest last; nothing where there are fewer than two. */
export function sparkline(values, name) {
  const space = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(space, "svg");
  drawing.setAttribute("viewBox", "0 0 100 24");
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.setAttribute("role", "img");
  drawing.setAttribute("aria-label", name);
  if (values.length > 1) {
    const most = Math.max(...values, 1e-9);
    const line = document.createElementNS(space, "polyline");
    const place = (value, index) => `${(100 * index) / (values.length - 1)},${23 - (22 * value) / most}`;
    line.setAttribute("points", values.map(place).join(" "));
    drawing.append(line);
  }
  return drawing;
}
