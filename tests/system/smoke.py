"""Checks a running service and page from a container of the page's image: `docker compose --profile test up`.

Addresses are in UI_SERVICE_URL and PAGE_URL. Exits with 1 at the first failure.
"""

import os
from pathlib import Path

import requests

from ui.client import Client

SAMPLES = Path("ui/static/traffic_sign/samples")
TASK = "traffic_sign"


def main() -> None:
    """Check the service, then the page."""
    client = Client(os.environ["UI_SERVICE_URL"], timeout_s=60)
    service = client.service()
    states = {task.name: task.state for task in service.tasks}
    print(f"contract {service.contract}, tasks {states}")
    assert set(states.values()) == {"ready"}, states
    found = client.predict(TASK, (SAMPLES / "stop.png").read_bytes())
    print(f"{found.class_name}, {found.verdict}, {found.probability:.4f}")
    assert (found.class_index, found.verdict) == (14, "confident"), found
    scene = client.detect(TASK, (SAMPLES / "town.jpg").read_bytes())
    names = [each.class_name for each in scene.objects]
    print(f"in a street: {', '.join(names)}")
    assert {"Keep right", "Priority road"} <= set(names), names
    page = requests.get(os.environ["PAGE_URL"], timeout=60)
    page.raise_for_status()
    assert "<title>" in page.text, page.text[:200]
    health = requests.get(f"{os.environ['PAGE_URL']}/_stcore/health", timeout=60)
    print(f"page: {health.text}")
    assert health.text == "ok", health.text


if __name__ == "__main__":
    main()
