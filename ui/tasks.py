"""The choice of a task, where the service has several: it is kept in the session and in the page's URL."""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from ui.client import NotReady
from ui.contract import Task
from ui.texts import TASK, name_of_task, text

OF_ONE_TASK: Final = ("sample", "class")  # parts of the page's URL that mean something else to another task


def choose_task(tasks: Sequence[Task]) -> Task:
    """Show a choice of tasks, unless there is only one, and return the chosen one; the first one is the default."""
    named = {task.name: task for task in tasks}
    if st.session_state.get(TASK) not in named:
        wanted = st.query_params.get(TASK, "")
        st.session_state[TASK] = wanted if wanted in named else tasks[0].name
    if len(tasks) > 1:
        st.selectbox(
            text("app.task"), list(named), key=TASK, required=True, bind="query-params", persist_state="session",
            format_func=lambda name: name_of_task(named[name]), on_change=_forget_rest, label_visibility="collapsed",
            width=220,
        )  # fmt: skip
    return named[st.session_state[TASK]]


def require_ready(task: Task) -> None:
    """Raise NotReady if a task has no classifier."""
    if task.state != "ready":
        raise NotReady(task.detail, task.name, task.progress)


def _forget_rest() -> None:
    """Remove from the URL what belongs to the task before."""
    for name in OF_ONE_TASK:
        st.query_params.pop(name, None)
