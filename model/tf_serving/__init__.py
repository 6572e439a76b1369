"""The engine that asks TensorFlow Serving by gRPC, without TensorFlow."""
