"""``tf.dtypes``: the dtypes, and what converts to them."""

from diptych.tensorflow.dtype import DType as DType
from diptych.tensorflow.dtype import as_dtype as as_dtype
from diptych.tensorflow.dtype import bfloat16 as bfloat16
from diptych.tensorflow.dtype import bool as bool
from diptych.tensorflow.dtype import complex64 as complex64
from diptych.tensorflow.dtype import complex128 as complex128
from diptych.tensorflow.dtype import double as double
from diptych.tensorflow.dtype import float16 as float16
from diptych.tensorflow.dtype import float32 as float32
from diptych.tensorflow.dtype import float64 as float64
from diptych.tensorflow.dtype import half as half
from diptych.tensorflow.dtype import int8 as int8
from diptych.tensorflow.dtype import int16 as int16
from diptych.tensorflow.dtype import int32 as int32
from diptych.tensorflow.dtype import int64 as int64
from diptych.tensorflow.dtype import resource as resource
from diptych.tensorflow.dtype import string as string
from diptych.tensorflow.dtype import uint8 as uint8
from diptych.tensorflow.dtype import uint16 as uint16
from diptych.tensorflow.dtype import uint32 as uint32
from diptych.tensorflow.dtype import uint64 as uint64
from diptych.tensorflow.dtype import variant as variant
from diptych.tensorflow.math import cast as cast
from diptych.tensorflow.math import complex as complex
from diptych.tensorflow.math import saturate_cast as saturate_cast
