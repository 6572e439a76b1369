"""What the service answers: a model for each answer, and the only place where JSON becomes one of them.

The models contain what the page reads. Other members of an answer are ignored, so a newer service may add some.
"""

from typing import Annotated, Final, Literal, TypeVar

from pydantic import Base64Bytes, BaseModel, BeforeValidator, ConfigDict, Field, RootModel, ValidationError

# The page needs what the service offers since this version, and knows no other major version.
CONTRACT: Final = (2, 3)
MOST_FOUND: Final = 100  # possible objects that the detector reports of a photo

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels of the upright picture, right and bottom excluded
Index = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=1)]  # pixels
Probability = Annotated[float, Field(ge=0, le=1)]
Version = Annotated[str, Field(pattern=r"^[0-9]{1,9}\.[0-9]{1,9}$")]


class AnswerError(Exception):
    """An answer does not have the shape that the contract gives it; the message says where."""


class Answer(BaseModel):
    """Base of all models: they cannot be changed, and values of another JSON type are not converted."""

    model_config = ConfigDict(frozen=True, strict=True)


class Open(Answer):
    """Base of the models that keep the members which the page does not read, to show them as they came."""

    model_config = ConfigDict(extra="allow")


A = TypeVar("A", bound=BaseModel)


def read_answer(shape: type[A], content: bytes) -> A:
    """Parse an answer in JSON.

    Raises:
        AnswerError: it is not JSON, or not of this shape.
    """
    try:
        return shape.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the answer"
        raise AnswerError(f"{place}: {first['msg']}") from error


class Greeting(Answer):
    """The member of `/tasks` that tells whether this page knows the others."""

    contract: Version


class Fact(Answer):
    """A key under which labels have a text, and its title in English and German.

    `short` texts fit into a badge, a table column or a filter; others are sentences. Texts that are `in_answer` are
    part of every prediction.
    """

    key: str
    title: str
    title_de: str
    short: bool
    in_answer: bool


class Label(Answer):
    """Name, description and facts of one class, in English and, with `_de`, in German.

    `confused_with` lists class indices, the most similar first. `facts` maps the keys of the declared facts to texts;
    a key with `_de` appended has the German text.
    """

    index: Index
    name: str
    name_de: str
    description: str
    description_de: str
    confused_with: tuple[Index, ...]
    facts: dict[str, str]


class Labels(RootModel[tuple[Label, ...]]):
    """All classes, in the order of their indices."""

    model_config = ConfigDict(frozen=True, strict=True)


class Alternative(Answer):
    """One of the most probable classes."""

    class_index: Index
    class_name: str
    probability: Probability


class ModelName(Answer):
    """The classifier that made a prediction."""

    version: str


class Prediction(Answer):
    """The most probable class of a picture and how far to trust it.

    `heatmap` has rows of values in [0, 1], or is None if the classifier has none. `thumbnail` is a PNG in base64 of
    what the classifier saw, or "" if it was not requested. The file of a `truncated` picture ends early. `box` is the
    part of the picture that the answer is about, if the service located it.
    """

    class_index: Index
    class_name: str
    probability: Probability
    verdict: Literal["confident", "unsure", "not_recognised"]
    alternatives: tuple[Alternative, ...]
    model: ModelName
    heatmap: tuple[tuple[float, ...], ...] | None = None
    thumbnail: str = ""
    truncated: bool = False
    box: Box | None = None


class Found(Prediction):
    """Something in a photo that looks like one of the classes: its box, the detector's score, and the prediction."""

    box: Box
    score: Probability


class Scene(Answer):
    """What was found in a photo of `width` by `height` pixels, the most prominent object first.

    `objects` also has what the classifier did not recognise. It is empty if there is nothing like one of the classes.
    `capped` means that the detector reached its limit of `MOST_FOUND`, so that some may be missing. The file of a
    `truncated` photo ends early, so that a part of it could not be searched. `preview` is a JPEG of the upright photo,
    perhaps smaller, or empty if it was not requested.
    """

    width: Side
    height: Side
    objects: tuple[Found, ...]
    model: ModelName
    truncated: bool = False
    capped: bool = False
    preview: Base64Bytes = b""

    @property
    def is_whole(self) -> bool:
        """Whether the classifier recognised the whole picture, so that nothing was searched."""
        return [found.box for found in self.objects] == [(0, 0, self.width, self.height)]


class FinishedEpoch(Answer):
    """The results of one epoch of a training."""

    epoch: int
    loss: float
    validation_accuracy: float | None = None


class TrainingState(Answer):
    """How far a training is; None where a value does not apply to its stage. `epoch` counts finished epochs."""

    stage: str
    epoch: int | None = None
    epochs: int | None = None
    loss: float | None = None
    validation_accuracy: float | None = None
    remaining_s: float | None = None
    history: tuple[FinishedEpoch, ...] = ()


class Task(Answer):
    """What the service recognises: its name in URLs, its titles, its number of classes, and its state.

    `version` is that of the classifier, "" if there is none yet; `detail` says why, and `progress` is that of its
    training. `offers` has the optional features.
    """

    name: str
    title: str
    title_de: str | None = None
    classes: Annotated[int, Field(ge=1)]
    state: Literal["ready", "training", "failed"]
    version: Annotated[str, BeforeValidator(lambda version: version or "")]
    detail: str = ""
    progress: TrainingState | None = None
    offers: frozenset[str]


class Service(Answer):
    """The version of the service's contract, and its tasks: at least one, the first one first."""

    contract: Version
    tasks: Annotated[tuple[Task, ...], Field(min_length=1)]


class Problem(Answer):
    """Why there is no answer (RFC 9457); without a classifier with its `task` and the `progress` of its training."""

    type: str
    detail: str
    task: str = ""
    progress: TrainingState | None = None

    @property
    def kind(self) -> str:
        """The last part of the problem's type, such as `too_large`."""
        return self.type.rpartition(":")[2]


class Answered(Answer):
    """One picture of a batch that was classified."""

    prediction: Prediction


class Failed(Answer):
    """One picture of a batch that could not be classified."""

    problem: Problem


class Results(Answer):
    """The answers to a batch, in the order of its pictures."""

    results: tuple[Answered | Failed, ...]


class Receipt(Answer):
    """The answer to feedback: class folder and name of the file that was stored."""

    stored: str


# The card of the classifier


class ClassCounts(Open):
    """Held-out pictures of a class, and how many were classified wrongly."""

    class_index: Index
    examples: int
    errors: int


class HeldOut(Open):
    """The accuracy on held-out pictures, with its 95% confidence interval."""

    examples: int
    errors: int
    accuracy: float
    accuracy_interval_95: tuple[float, float]
    grouped: bool = False
    groups: int = 0
    per_class: tuple[ClassCounts, ...] = ()


class VerdictCounts(Open):
    """Held-out pictures with a verdict, and how many were classified wrongly."""

    examples: int
    errors: int


class CalibrationBin(Open):
    """The mean probability and the accuracy of some predictions."""

    examples: int
    probability: float
    accuracy: float


class Confusion(Open):
    """How many pictures of a class were taken for another one."""

    class_index: Index
    predicted: Index
    count: int


class Mistake(Open):
    """A wrong answer to a held-out picture; pictures of one group belong together."""

    class_index: Index
    predicted: Index
    probability: float
    group: str


class Refusal(Open):
    """The share of pictures of one kind that were not recognised, as they should not be."""

    pictures: int
    not_recognised: float


class Metrics(Open):
    """The results of the evaluation; all but those on held-out pictures may be missing."""

    held_out: HeldOut
    verdicts: dict[str, VerdictCounts] = {}
    calibration_bins: tuple[CalibrationBin, ...] = ()
    expected_calibration_error: float = 0.0
    error_among_most_confident: dict[str, float] = {}
    confusions: tuple[Confusion, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    refusal: dict[str, Refusal] = {}
    accuracy_under_corruption: dict[str, list[float] | int | float] = {}
    milliseconds_per_image: float | None = None
    measured_on: str | None = None


class TrainingSettings(Open):
    """The settings of the training."""

    epochs: int


class Training(Open):
    """How the classifier was trained."""

    parameters: int
    settings: TrainingSettings
    duration_s: float = 0.0


class TrainingData(Open):
    """What the classifier was trained on; drawings have neither citation nor licence."""

    name: str
    citation: str | None = None
    licence: str | None = None
    images: int = 0
    groups: int = 0
    images_trained_on: int = 0


class FoundAtRate(Open):
    """Shares of the objects that are found and rightly named; `recall_by_size` has found and all, by size in pixels."""

    recall: float
    recall_from_20_px: float | None = None
    recall_by_size: dict[str, tuple[int, int]] = {}


class DetectorMetrics(Open):
    """How well objects were found and named in held-out scenes; without any if `signs` is 0."""

    scenes: int = 0
    signs: int = 0
    map50: float = 0.0
    at_false_alarms_per_scene: dict[str, FoundAtRate] = {}
    measured_on: str | None = None


class DetectorPart(Open):
    """How objects are found: the classifier sees each box with a `margin`, a share of the sides of what it sees."""

    margin: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    metrics: DetectorMetrics = DetectorMetrics()


class Card(Open):
    """The classifier's card; `input_size` is (height, width) in pixels."""

    version: str
    trained_on: str
    input_size: tuple[int, int]
    facts: tuple[Fact, ...]
    data: TrainingData
    training: Training
    metrics: Metrics
    detector: DetectorPart | None = None


# The data set


class ClassSize(Answer):
    """How many pictures and groups of pictures a class has."""

    class_index: Index
    examples: int
    tracks: int


class Histogram(Answer):
    """Counts of the values between each edge and the next one."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


class DataSet(Answer):
    """The data set that the service found; drawings have neither citation nor licence."""

    name: str
    citation: str | None
    licence: str | None
    examples: int
    tracks: int
    classes: tuple[ClassSize, ...]
    sides: Histogram
    frames_per_track: Histogram


class DataPicture(Answer):
    """A picture of the data set: (height, width) in pixels, a PNG fitted to a square, and its group."""

    size: tuple[int, int]
    thumbnail: Base64Bytes
    track: str


class DataPictures(Answer):
    """Some pictures of a class of the data set."""

    pictures: tuple[DataPicture, ...]
