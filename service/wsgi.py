"""The application that gunicorn serves."""

from service import metrics
from service.app import create_app
from service.settings import read_settings

app = create_app(read_settings(), metrics.shared)
