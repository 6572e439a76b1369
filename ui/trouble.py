"""Messages for when the service does not answer; the page continues automatically once it does."""

import streamlit as st

from ui.client import (
    Busy,
    ContractTooNew,
    ContractTooOld,
    NotAllowed,
    NotReady,
    Refused,
    ServiceError,
    TimedOut,
    UnexpectedServer,
    Unreachable,
)
from ui.connection import POLL_S, REFRESHING, client, settings
from ui.tasks import require_ready
from ui.texts import markdown_escaped, text, word
from ui.training import show_training

_NEW = "trouble"  # key of the session: no request was sent since the error

# Class, text and icon; the first class that matches counts.
KINDS: tuple[tuple[type[ServiceError], str, str], ...] = (
    (TimedOut, "timed_out", ":material/hourglass_disabled:"),
    (Unreachable, "unreachable", ":material/cloud_off:"),
    (UnexpectedServer, "unexpected_server", ":material/device_unknown:"),
    (ContractTooOld, "contract_too_old", ":material/update:"),
    (ContractTooNew, "contract_too_new", ":material/update:"),
    (NotAllowed, "not_allowed", ":material/key_off:"),
    (Busy, "busy", ":material/hourglass_top:"),
)


def show_refusal(error: Refused) -> None:
    """Explain why the service rejected a request, followed by the service's own message."""
    st.error(word(f"refused.{error.kind}", text("refused.other")), icon=":material/broken_image:")
    st.caption(f"{text('refused.words')} {markdown_escaped(error)}")


def wait_for_end(error: ServiceError) -> None:
    """Show an error, and run the page again as soon as the service answers."""
    st.session_state[_NEW] = True
    _watch(error)


@st.fragment(run_every=POLL_S)
def _watch(error: ServiceError) -> None:
    # No request on the first run: otherwise a recurring error would rerun the page in a tight loop.
    now = error if st.session_state.pop(_NEW, False) else _still(error)
    if now is None:
        st.rerun()
    else:
        with st.container(key=f"{REFRESHING}_trouble"):
            show_trouble(now)


def show_trouble(error: ServiceError) -> None:
    """Show why the service does not answer."""
    if isinstance(error, Refused):
        show_refusal(error)
    elif isinstance(error, NotReady):
        _show_not_ready(error)
    else:
        kind, icon = next((kind, icon) for cls, kind, icon in KINDS if isinstance(error, cls))
        box = st.warning if kind in ("busy", "timed_out") else st.error
        address = markdown_escaped(settings().service_url)
        box(text(f"trouble.{kind}", address=address, seconds=settings().timeout_s), icon=icon)


def _still(error: ServiceError) -> ServiceError | None:
    """Return the current error, or None if the service answers again."""
    try:
        tasks = {task.name: task for task in client().service().tasks}
        if isinstance(error, NotReady) and error.task in tasks:
            require_ready(tasks[error.task])
            client().labels(error.task)
        if isinstance(error, NotAllowed) and not client().may_predict(next(iter(tasks))):
            return error
    except ServiceError as now:
        return now
    return None


def _show_not_ready(error: NotReady) -> None:
    if error.training is None:
        st.error(text("trouble.not_ready"), icon=":material/error:")
        st.code(str(error), language=None, wrap_lines=True)
    else:
        show_training(error.training)
