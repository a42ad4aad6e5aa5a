"""``tf.bitwise``: operations on the bits of integers."""

from diptych.tensorflow import elementwise as table
from diptych.tensorflow.elementwise import function

__all__ = ["bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift"]

bitwise_and = function(table.bitwise_and, "bitwise_and", "The bits set in both.")
bitwise_or = function(table.bitwise_or, "bitwise_or", "The bits set in either.")
bitwise_xor = function(table.bitwise_xor, "bitwise_xor", "The bits set in one but not both.")
invert = function(table.invert, "invert", "Every bit turned.")
left_shift = function(table.left_shift, "left_shift", "The bits moved up.")
right_shift = function(table.right_shift, "right_shift", "The bits moved down.")
