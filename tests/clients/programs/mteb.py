import mteb
from datasets import Dataset, DatasetDict
from mteb.abstasks import AbsTaskSTS
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models.openai_wrappers import OpenAIAPIEncodeWrapper, OpenAIAPIRerankWrapper

OF_NO_TASK = {"task_metadata": None, "hf_split": "test", "hf_subset": "default", "show_progress_bar": False}


def embed(url, model, texts):
    wrapper = OpenAIAPIEncodeWrapper(url, model, use_chat_template=False)
    return wrapper.encode([{"text": texts}], **OF_NO_TASK).tolist()


def rank(url, model, query, documents):
    wrapper = OpenAIAPIRerankWrapper(url, model)
    scores = wrapper.predict([{"text": [query] * len(documents)}], [{"text": documents}], **OF_NO_TASK).tolist()
    return sorted(enumerate(scores), key=lambda each: -each[1])


def evaluate(url, model, pairs):
    """The main score of a task of similarity, whose pairs are (text, text, score)."""
    first, second, scores = zip(*pairs, strict=True)

    class Similarity(AbsTaskSTS):
        metadata = TaskMetadata(
            name="Similarity",
            description="Pairs of texts that were given.",
            type="STS",
            dataset={"path": "given", "revision": "1"},
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="cosine_spearman",
        )

        def load_data(self, **_):
            rows = {"sentence1": first, "sentence2": second, "score": scores}
            self.dataset = DatasetDict({"test": Dataset.from_dict(rows)})
            self.data_loaded = True

    wrapper = OpenAIAPIEncodeWrapper(url, model, use_chat_template=False)
    evaluated = mteb.evaluate(wrapper, Similarity(), cache=None, show_progress_bar=False)
    return evaluated.task_results[0].get_score()
