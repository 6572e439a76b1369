"""The model card (Mitchell et al. 2019), generated from an artifact's card.

`python -m model.evaluation.model_card ARTIFACT FILE` writes it as Markdown.
"""

import sys
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from data.task import TASKS
from model.artifact import Card, read_artifact
from model.command import run

TEMPLATE = "model_card.md"
LIMITATIONS_FILE = "limitations.md"  # optional, in the task's folder: a Markdown list for "Limitations"
HARDEST = 5  # corruptions named under "Limitations"


def render_model_card(card: Card) -> str:
    """Return the model card of a classifier as Markdown."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # noqa: S701 — Markdown, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["percent"] = lambda value, digits=2: f"{100 * value:.{digits}f}%"
    environment.filters["number"] = lambda value: f"{value:,}"
    held_out = card.metrics["held_out"]
    worst = sorted((row for row in held_out["per_class"] if row["errors"]), key=lambda row: -row["errors"])
    corrupted = card.metrics["accuracy_under_corruption"]
    by_accuracy = sorted((row[-1], name) for name, row in corrupted.items() if name not in ("examples", "mean"))
    hardest = [f"{name} {accuracy:.0%}" for accuracy, name in by_accuracy[:HARDEST]]
    path = TASKS / card.task / LIMITATIONS_FILE
    limitations = path.read_text(encoding="utf-8") if path.exists() else ""
    template = environment.get_template(TEMPLATE)
    return template.render(card=card, held_out=held_out, worst=worst, hardest=hardest, limitations=limitations)


def main(arguments: list[str]) -> int:
    """Run the command; return its exit status."""
    if len(arguments) != 2:
        print("usage: python -m model.evaluation.model_card ARTIFACT FILE", file=sys.stderr)
        return 2

    def write() -> int:
        Path(arguments[1]).write_text(render_model_card(read_artifact(Path(arguments[0]))[0]), encoding="utf-8")
        return 0

    return run(write, resumes=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
