"""The answer to a call about one text, piece by piece.

The step that makes it is asked, not the ensemble around it: Triton tells a step that its caller has gone, and an
ensemble passes that on to none. The step is asked for the version that the ensemble names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from encserve._conversation.call import Call
from encserve._conversation.effects import Hand, OpenStream, Receive, Sleep, Talk
from encserve._conversation.information import Information
from encserve._conversation.retry import Schedule
from encserve._errors import ContractError, EncserveError, ModelNotFound
from encserve._messages import InferRequest, InferResponse
from encserve._pipeline import PipelineInfo
from encserve._results import Generations


def streamed(
    call: Call[Generations],
    pipeline: PipelineInfo,
    schedule: Schedule,
    information: Information,
    new_id: Callable[[], str],
) -> Talk[None]:
    """Hand over the pieces of an answer, and cancel what is left of it where nobody wants more.

    What fails before the first piece is tried again as `schedule` says; nothing is after it, as another answer may go
    on otherwise. Where the version has gone, as after a start of the server, what serves now is asked, once.
    """
    (chunk,) = call.chunks_of_list(call.limits(pipeline, 1))
    model, asked_again = pipeline.name, False
    while True:
        request = _of_step(call, call.request(chunk, pipeline, new_id()), pipeline)
        stream = None
        began = False
        finish = ""
        try:
            stream = yield OpenStream(request, schedule.left_s())
            while (response := (yield Receive(stream))) is not None:
                began = True
                schedule.answered()
                part = call.part(_of_pipeline(response, call), chunk, pipeline)
                finish = part.finishes[0]
                yield Hand(part)
            if not finish:
                what = "ended the stream before the text" if began else "sent no response"
                raise ContractError(f"the server {what}", model=call.model, request_id=request.request_id)
            return
        except EncserveError as error:
            if isinstance(error, ModelNotFound) and not began and not asked_again and not call.pin:
                information.forget(model)
                pipeline = yield from information.latest(model, call.deadline)
                asked_again, delay_s = True, 0.0
            else:
                again = None if began else schedule.next_delay_s(error)
                if again is None:
                    error.model, error.timeout_s = call.model, call.deadline.timeout_s
                    raise
                delay_s = again
        finally:
            if stream is not None:
                stream.cancel()
        yield Sleep(delay_s)


def _of_step(call: Call[Generations], request: InferRequest, pipeline: PipelineInfo) -> InferRequest:
    return replace(
        request,
        model=f"{call.model}_generate",
        model_version=call.version or pipeline.version,
        parameters={**request.parameters, "stream": True},
    )


def _of_pipeline(response: InferResponse, call: Call[Generations]) -> InferResponse:
    return replace(response, model=call.model)
