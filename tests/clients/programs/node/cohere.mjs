import { CohereClientV2 } from "cohere-ai";

const connect = (url) => new CohereClientV2({ token: "unused", environment: url });

export async function embed({ url, model, texts }) {
  const answer = await connect(url).embed({ model, inputType: "search_document", texts, embeddingTypes: ["float"] });
  return answer.embeddings.float;
}

export async function rank({ url, model, query, documents }) {
  const answer = await connect(url).rerank({ model, query, documents });
  return answer.results.map((each) => [each.index, each.relevanceScore]);
}
