"""The application that gunicorn serves."""

from service import metrics
from service.app import create_app
from service.asgi import Service
from service.settings import read_settings

_settings = read_settings()
_metrics = metrics.shared or metrics.Metrics()
app = Service(create_app(_settings, _metrics), _settings, _metrics)
