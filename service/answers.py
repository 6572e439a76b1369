"""What the service says of a prediction, over HTTP and on the command line."""

from typing import Any

from model.artifact import Card
from model.classifier import Prediction


def encode(prediction: Prediction, card: Card, top_k: int, *, explain: bool = False) -> dict[str, Any]:
    """Return the answer of the contract for one prediction, in JSON types.

    Args:
        prediction: what the classifier said; card: its card.
        top_k: how many alternatives to list.
        explain: add the heat map.
    """
    label = card.labels[prediction.class_index]
    answer = {
        "class_index": label.index,
        "class_name": label.name,
        "description": label.description,
        "sign_number": label.sign_number,
        "probability": prediction.probability,
        "verdict": prediction.verdict,
        "alternatives": [
            {"class_index": other.index, "class_name": other.name, "probability": probability}
            for other, probability in prediction.top(top_k)
        ],
        "model": {"task": card.task, "version": card.version},
    }
    if explain:
        heatmap = prediction.heatmap
        rows = None if heatmap is None else [[round(float(value), 4) for value in row] for row in heatmap]
        answer["heatmap"] = rows
    return answer


def as_sentence(text: str) -> str:
    """Return the message of an error as a sentence for a person."""
    return f"{text[0].upper()}{text[1:]}."
