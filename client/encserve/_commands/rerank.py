"""`encserve rerank`: documents in the order in which they answer a query, as JSON lines."""

import argparse
import json

from encserve._commands.json_lines import report_cut
from encserve._commands.options import add_options, given_options
from encserve._commands.server_arguments import open_client
from encserve._commands.text_arguments import add_pipeline_arguments, add_texts, texts_of
from encserve._verbs.rerank import RERANK

SUMMARY = "order documents by how well they answer a query"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_texts(parser, name="DOCUMENT")
    add_pipeline_arguments(parser)
    parser.add_argument("--query", required=True, metavar="TEXT", help="what the documents are to answer")
    add_options(parser, RERANK, without=("document_vectors",))


def run(arguments: argparse.Namespace) -> int:
    """Rank the documents."""
    documents = list(texts_of(arguments))
    with open_client(arguments) as client:
        ranking = client.rerank(
            arguments.query,
            documents,
            model=arguments.model,
            **given_options(arguments, RERANK),
        )
    for index, score in zip(ranking.indices.tolist(), ranking.scores.tolist(), strict=True):
        print(json.dumps({"index": index, "score": score, "document": documents[index]}, ensure_ascii=False))
    report_cut([ranking])
    return 0
