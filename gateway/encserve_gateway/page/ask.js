/** Questions to the gateway. The API key is kept in this variable and nowhere else. */
let key = "";

export function useKey(text) {
  key = text.trim();
}

/** What the gateway refused, or that it did not answer: status 0. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * The response of a route: GET, or POST where there is a body.
 * Paths are relative, so that the page works below a prefix, too. Throws Refused.
 */
export async function ask(path, { body, signal, anyStatus = false } = {}) {
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  const options = { headers, signal, cache: "no-store", credentials: "omit" };
  if (body !== undefined) {
    Object.assign(options, { method: "POST", body: JSON.stringify(body) });
    headers["content-type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The gateway does not answer.");
  }
  if (!response.ok && !anyStatus) throw new Refused(response.status, await reason(response));
  return response;
}

async function reason(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `The gateway answers with status ${response.status}.`; // a proxy's page
  }
}
