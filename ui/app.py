"""The page: a picture goes in, the sign, its meaning and the trust in it come out."""

from pathlib import Path
from typing import Any

import streamlit as st

from ui.client import Busy, Card, Client, NotAllowed, NotReady, Prediction, Refused, Unreachable
from ui.settings import SettingsError, read_settings

SAMPLES = Path(__file__).with_name("samples")
ICON = Path(__file__).with_name("icon.png")
POLL_S = 2.0
VERDICTS = {
    "confident": (":material/check_circle:", "green", "Confident"),
    "unsure": (":material/help:", "orange", "Unsure: it could also be one of the others below"),
}


@st.cache_resource
def client() -> Client:
    """Return the connection to the service, the same for all visitors."""
    settings = read_settings()
    return Client(str(settings.service_url), settings.timeout_s, settings.api_key)


def main() -> None:
    """Draw the page."""
    st.set_page_config(page_title="Traffic sign recognition", page_icon=str(ICON), layout="centered")
    st.title("Which traffic sign is this?")
    st.write("Give a photo of a German traffic sign and learn what it is and what it asks of a driver.")
    try:
        card = client().card()
    except SettingsError as error:
        st.error(str(error), icon=":material/settings:")
    except (Unreachable, NotReady):
        wait_for_service()
    else:
        classify(card)


def classify(card: Card) -> None:
    """Let a person choose a picture, and show what the service says of it."""
    if card.trained_on == "drawings":
        st.warning(
            "This classifier was trained on drawings. It is good for a try, not for photographs.",
            icon=":material/draw:",
        )
    payload = choose_picture()
    if payload is None:
        st.info("Choose a picture, drop one on the field above, or try a sample.", icon=":material/image:")
    else:
        show_answer(payload)
    measured = "" if card.itself else " One trained in the same way on fewer signs was"
    st.caption(
        f"Classifier {card.version}, trained on {card.trained_on}{':' if card.itself else '.'}{measured} "
        f"{card.accuracy:.2%} right on {card.examples:,} pictures of signs it had never seen. "
        "Not legal advice, not for driving decisions."
    )


def choose_picture() -> bytes | None:
    """Return the bytes of the picture that was uploaded or of the sample that was chosen, whichever came last."""
    upload = st.file_uploader("A picture of a sign", key="upload", on_change=prefer_upload)
    samples = {path.stem.replace("_", " "): path for path in sorted(SAMPLES.glob("*.png"))}
    sample = st.pills("Or try a drawn sample", list(samples), key="sample")
    if sample:
        return samples[sample].read_bytes()
    return upload.getvalue() if upload is not None else None


def prefer_upload() -> None:
    """Let a picture that was just uploaded take the place of a sample."""
    st.session_state["sample"] = None


def show_answer(payload: bytes) -> None:
    """Ask the service and show the answer, or what kept it from answering."""
    try:
        prediction = client().predict(payload)
    except Refused as error:
        st.error(f"The service does not take this picture. {error}", icon=":material/broken_image:")
    except NotAllowed as error:
        st.error(str(error), icon=":material/key_off:")
    except Busy as error:
        st.warning(f"The service has too much to do right now. {error}", icon=":material/hourglass_top:")
    except (Unreachable, NotReady):
        wait_for_service()
    else:
        picture, answer = st.columns([1, 2], gap="large")
        with answer:
            show_prediction(prediction)
        with picture:
            show_picture(payload)


def show_picture(payload: bytes) -> None:
    """Show the picture as it was sent."""
    try:
        st.image(payload, caption="The picture", width="stretch")
    except OSError:  # such as one in 16-bit grey, which the service reads
        st.caption("This kind of picture cannot be shown here.")


def show_prediction(prediction: Prediction) -> None:
    """Show the sign and its meaning, unless it is probably none, and the candidates."""
    if prediction.verdict == "not_recognised":
        st.subheader("Not recognised")
        st.markdown(":red-badge[:material/block: Probably none of the signs that this classifier knows]")
        st.write("Try a picture that shows one sign, as large and sharp as you can get it.")
    else:
        icon, colour, text = VERDICTS[prediction.verdict]
        st.subheader(prediction.class_name)
        st.markdown(f":{colour}-badge[{icon} {text}]")
        st.write(prediction.description)
        st.caption(f"Class {prediction.class_index} · sign number {prediction.sign_number}")
        st.metric("Probability", f"{prediction.probability:.1%}")
    st.markdown("**The five most probable signs**")
    for alternative in prediction.alternatives:
        st.progress(alternative.probability, text=f"{alternative.class_name}: {alternative.probability:.1%}")


@st.fragment(run_every=POLL_S)
def wait_for_service() -> None:
    """Say why there is no answer, with the progress of a training, and go on when there can be one."""
    try:
        client().card()
    except Unreachable as error:
        text = f"The prediction service is not there. {error} This page goes on by itself when it is back."
        st.error(text, icon=":material/cloud_off:")
    except NotReady as error:
        if error.progress is None:
            st.error(str(error).replace("\n", "  \n"), icon=":material/error:")
        else:
            show_progress(str(error), error.progress)
    else:
        st.rerun()


def show_progress(message: str, progress: dict[str, Any]) -> None:
    """Show stage, epochs, accuracy and time left of a training."""
    st.info("The classifier is being made for the first time. This page goes on by itself.", icon=":material/school:")
    epoch, epochs = progress.get("epoch", 0), progress.get("epochs")
    st.progress(epoch / epochs if epochs else 0.0, text=message)
    figures = st.columns(2)
    if "validation_accuracy" in progress:
        figures[0].metric("Accuracy on signs held out", f"{progress['validation_accuracy']:.1%}")
    if "remaining_s" in progress:
        figures[1].metric("Time left, about", f"{max(1, round(progress['remaining_s'] / 60))} min")


main()
