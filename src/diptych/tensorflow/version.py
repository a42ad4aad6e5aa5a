"""``tf.version``: whose behaviour this face follows."""

VERSION = "2.21.0"
GIT_VERSION = "v2.21.0 (diptych)"
COMPILER_VERSION = "none: diptych compiles with LLVM at run time"
GRAPH_DEF_VERSION = 2382
GRAPH_DEF_VERSION_MIN_CONSUMER = 0
GRAPH_DEF_VERSION_MIN_PRODUCER = 0
