"""The classifier's card for people: accuracy, how it was evaluated, and limits."""

from collections.abc import Sequence

import altair as alt
import pandas as pd
import streamlit as st

from ui.charts import show_chart
from ui.connection import card, labels
from ui.contract import Card, DetectorMetrics, Label, Metrics, Task
from ui.examples import example_url
from ui.texts import name_of, number, percent, text, word

HEIGHT = 320  # of a chart in pixels
FALSE_ALARMS = "0.1"  # per scene: the rate for which the recall is shown


def draw_page(task: Task) -> None:
    """Draw the page."""
    shown = card(task)
    metrics = shown.metrics
    st.title(text("model.title"), anchor=False)
    _show_summary(shown)
    _show_trust(metrics)
    if shown.detector:
        _show_detector(shown.detector.metrics)
    left, right = st.columns(2, gap="large")
    with left:
        _show_calibration(metrics)
    with right:
        _show_selection(metrics)
    _show_classes(task, metrics)
    _show_confusions(metrics, labels(task))
    _show_refusals(metrics)
    _show_corruptions(metrics)
    _show_mistakes(task, metrics)
    _show_making(shown, finds="detect" in task.offers)


def _show_summary(shown: Card) -> None:
    metrics = shown.metrics
    held = metrics.held_out
    low, high = held.accuracy_interval_95
    if shown.trained_on == "drawings":
        st.warning(text("classify.drawings"), icon=":material/draw:")
    figures = st.columns(4)
    figures[0].metric(text("model.accuracy"), percent(held.accuracy, 2), border=True)
    figures[1].metric(text("model.errors"), f"{number(held.errors)} / {number(held.examples)}", border=True)
    figures[2].metric(text("model.parameters"), number(shown.training.parameters / 1e6, 2) + " M", border=True)
    if metrics.milliseconds_per_image is not None:
        figures[3].metric(text("model.speed"), f"{number(metrics.milliseconds_per_image, 2)} ms", border=True)
    grouped = "model.measured_on_tracks" if held.grouped else "model.measured"
    st.markdown(
        text(grouped, low=percent(low, 2), high=percent(high, 2), examples=number(held.examples),
             groups=number(held.groups))
    )  # fmt: skip
    if metrics.measured_on:
        st.markdown(text("model.measured_on_another", version=metrics.measured_on))


def _show_trust(metrics: Metrics) -> None:
    if not metrics.verdicts:
        return
    st.subheader(text("model.verdicts"), anchor=False)
    st.markdown(text("model.verdicts_explained"))
    total = sum(each.examples for each in metrics.verdicts.values())
    table = [
        {
            text("model.verdict"): text(f"batch.{name}"),
            text("model.share"): percent(each.examples / total),
            text("model.errors"): f"{number(each.errors)} / {number(each.examples)}",
        }
        for name, each in metrics.verdicts.items()
    ]
    st.dataframe(pd.DataFrame(table), hide_index=True, alt=text("model.verdicts"))


def _show_detector(metrics: DetectorMetrics) -> None:
    found = metrics.at_false_alarms_per_scene.get(FALSE_ALARMS)
    if not metrics.signs or found is None:
        return
    large = "–" if found.recall_from_20_px is None else percent(found.recall_from_20_px, 1)
    st.subheader(text("model.detector"), anchor=False)
    st.markdown(
        text("model.detector_explained", signs=number(metrics.signs), scenes=number(metrics.scenes),
             recall=percent(found.recall, 1), recall_from_20_px=large,
             map50=percent(metrics.map50, 1))
    )  # fmt: skip
    if metrics.measured_on:
        st.markdown(text("model.detector_measured_on_another", version=metrics.measured_on))
    rows = [
        {text("model.size"): f"{size.replace('-', '–')} px", text("model.found"): f"{hit} / {count}"}
        for size, (hit, count) in found.recall_by_size.items()
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, alt=text("model.detector"))


def _show_calibration(metrics: Metrics) -> None:
    if not metrics.calibration_bins:
        return
    bins = pd.DataFrame([each.model_dump() for each in metrics.calibration_bins])
    st.subheader(text("model.calibration"), anchor=False)
    st.markdown(text("model.calibration_explained", error=percent(metrics.expected_calibration_error, 2)))
    low = min(bins["probability"].min(), bins["accuracy"].min())
    scale = alt.Scale(domain=[low - 0.01, 1.0])
    axis = alt.Axis(format="%")
    line = (
        alt.Chart(pd.DataFrame({"x": [low - 0.01, 1.0]}))
        .mark_line(strokeDash=[4, 4], color="gray")
        .encode(x=alt.X("x:Q", scale=scale), y=alt.Y("x:Q", scale=scale))
    )
    points = (
        alt.Chart(bins)
        .mark_circle(size=90)
        .encode(
            x=alt.X("probability:Q", title=text("model.said"), scale=scale, axis=axis),
            y=alt.Y("accuracy:Q", title=text("model.was"), scale=scale, axis=axis),
            tooltip=[
                alt.Tooltip("probability:Q", title=text("model.said"), format=".2%"),
                alt.Tooltip("accuracy:Q", title=text("model.was"), format=".2%"),
                alt.Tooltip("examples:Q", title=text("model.pictures")),
            ],
        )
    )
    show_chart(line + points, HEIGHT)


def _show_selection(metrics: Metrics) -> None:
    errors = metrics.error_among_most_confident
    if not errors:
        return
    st.subheader(text("model.selection"), anchor=False)
    best = errors.get("99.0%", 0)
    st.markdown(text("model.selection_explained", error=percent(best, 2)))
    table = pd.DataFrame(
        {"answered": [float(share.rstrip("%")) / 100 for share in errors], "error": list(errors.values())}
    )
    chart = (
        alt.Chart(table)
        .mark_line(point=True)
        .encode(
            x=alt.X("answered:Q", title=text("model.answered"), axis=alt.Axis(format="%"), scale=alt.Scale(zero=False)),
            y=alt.Y("error:Q", title=text("model.wrong"), axis=alt.Axis(format=".2%")),
            tooltip=[
                alt.Tooltip("answered:Q", title=text("model.answered"), format=".1%"),
                alt.Tooltip("error:Q", title=text("model.wrong"), format=".2%"),
            ],
        )
    )
    show_chart(chart, HEIGHT)


def _show_classes(task: Task, metrics: Metrics) -> None:
    known, per_class = labels(task), metrics.held_out.per_class
    if not per_class:
        return
    st.subheader(text("model.classes"), anchor=False)
    table = pd.DataFrame(
        [
            {
                "example": example_url(task, each.class_index),
                "name": name_of(known[each.class_index]),
                "examples": each.examples,
                "errors": each.errors,
                "accuracy": 1 - each.errors / each.examples if each.examples else None,
            }
            for each in per_class
        ]
    )
    columns = {
        "example": st.column_config.ImageColumn("", width="small"),
        "name": st.column_config.TextColumn(text("batch.column_name"), width="large"),
        "examples": st.column_config.NumberColumn(text("model.pictures")),
        "errors": st.column_config.NumberColumn(text("model.errors")),
        "accuracy": st.column_config.ProgressColumn(text("model.accuracy"), min_value=0, max_value=1, format="percent"),
    }
    height = 44 * min(len(table), 7) + 40
    st.dataframe(
        table.dropna(axis="columns", how="all"), column_config=columns, hide_index=True, row_height=44, height=height,
        alt=text("model.classes"),
    )  # fmt: skip


def _show_confusions(metrics: Metrics, known: Sequence[Label]) -> None:
    per_class = metrics.held_out.per_class
    st.subheader(text("model.confusions"), anchor=False)
    if not metrics.confusions:
        st.markdown(text("model.no_confusions"))
        return
    st.markdown(text("model.confusions_explained"))
    cells = [(each.class_index, each.predicted, each.count) for each in metrics.confusions]
    cells += [(each.class_index, each.class_index, each.examples - each.errors) for each in per_class]
    shown = pd.DataFrame(
        [
            {
                "true": true, "predicted": predicted, "count": count, "true_name": name_of(known[true]),
                "predicted_name": name_of(known[predicted]), "kind": "right" if true == predicted else "wrong",
            }
            for true, predicted, count in cells
        ]
    )  # fmt: skip
    order = list(range(len(known)))
    point = alt.selection_point(fields=["true"], on="click", empty=True)
    chart = (
        alt.Chart(shown)
        .mark_rect()
        .encode(
            x=alt.X("predicted:O", title=text("model.predicted"), scale=alt.Scale(domain=order)),
            y=alt.Y("true:O", title=text("model.true"), scale=alt.Scale(domain=order)),
            color=alt.Color(
                "kind:N", title=None, legend=None,
                scale=alt.Scale(domain=["right", "wrong"], range=["#7fa8d1", "#c62828"]),
            ),
            opacity=alt.condition(point, alt.value(1.0), alt.value(0.2)),
            tooltip=[
                alt.Tooltip("true_name:N", title=text("model.true")),
                alt.Tooltip("predicted_name:N", title=text("model.predicted")),
                alt.Tooltip("count:Q", title=text("model.pictures")),
            ],
        )
        .add_params(point)
    )  # fmt: skip
    show_chart(chart, 620)


def _show_refusals(metrics: Metrics) -> None:
    if not metrics.refusal:
        return
    st.subheader(text("model.refusal"), anchor=False)
    st.markdown(text("model.refusal_explained"))
    table = [
        {
            text("model.kind"): word(f"refusal.{name}", name),
            text("model.pictures"): number(each.pictures),
            text("model.refused"): percent(each.not_recognised),
        }
        for name, each in metrics.refusal.items()
    ]
    st.dataframe(pd.DataFrame(table), hide_index=True, alt=text("model.refusal"))


def _show_corruptions(metrics: Metrics) -> None:
    found = metrics.accuracy_under_corruption
    mean, examples = found.get("mean"), found.get("examples")
    if not isinstance(mean, int | float) or not isinstance(examples, int):
        return
    st.subheader(text("model.corruption"), anchor=False)
    st.markdown(text("model.corruption_explained", mean=percent(mean, 2), examples=number(examples)))
    rows = [
        {"kind": word(f"corruption.{name}", name), "strength": strength, "accuracy": accuracy}
        for name, accuracies in found.items()
        if isinstance(accuracies, list)
        for strength, accuracy in enumerate(accuracies, 1)
    ]
    base = alt.Chart(pd.DataFrame(rows)).encode(
        x=alt.X("strength:O", title=text("model.strength"), axis=alt.Axis(labelAngle=0)),
        y=alt.Y("kind:N", title=None, axis=alt.Axis(labelLimit=240)),
    )
    cells = base.mark_rect().encode(
        color=alt.Color("accuracy:Q", title=text("model.accuracy"), scale=alt.Scale(scheme="blues"), legend=None),
        tooltip=[
            alt.Tooltip("kind:N", title=text("model.kind")),
            alt.Tooltip("strength:O", title=text("model.strength")),
            alt.Tooltip("accuracy:Q", title=text("model.accuracy"), format=".1%"),
        ],
    )
    values = base.mark_text().encode(
        text=alt.Text("accuracy:Q", format=".1%"),
        color=alt.condition("datum.accuracy > 0.88", alt.value("white"), alt.value("black")),
    )
    show_chart(cells + values, 420)


def _show_mistakes(task: Task, metrics: Metrics) -> None:
    known = labels(task)
    mistakes = sorted(metrics.mistakes, key=lambda each: -each.probability)
    if not mistakes:
        return
    st.subheader(text("model.mistakes"), anchor=False)
    st.markdown(text("model.mistakes_explained"))
    table = pd.DataFrame(
        [
            {
                "true_example": example_url(task, each.class_index),
                "true": name_of(known[each.class_index]),
                "predicted_example": example_url(task, each.predicted),
                "predicted": name_of(known[each.predicted]),
                "probability": each.probability,
                "group": each.group,
            }
            for each in mistakes
        ]
    )
    columns = {
        "true_example": st.column_config.ImageColumn("", width="small"),
        "true": st.column_config.TextColumn(text("model.true")),
        "predicted_example": st.column_config.ImageColumn("", width="small"),
        "predicted": st.column_config.TextColumn(text("model.predicted")),
        "probability": st.column_config.NumberColumn(text("batch.column_probability"), format="percent"),
        "group": st.column_config.TextColumn(text("model.track")),
    }
    st.dataframe(
        table.dropna(axis="columns", how="all"), column_config=columns, hide_index=True, row_height=44,
        alt=text("model.mistakes"),
    )  # fmt: skip


def _show_making(shown: Card, *, finds: bool) -> None:
    st.subheader(text("model.making"), anchor=False)
    st.markdown(
        text(
            "model.made", version=shown.version, data=shown.data.name, images=number(shown.data.images_trained_on),
            epochs=shown.training.settings.epochs, minutes=number(shown.training.duration_s / 60),
            height=shown.input_size[0], width=shown.input_size[1],
        )
    )  # fmt: skip
    st.markdown(" ".join([word("model.limits", ""), "" if finds else word("model.limits_whole", "")]))
    with st.expander(text("model.card")):
        st.json(shown.model_dump(exclude={"labels"}, exclude_unset=True), expanded=1)
