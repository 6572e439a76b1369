"""Answers the pictures of a batch, several of them in one run of the network."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from data.images import Picture
from model.detector import MAX_PIXELS
from model.recogniser import Recogniser
from service.answers import Options
from service.catalogue import Served
from service.inference import InferenceQueue
from service.inquiry import Inquiry
from service.problems import Problem
from service.stages import Stages

PART: Final = 16  # pictures that one thread answers in a row; takes some milliseconds
HELD_PIXELS: Final = 4 * MAX_PIXELS  # of decoded photos in a thread that wait for each other; 32 MB if transparent

Entry = Picture | Problem


def answer_part(
    served: Served, recogniser: Recogniser, part: Sequence[Entry], options: Options, inference: InferenceQueue
) -> tuple[list[dict[str, Any]], Stages]:
    """Answer some pictures of a batch, in a thread that has no other work.

    Args:
        served: their task.
        recogniser: answers.
        part: the pictures, or why they cannot be answered.
        options: of the request.
        inference: where photos are searched.

    Returns:
        For each picture a prediction or a problem, and the stages of all.
    """
    answers: list[dict[str, Any]] = []
    everything = Stages()
    for group in _groups(part):
        inquiries = [Inquiry(recogniser, options) for _ in group]
        answers += _answer_group(served, group, inquiries, inference)
        for inquiry in inquiries:
            everything.seconds += inquiry.stages.seconds
    return answers, everything


def _answer_group(
    served: Served, group: Sequence[Entry], inquiries: Sequence[Inquiry], inference: InferenceQueue
) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = [{} for _ in group]
    asked: dict[int, Inquiry] = {}
    for place, (entry, inquiry) in enumerate(zip(group, inquiries, strict=True)):
        try:
            if isinstance(entry, Problem):
                raise entry
            inquiry.decode(entry)
            asked[place] = inquiry
        except Problem as problem:
            answers[place] = {"problem": problem.body()}
    try:
        answered = Inquiry.classify_all(list(asked.values())) if asked else []
    except Problem as problem:
        return [answer or {"problem": problem.body()} for answer in answers]
    for (place, inquiry), body in zip(asked.items(), answered, strict=True):
        try:
            answers[place] = {"prediction": body or inference.search_here(inquiry.search)}
            served.metrics.count_answer(inquiry.predictions, inquiry.stages)
        except Problem as problem:
            answers[place] = {"problem": problem.body()}
        inquiry.photo = None  # the memory is for the next ones
    return answers


def _groups(part: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Yield the pictures in groups whose decoded photos together have at most `HELD_PIXELS`."""
    group: list[Entry] = []
    held = 0
    for entry in part:
        pixels = min(MAX_PIXELS, entry.width * entry.height) if isinstance(entry, Picture) else 0
        if group and held + pixels > HELD_PIXELS:
            yield group
            group, held = [], 0
        group.append(entry)
        held += pixels
    if group:
        yield group
