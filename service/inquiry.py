"""From one picture to its answer, in steps that may run in different threads."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from data.images import Box, Picture, Pixels
from data.photo import Photo
from model.prediction import Prediction
from model.recogniser import RecognisedObject, Recogniser, decode_photo, whole_photo
from model.waiting import Waited, adding_to
from service.answers import Options, preview, readable, thumbnail
from service.problems import Problem, engine_problems
from service.stages import Stages

NO_DETECTOR = "This classifier has no detector, so it classifies only whole pictures and boxes."

Body = dict[str, Any]


class Inquiry:
    """A question about one picture: what it shows, or what is where in it.

    `look`, or `decode` and `classify`, decides whether the whole picture is the answer. If not, `search` looks for
    objects in it, which takes some fifty times as long as classifying it.

    Args:
        recogniser: answers.
        options: of the request.
        every: whether to return every object instead of one prediction.

    Attributes:
        stages: how long each step took.
        photo: the decoded picture; None before `decode`, and if nothing is searched.
        predictions: those in the answer that say something about the picture; candidates that are not accepted do not.

    Raises:
        Problem: `not_implemented` if every object is wanted and there is no detector; `bad_request` if the options do
            not apply to what is asked.
    """

    def __init__(self, recogniser: Recogniser, options: Options, *, every: bool = False) -> None:
        if every and options.box is not None:
            raise Problem("bad_request", "`box` is not supported on `/detect/{task}`.")
        if every and not options.locate:
            raise Problem("bad_request", "`locate=false` is not supported on `/detect/{task}`.")
        if options.preview and not every:
            raise Problem("bad_request", "`preview` is only supported on `/detect/{task}`.")
        if every and recogniser.detector is None:
            raise Problem("not_implemented", NO_DETECTOR)
        self._recogniser, self._options, self._every = recogniser, options, every
        self.may_search = every or (options.locate and recogniser.detector is not None)
        self.stages = Stages()
        self._waited = Waited()
        self.predictions: Sequence[Prediction] = ()
        self._pixels: Pixels
        self.photo: Photo | None = None
        self._truncated: bool
        self._whole: Prediction

    def look(self, picture: Picture) -> Body | None:
        """Decode a picture and classify it as a whole; return the answer, or None if it must be searched.

        Raises:
            Problem: the picture is damaged, or the box is not inside it.
        """
        self.decode(picture)
        return self.classify()

    def decode(self, picture: Picture) -> None:
        """Decode a picture.

        Raises:
            Problem: the picture is damaged, or the box is not inside it.
        """
        size = self._recogniser.card.input_size
        self.stages.begin()
        if self.may_search:
            self.photo = readable(lambda: decode_photo(picture, self._options.box))
            self._pixels = self.photo.resize(size)
        else:
            self._pixels = readable(lambda: picture.decode(size, self._options.box))
        self._truncated = picture.truncated
        self.stages.end("decode")

    def classify(self) -> Body | None:
        """Classify the decoded picture as a whole; return the answer, or None if it must be searched.

        Raises:
            Problem: `engine_failed` or `engine_timeout`.
        """
        self.stages.begin()
        with self._asking():
            whole = self._recogniser.classifier.classify(self._pixels, explain=self._options.explain)
        self.stages.end("infer")
        return self._conclude(whole)

    async def classify_async(self) -> Body | None:
        """Do what `classify` does; the event loop goes on meanwhile if an inference server runs the network."""
        self.stages.begin()
        with self._asking():
            whole = await self._recogniser.classifier.classify_async(self._pixels, explain=self._options.explain)
        self.stages.end("infer")
        return self._conclude(whole)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Raise errors of the inference server as problems; its time limit is for all calls about this picture."""
        with engine_problems(self._recogniser.card.task), adding_to(self._waited):
            yield

    @staticmethod
    def classify_all(inquiries: Sequence["Inquiry"]) -> list[Body | None]:
        """Classify the decoded pictures of several inquiries in one run of the network.

        Args:
            inquiries: with the same recogniser and options; at least one.

        Returns:
            What `classify` returns, for each.

        Raises:
            Problem: `engine_failed` or `engine_timeout`.
        """
        first, pixels = inquiries[0], np.stack([each._pixels for each in inquiries])
        began = time.perf_counter()
        with first._asking():
            wholes = first._recogniser.classifier.classify_all(pixels, explain=first._options.explain)
        share = (time.perf_counter() - began) / len(inquiries)
        for each in inquiries:
            each.stages.add("infer", share)
            each._waited.seconds = first._waited.seconds
        return [each._conclude(whole) for each, whole in zip(inquiries, wholes, strict=True)]

    def _conclude(self, whole: Prediction) -> Body | None:
        """Return the answer, given the prediction for the whole picture, or None if it must be searched."""
        self._whole = whole
        if self.may_search and self._recogniser.must_search(whole):
            return None
        return self._answer()

    def search(self) -> Body:
        """Look for objects in a picture that is not accepted as a whole; return the answer.

        Raises:
            Problem: `engine_failed` or `engine_timeout`.
        """
        if self.photo is None:
            raise RuntimeError("the picture was not decoded for a search")
        self.stages.begin()
        explain = self._options.explain
        with self._asking():
            if self._every:
                found, capped = self._recogniser.find_all(self.photo, explain=explain)
            else:
                best = self._recogniser.find_best(self.photo, explain=explain)
        self.stages.end("locate")
        return self._answer_every(self.photo, found, capped=capped) if self._every else self._answer(best)

    def _answer(self, best: RecognisedObject | None = None) -> Body:
        """Return one prediction: that for an object, if there is one, else that for the whole picture."""
        if self._every and self.photo is not None:
            return self._answer_every(self.photo, [whole_photo(self.photo, self._whole, self._pixels)])
        if best is None:
            body = self._body_of(self._whole, self._pixels)
            self.predictions = [self._whole]
        else:
            body = {**self._body_of(best.prediction, best.pixels), "box": self._in_picture(best.box)}
            self.predictions = [best.prediction]
        if self._truncated:
            body["truncated"] = True
        self.stages.end("encode")
        return body

    def _answer_every(self, photo: Photo, found: Sequence[RecognisedObject], *, capped: bool = False) -> Body:
        card = self._recogniser.card
        body = {
            "width": photo.width,
            "height": photo.height,
            "objects": [
                {"box": each.box, "score": each.score, **self._body_of(each.prediction, each.pixels)} for each in found
            ],
            "truncated": self._truncated,
            **({"capped": True} if capped else {}),
            **({"preview": preview(photo)} if self._options.preview else {}),
            "model": {"task": card.task, "version": card.version},
        }
        self.predictions = [each.prediction for each in found if each.prediction.is_accepted]
        self.stages.end("encode")
        return body

    def _in_picture(self, found: Box) -> Box:
        """Return a box in the photo as one in the picture, from which the photo may have been cut."""
        across, down = self._options.box[:2] if self._options.box else (0, 0)
        left, top, right, bottom = found
        return left + across, top + down, right + across, bottom + down

    def _body_of(self, prediction: Prediction, pixels: Pixels) -> Body:
        body = prediction.to_json(self._recogniser.card, self._options.top_k, self._options.explain)
        if self._options.thumbnail:
            body["thumbnail"] = thumbnail(pixels)
        return body
