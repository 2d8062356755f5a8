import OpenAI from "openai";

export async function embed({ url, model, texts, ...options }) {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "unused", maxRetries: 0, ...options });
  const answer = await client.embeddings.create({ model, input: texts }); // base64 on the wire
  return answer.data.map((each) => Array.from(each.embedding));
}

export async function embed_as_numbers({ url, model, texts }) {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "unused" });
  const answer = await client.embeddings.create({ model, input: texts, encoding_format: "float" });
  return answer.data.map((each) => each.embedding);
}

export async function leave({ url, model, texts }) {
  return embed({ url, model, texts, timeout: 200 });
}
