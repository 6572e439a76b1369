# A server of ours in place of TensorFlow Serving: the same port, user and protocol, with the real SavedModels. It
# listens after they are loaded, and writes to /tmp only. Context: the folder tests; base: the service with TensorFlow.
FROM traffic-sign-service:full
RUN python -m model.training.export model/artifacts/traffic_sign --to saved_model data/store/models
COPY tf_serving.py tests/tf_serving.py
ENV TF_CPP_MIN_LOG_LEVEL=3
EXPOSE 8500
CMD ["python", "-m", "tests.tf_serving", "data/store/models", "8500", "--host", "0.0.0.0"]
