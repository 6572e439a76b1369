"""The service behind the page: its state, live metrics, the history of this session, and examples for programs."""

import shlex
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from json import dumps
from time import monotonic
from typing import Any, Final

import altair as alt
import pandas as pd
import streamlit as st
from prometheus_client.samples import Sample

from ui import history
from ui.answer import VERDICTS
from ui.charts import show_chart
from ui.choosing import CHOICE, Choice
from ui.client import ServiceError
from ui.connection import POLL_S, REFRESHING, client, labels, settings
from ui.contract import Task
from ui.texts import name_of, number, probability, text, word
from ui.trouble import show_trouble

POINTS: Final = 150  # of a chart: five minutes
STAGES: Final = ("decode", "infer", "locate", "encode")  # services that only classify lack `locate`
# Colours of the verdicts, as in style.css.
COLOURS: Final = {"confident": "#1a7f37", "unsure": "#b35900", "not_recognised": "#8a8a8a"}


@dataclass(frozen=True)
class Route:
    """A route of the service: the name of its text, its path for a `{task}`, and how programs print its `answer`."""

    name: str
    path: str
    python: str
    javascript: str


ROUTES: Final = (
    Route("ask_one", "/predict/{task}", "print(answer.json())", "console.log(await answer.json());"),
    Route(
        "ask_every",
        "/detect/{task}",
        "for found in answer.json()['objects']:\n    print(found['class_name'], found['verdict'], found['box'])",
        "for (const found of (await answer.json()).objects) console.log(found.class_name, found.verdict, found.box);",
    ),
)


@dataclass(frozen=True)
class Counts:
    """The service's counters at a `time` (seconds of a monotonic clock)."""

    time: float
    requests: float
    failed: float
    waiting: float
    stage_seconds: dict[str, float]
    stage_counts: dict[str, float]
    verdicts: dict[str, float]


def draw_page(task: Task) -> None:
    """Draw the page."""
    st.title(text("service.title"), anchor=False)
    figures = st.columns(3)
    figures[0].metric(text("service.state"), text("service.ready"), border=True)
    figures[1].metric(text("service.version"), task.version.rpartition("-")[2], help=task.version, border=True)
    figures[2].metric(text("service.classes"), number(task.classes), border=True)
    offers = " ".join(f":blue-badge[{word(f'service.offer_{offer}', offer)}]" for offer in sorted(task.offers))
    st.markdown(f"{text('service.offers')}: {offers or '–'}")
    st.subheader(text("service.live"), anchor=False)
    _show_live(task.name)
    st.subheader(text("service.history"), anchor=False)
    _show_history(task)
    st.subheader(text("service.ask"), anchor=False)
    _show_code(st.session_state.get(CHOICE), task)


@st.fragment(run_every=POLL_S)
def _show_live(task: str) -> None:
    """Read the metrics of a task again and again, and show how they change."""
    points: deque[Counts] = st.session_state.setdefault(f"counts {task}", deque(maxlen=POINTS))
    with st.container(key=f"{REFRESHING}_metrics"):
        try:
            points.append(_count(client().metrics(), task))
        except ServiceError as error:  # not fatal: the next run of this fragment tries again
            show_trouble(error)
        else:
            _show_counts(points)


def _show_counts(points: Sequence[Counts]) -> None:
    """Show the latest counts, and the changes between each of them and the next."""
    now = points[-1]
    rows = [_between(old, new) for old, new in zip(points, list(points)[1:], strict=False)]
    latest = rows[-1] if rows else None
    figures = st.columns(4)
    figures[0].metric(text("service.requests"), number(now.requests))
    figures[1].metric(text("service.rate"), number(latest["rate"], 1) if latest else "–")
    figures[2].metric(text("service.waiting"), number(now.waiting))
    figures[3].metric(text("service.failed"), number(now.failed))
    left, right = st.columns(2, gap="large")
    with left:
        st.caption(text("service.latency"))
        _show_latency(now, [row for row in rows if row["answers"] > 0])
    with right:
        st.caption(text("service.verdicts"))
        _show_verdicts(now)


def _show_verdicts(now: Counts) -> None:
    """Show how many answers had each verdict since the start of the service."""
    table = [{"verdict": name, "said": text(f"batch.{name}"), "n": now.verdicts[name]} for name in VERDICTS]
    chart = (
        alt.Chart(pd.DataFrame(table))
        .mark_bar()
        .encode(
            y=alt.Y("said:N", sort=None, title=None),
            x=alt.X("n:Q", title=text("service.count"), axis=alt.Axis(tickMinStep=1)),
            color=alt.Color("verdict:N", legend=None, scale=alt.Scale(domain=list(COLOURS), range=[*COLOURS.values()])),
            tooltip=[
                alt.Tooltip("said:N", title=text("model.verdict")),
                alt.Tooltip("n:Q", title=text("service.count"), format=","),
            ],
        )
    )
    show_chart(chart, 240)


def _show_latency(now: Counts, rows: list[dict[str, Any]]) -> None:
    """Show how long each stage takes: on average since the start of the service, and while this page is open."""
    names = {stage: text(f"service.{stage}") for stage in STAGES if stage != "locate" or now.stage_counts[stage]}
    places = [place for _ in range(0, len(names), 2) for place in st.columns(2)]  # four in a row would be cut off
    for place, (stage, name) in zip(places, names.items(), strict=False):
        count = now.stage_counts[stage]
        place.metric(name, f"{number(1000 * now.stage_seconds[stage] / count, 2)} ms" if count else "–")
    if rows:
        table = [
            {"time": row["time"], "stage": name, "ms": row[stage]}
            for row in rows
            for stage, name in names.items()
            if stage in row
        ]
        chart = (
            alt.Chart(pd.DataFrame(table))
            .mark_line(point=len(rows) == 1)
            .encode(
                x=alt.X("time:Q", title=text("service.seconds_axis")),
                y=alt.Y("ms:Q", title="ms"),
                color=alt.Color("stage:N", sort=None, title=None, legend=alt.Legend(orient="bottom")),
                tooltip=[
                    alt.Tooltip("stage:N", title=text("service.latency")),
                    alt.Tooltip("ms:Q", title="ms", format=".2f"),
                ],
            )
        )
        show_chart(chart, 260)
    else:
        st.caption(text("service.quiet"))


def _count(samples: Sequence[Sample], task: str) -> Counts:
    def total(name: str, **wanted: str) -> float:
        values = (
            float(sample.value)
            for sample in samples
            if sample.name == name and all(sample.labels.get(key) == value for key, value in wanted.items())
        )
        return sum(values)

    return Counts(
        time=monotonic(),
        requests=total("sign_requests_total"),
        failed=sum(
            sample.value
            for sample in samples
            if sample.name == "sign_requests_total"
            and sample.labels.get("status", "").startswith("5")
            and sample.labels.get("status") != "501"  # a disabled feature is not a failure
        ),
        waiting=total("sign_requests_waiting"),
        stage_seconds={stage: total("sign_stage_seconds_sum", stage=stage, task=task) for stage in STAGES},
        stage_counts={stage: total("sign_stage_seconds_count", stage=stage, task=task) for stage in STAGES},
        verdicts={name: total("sign_verdicts_total", verdict=name, task=task) for name in VERDICTS},
    )


def _between(old: Counts, new: Counts) -> dict[str, Any]:
    """Return what happened between two times: requests per second, answers, and the milliseconds that each stage took.

    If the service was restarted in between, its counters began at 0 again, and all values are 0.
    """
    counts = {stage: max(0.0, new.stage_counts[stage] - old.stage_counts[stage]) for stage in STAGES}
    spent = {stage: new.stage_seconds[stage] - old.stage_seconds[stage] for stage in STAGES}
    return {
        "time": round(new.time - monotonic()),
        "rate": max(0.0, new.requests - old.requests) / (new.time - old.time),
        "answers": counts["infer"],
        **{stage: 1000 * spent[stage] / count for stage, count in counts.items() if count},
    }


def _show_history(task: Task) -> None:
    entries = history.entries(task)
    if not entries:
        st.caption(text("service.no_history"))
        return
    known = labels(task)
    rows: list[dict[str, object]] = [
        {
            "time": entry.time,
            "picture": entry.name,
            "box": ",".join(map(str, entry.box)) if entry.box else "",
            "class_index": entry.prediction.class_index,
            "class_name": name_of(known[entry.prediction.class_index]),
            "verdict": entry.prediction.verdict,
            "probability": entry.prediction.probability,
            "version": entry.prediction.model.version,
        }
        for entry in entries
    ]
    shown = [
        {
            text("service.time"): entry.time.replace("T", " ").partition("+")[0],
            text("batch.column_file"): entry.name,
            text("batch.column_name"): name_of(known[entry.prediction.class_index]),
            text("batch.column_verdict"): text(f"batch.{entry.prediction.verdict}"),
            text("batch.column_probability"): probability(entry.prediction.probability),
        }
        for entry in entries
    ]
    st.dataframe(pd.DataFrame(shown), hide_index=True, alt=text("service.history"))
    with st.container(horizontal=True):
        history.offer_to_save(rows, "history")
        st.button(text("service.forget"), icon=":material/delete:", on_click=history.forget, args=(task,))


def _show_code(choice: Choice | None, task: Task) -> None:
    """Show how programs send the current picture; file names are quoted, whatever they contain."""
    base = str(settings().public_url or settings().service_url).rstrip("/")
    if settings().api_key:
        st.caption(text("service.key"))
    tabs = st.tabs(["curl", "Python", "JavaScript"])
    for route in ROUTES if "detect" in task.offers else ROUTES[:1]:
        for tab, (code, language) in zip(
            tabs, _examples(choice, f"{base}{route.path.format(task=task.name)}", route), strict=True
        ):
            with tab:
                st.caption(text(f"service.{route.name}"))
                st.code(code, language=language, wrap_lines=language == "bash")
    st.markdown(text("service.more", url=f"{base}/docs/"))


def _examples(choice: Choice | None, url: str, route: Route) -> list[tuple[str, str]]:
    """Return a request for an answer about the current picture in each language, with the name of the language."""
    name = choice.name if choice else "photo.jpg"
    if choice and isinstance(choice.picture, str):
        kind, body = "application/json", dumps({"url": choice.picture})
        curl = f"--data {shlex.quote(body)}"
        python = f"body = {body!r}"
        script = f"const body = {dumps(body)};"
    else:
        kind = "application/octet-stream"
        curl = f"--data-binary {shlex.quote(f'@{name}')}"
        python = f"body = Path({name!r}).read_bytes()"
        script = f"const body = await readFile({dumps(name)});"
    python_imports = "from pathlib import Path\n\nimport requests\n\n" if "Path" in python else "import requests\n\n"
    python_ask = f"answer = requests.post({url!r}, data=body, headers={{'Content-Type': {kind!r}}}, timeout=60)"
    script_imports = "import { readFile } from 'node:fs/promises';\n\n" if "readFile" in script else ""
    options = f"{{ method: 'POST', headers: {{ 'Content-Type': '{kind}' }}, body }}"
    script_ask = f"const answer = await fetch({dumps(url)}, {options});"
    return [
        (f"curl -H 'Content-Type: {kind}' {curl} {url}", "bash"),
        (f"{python_imports}{python}\n{python_ask}\n{route.python}", "python"),
        (f"{script_imports}{script}\n{script_ask}\n{route.javascript}", "javascript"),
    ]
