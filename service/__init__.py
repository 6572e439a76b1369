"""The prediction service: Flask under gunicorn."""
