"""Random streams: the generators of PyTorch and TensorFlow, and their transforms, in NumPy."""
