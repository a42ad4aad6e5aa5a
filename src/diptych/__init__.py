"""diptych: programs written for PyTorch and TensorFlow on one engine."""
