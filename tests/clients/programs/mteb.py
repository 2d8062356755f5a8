from mteb.models.openai_wrappers import OpenAIAPIEncodeWrapper, OpenAIAPIRerankWrapper

OF_NO_TASK = {"task_metadata": None, "hf_split": "test", "hf_subset": "default", "show_progress_bar": False}


def embed(url, model, texts):
    wrapper = OpenAIAPIEncodeWrapper(url, model, use_chat_template=False)
    return wrapper.encode([{"text": texts}], **OF_NO_TASK).tolist()


def rank(url, model, query, documents):
    wrapper = OpenAIAPIRerankWrapper(url, model)
    scores = wrapper.predict([{"text": [query] * len(documents)}], [{"text": documents}], **OF_NO_TASK).tolist()
    return sorted(enumerate(scores), key=lambda each: -each[1])
