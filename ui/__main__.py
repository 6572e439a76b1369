"""Start the page: `python -m ui`, optionally followed by options of Streamlit."""

import os
import sys
from pathlib import Path

from ui.settings import SettingsError, read_settings

if __name__ == "__main__":
    try:
        read_settings()
    except SettingsError as error:
        sys.exit(f"error: {error}")
    script = str(Path(__file__).with_name("app.py"))
    command = [sys.executable, "-m", "streamlit", "run", script, *sys.argv[1:]]
    os.execv(sys.executable, command)  # noqa: S606 — no shell; fixed arguments and those of our own caller
