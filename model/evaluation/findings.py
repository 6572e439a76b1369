"""What the card of a classifier says about the classifier and its data, in sentences for the person who trained it."""

from typing import Final

from model.artifact import Card

POOR: Final = 0.7  # accuracy of a class below which it is named
MOST: Final = 5  # classes, pairs or kinds that are named


def describe_findings(card: Card) -> list[str]:
    """Return sentences on accuracy, confusions, rejection and the data, the most important first."""
    held_out = card.metrics["held_out"]
    names = [label.name for label in card.labels]
    low, high = held_out["accuracy_interval_95"]
    lines = [
        f"Of {held_out['examples']:,} pictures that it had never seen, it recognises {held_out['accuracy']:.1%} "
        f"(95% interval {low:.1%} to {high:.1%})."
    ]
    weak = sorted(
        (1 - each["errors"] / each["examples"], names[each["class_index"]])
        for each in held_out["per_class"]
        if each["examples"]
    )
    if poor := [f"{name} {accuracy:.0%}" for accuracy, name in weak if accuracy < POOR]:
        lines.append(f"Poorly recognised: {_some(poor)}.")
    confused = sorted(card.metrics["confusions"], key=lambda each: -each["count"])
    pairs = [
        f"{names[each['class_index']]} taken for {names[each['predicted']]} {each['count']} ×" for each in confused
    ]
    if pairs:
        lines.append(f"Confused most often: {_some(pairs)}.")
    rejected = [f"{kind} {each['not_recognised']:.0%}" for kind, each in card.metrics["refusal"].items()]
    lines.append(
        f"Of pictures of none of the classes it rejects: {_some(rejected)}."
        if rejected
        else "How well it rejects pictures of none of the classes is unknown; add some with --outliers PATH."
    )
    return lines + _describe_data(card)


def _describe_data(card: Card) -> list[str]:
    """Return sentences on what is wrong with the data."""
    lines = []
    duplicates = card.data.get("duplicates", {})
    copies = sum(duplicates.get(kind) or 0 for kind in ("exact", "near", "altered"))
    if copies:
        lines.append(f"{copies:,} pictures are copies of others; a split keeps them together, but they teach little.")
    if both := duplicates.get("examples_across_classes"):
        lines.append(
            f"The same picture is in several classes, at least one of which is wrong: {'; '.join(both[:MOST])}."
        )
    return lines


def _some(parts: list[str]) -> str:
    more = f" and {len(parts) - MOST:,} more" if len(parts) > MOST else ""
    return ", ".join(parts[:MOST]) + more
