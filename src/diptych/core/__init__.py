"""Values: element types, layouts, buffers, tensors, the tape, and the one call path."""
