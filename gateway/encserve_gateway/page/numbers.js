/** What happens now, from two looks at the page of metrics. */

const PREFIX = "encserve_gateway_";
const LINE = /^(\w+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** The samples of a page in Prometheus's text format: [{name, labels, value}]. */
export function samplesOf(page) {
  const samples = [];
  for (const line of page.split("\n")) {
    const found = LINE.exec(line);
    if (!found || !found[1].startsWith(PREFIX)) continue;
    const labels = {};
    for (const [, name, value] of (found[2] ?? "").matchAll(LABEL)) {
      labels[name] = value.replace(/\\(.)/g, (_, letter) => (letter === "n" ? "\n" : letter));
    }
    samples.push({ name: found[1].slice(PREFIX.length), labels, value: Number(found[3]) });
  }
  return samples;
}

/**
 * One look: counts since the gateway started, of requests that a model answered; what this page itself asks to show
 * them names no model.
 */
export function lookAt(page, atS) {
  const look = { atS, version: "", inFlight: 0, refused: 0, texts: 0, models: new Map() };
  const model = (name) => {
    if (!look.models.has(name)) look.models.set(name, { requests: 0, buckets: new Map() });
    return look.models.get(name);
  };
  for (const { name, labels, value } of samplesOf(page)) {
    if (name === "in_flight_requests") look.inFlight += value;
    else if (name === "refused_requests_total") look.refused += value;
    else if (name === "texts_total") look.texts += value;
    else if (name === "build_info") look.version = labels.version;
    else if (!labels.model) continue;
    else if (name === "requests_total") model(labels.model).requests += value;
    else if (name === "request_duration_seconds_bucket") {
      const { buckets } = model(labels.model);
      const limit = labels.le === "+Inf" ? Infinity : Number(labels.le);
      buckets.set(limit, (buckets.get(limit) ?? 0) + value);
    }
  }
  return look;
}

/** Between two looks: rates a second, and latencies in seconds that half, and 95 of 100, of the requests stay below. */
export function between(before, after) {
  const seconds = Math.max(after.atS - before.atS, 1e-9);
  const rate = (now, then) => Math.max(now - then, 0) / seconds; // a gateway that was started again begins at zero
  const all = new Map();
  const models = new Map();
  let requests = 0;
  for (const [name, now] of after.models) {
    const then = before.models.get(name) ?? { requests: 0, buckets: new Map() };
    const added = new Map();
    for (const [limit, count] of now.buckets) {
      const more = Math.max(count - (then.buckets.get(limit) ?? 0), 0);
      added.set(limit, more);
      all.set(limit, (all.get(limit) ?? 0) + more);
    }
    const perSecond = rate(now.requests, then.requests);
    requests += perSecond;
    models.set(name, { perSecond, ...latencies(added) });
  }
  return {
    inFlight: after.inFlight,
    perSecond: requests,
    textsPerSecond: rate(after.texts, before.texts),
    refusedPerSecond: rate(after.refused, before.refused),
    ...latencies(all),
    models,
  };
}

function latencies(buckets) {
  return { p50: quantile(buckets, 0.5), p95: quantile(buckets, 0.95) };
}

/** A quantile of cumulative buckets, limit to count, as Prometheus reckons it; null where there was nothing. */
export function quantile(buckets, part) {
  const limits = [...buckets.keys()].sort((one, other) => one - other);
  const total = limits.length ? buckets.get(limits.at(-1)) : 0;
  if (!total) return null;
  let [below, lower] = [0, 0];
  for (const limit of limits) {
    const count = buckets.get(limit);
    if (count >= part * total && count > below) {
      return limit === Infinity ? lower : lower + ((limit - lower) * (part * total - below)) / (count - below);
    }
    [below, lower] = [count, limit];
  }
  return lower;
}
