"""The page: a picture goes in, the sign, its meaning and the trust in it come out."""

from pathlib import Path
from typing import Any

import streamlit as st

from ui.client import Card, Client, NotReady, Prediction, Refused, Unreachable
from ui.settings import SettingsError, read_settings

SAMPLES = Path(__file__).with_name("samples")
FILE_TYPES = ["png", "jpg", "jpeg", "webp", "gif", "bmp"]
POLL_S = 2.0
VERDICTS = {
    "confident": (":material/check_circle:", "green", "Confident"),
    "unsure": (":material/help:", "orange", "Unsure: look at the other candidates below"),
    "not_recognised": (":material/block:", "red", "Not recognised: probably none of the signs this classifier knows"),
}
STAGES = {
    "download": "fetching the data set",
    "prepare": "reading the pictures",
    "train": "learning",
    "export": "converting the network",
    "evaluate": "measuring its accuracy",
}


@st.cache_resource
def client() -> Client:
    """Return the connection to the service, the same for all visitors."""
    settings = read_settings()
    return Client(str(settings.service_url), settings.timeout_s)


def main() -> None:
    """Draw the page."""
    st.set_page_config(page_title="Traffic sign recognition", page_icon=":material/traffic:", layout="centered")
    st.title("Which traffic sign is this?")
    st.write("Give a photo of a German traffic sign and learn what it is and what it asks of a driver.")
    try:
        card = client().card()
    except SettingsError as error:
        st.error(str(error), icon=":material/settings:")
    except Unreachable as error:
        show_unreachable(str(error))
    except NotReady as error:
        if error.progress is None:
            st.error(str(error), icon=":material/error:")
            retry()
        else:
            wait_for_training()
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
    st.caption(
        f"Classifier {card.version}, trained on {card.trained_on}: {card.accuracy:.2%} right on {card.examples:,} "
        "pictures of signs it had never seen. Not legal advice, not for driving decisions."
    )


def choose_picture() -> bytes | None:
    """Return the bytes of the picture that was uploaded or of the sample that was chosen, whichever came last."""
    upload = st.file_uploader("A picture of a sign", type=FILE_TYPES, key="upload", on_change=prefer_upload)
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
    except Unreachable as error:
        show_unreachable(str(error))
    except NotReady as error:
        st.error(str(error), icon=":material/error:")
    else:
        picture, answer = st.columns([1, 2], gap="large")
        with answer:
            show_prediction(prediction)
        with picture:
            show_picture(payload)


def show_picture(payload: bytes) -> None:
    """Show the picture as it was sent."""
    try:
        st.image(payload, caption="Your picture", width="stretch")
    except OSError:  # such as one in 16-bit grey, which the service reads
        st.caption("This kind of picture cannot be shown here.")


def show_prediction(prediction: Prediction) -> None:
    """Show the sign, its meaning and the candidates."""
    icon, colour, text = VERDICTS[prediction.verdict]
    st.subheader(prediction.class_name)
    st.markdown(f":{colour}-badge[{icon} {text}]")
    st.write(prediction.description)
    st.caption(f"Class {prediction.class_index} · sign number {prediction.sign_number}")
    st.metric("Probability", f"{prediction.probability:.1%}")
    st.markdown("**The five most probable signs**")
    for alternative in prediction.alternatives:
        st.progress(alternative.probability, text=f"{alternative.class_name}: {alternative.probability:.1%}")


def show_unreachable(reason: str) -> None:
    """Say that the service is not there, and what to do."""
    st.error(f"The prediction service is not there. {reason} `make run` starts it.", icon=":material/cloud_off:")
    retry()


def retry() -> None:
    """Offer to look again."""
    st.button("Try again", icon=":material/refresh:")


@st.fragment(run_every=POLL_S)
def wait_for_training() -> None:
    """Show how far the first training is, until the classifier is there."""
    try:
        client().card()
    except NotReady as error:
        if error.progress is None:
            st.error(str(error), icon=":material/error:")
        else:
            show_progress(error.progress)
    except Unreachable as error:
        st.error(str(error), icon=":material/cloud_off:")
    else:
        st.rerun()


def show_progress(progress: dict[str, Any]) -> None:
    """Show stage, epochs, accuracy and time left of a training."""
    st.info(
        "The classifier is being trained for the first time. This page goes on by itself.", icon=":material/school:"
    )
    stage = STAGES.get(progress["stage"], progress["stage"])
    epoch, epochs = progress.get("epoch", 0), progress.get("epochs")
    st.progress(epoch / epochs if epochs else 0.0, text=f"{stage}, epoch {epoch} of {epochs}" if epochs else stage)
    figures = st.columns(2)
    if "validation_accuracy" in progress:
        figures[0].metric("Accuracy on signs held out", f"{progress['validation_accuracy']:.1%}")
    if "remaining_s" in progress:
        figures[1].metric("Time left, about", f"{max(1, round(progress['remaining_s'] / 60))} min")


main()
