"""What a person reads when there is no answer; each page goes on by itself when there can be one."""

import streamlit as st

from ui import training
from ui.client import Busy, Newer, NotAllowed, NotReady, Older, Refused, ServiceError, Silent, Stranger, Unreachable
from ui.connection import POLL_S, client, settings
from ui.texts import markdown_escaped, text, word

_NEW = "trouble"  # in the session: nothing has been asked since the error

# The first that fits counts: the text and the icon.
KINDS: tuple[tuple[type[ServiceError], str, str], ...] = (
    (Silent, "silent", ":material/hourglass_disabled:"),
    (Unreachable, "unreachable", ":material/cloud_off:"),
    (Stranger, "stranger", ":material/device_unknown:"),
    (Older, "older", ":material/update:"),
    (Newer, "newer", ":material/update:"),
    (NotAllowed, "not_allowed", ":material/key_off:"),
    (Busy, "busy", ":material/hourglass_top:"),
)


def show_refusal(error: Refused) -> None:
    """Say why the service does not do what was asked, in a sentence that helps, and in its own words below."""
    st.error(word(f"refused.{error.kind}", text("refused.other")), icon=":material/broken_image:")
    st.caption(f"{text('refused.words')} {markdown_escaped(error)}")


def wait_for_end(error: ServiceError) -> None:
    """Say what keeps the service from answering, and run the page again as soon as nothing does."""
    st.session_state[_NEW] = True
    _watch(error)


@st.fragment(run_every=POLL_S)
def _watch(error: ServiceError) -> None:
    # Asked only from the second time on: an error that comes back would else run the page again without a pause.
    now = error if st.session_state.pop(_NEW, False) else _still(error)
    if now is None:
        st.rerun()
    else:
        show(now)


def show(error: ServiceError) -> None:
    """Say what keeps the service from answering."""
    if isinstance(error, Refused):
        show_refusal(error)
    elif isinstance(error, NotReady):
        _show_not_ready(error)
    else:
        kind, icon = next((kind, icon) for cls, kind, icon in KINDS if isinstance(error, cls))
        box = st.warning if kind in ("busy", "silent") else st.error
        address = markdown_escaped(settings().service_url)
        box(text(f"trouble.{kind}", address=address, seconds=settings().timeout_s), icon=icon)


def _still(error: ServiceError) -> ServiceError | None:
    """Return what is the matter now, None if nothing is."""
    try:
        client().state()
        client().labels()
        if isinstance(error, NotAllowed) and not client().may_predict():
            return error
    except ServiceError as now:
        return now
    return None


def _show_not_ready(error: NotReady) -> None:
    if error.progress is None:
        st.error(text("trouble.not_ready"), icon=":material/error:")
        st.code(str(error), language=None, wrap_lines=True)
    else:
        training.show(error.progress)
