"""Input pipelines without a face: memory and messages between a program and its data workers."""
