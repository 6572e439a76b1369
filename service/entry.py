"""The application that gunicorn serves."""

from service import metrics
from service.app import create_app
from service.asgi import Service
from service.settings import read_settings

app = Service(create_app(read_settings(), metrics.shared))
