"""The run-time numbers of the convolution kernel: names and places in its descriptor."""

from __future__ import annotations

from enum import IntEnum


class Slot(IntEnum):
    """Words of the descriptor. Strides of operands are in bytes, those of the box too.

    The *box* is the part of X that a task reads: filled with zeros at the edges, or X itself.
    """

    OVER_TAPS = 0
    IMAGES = 1
    GROUPS = 2
    CHANNELS = 3
    LANES = 4
    WINDOW = 5  # taps of one channel
    SIZE = 6  # three each, and four for levels
    PLACES = 9
    TAPS = 12
    STEP = 15
    BEFORE = 18
    X_GROUP = 21
    X_CHANNEL = 22
    X_LEVELS = 23
    B_OFFSET = 27
    B_GROUP = 28
    B_LANE = 29
    B_LEVELS = 30
    B_MERGED = 34  # how many levels of k, from the innermost, are one run
    B_RUN = 35  # elements from one step of a run to the next
    C_OFFSET = 36
    C_GROUP = 37
    C_LANE = 38
    C_LEVELS = 39
    FILL = 43  # whether the box is filled; else it is X itself
    BOX = 44  # extents of the filled box, and strides: image, channel, axes
    BOX_IMAGE = 47
    BOX_CHANNEL = 48
    BOX_AXES = 49
    PIXEL_STRIDES = 52  # in the box: image and places
    TAP_STRIDES = 56  # channel and taps
    AXIS = 60  # the axis that units cut
    BAND = 61  # places of a unit along it
    BANDS = 62
    UNIT_IMAGES = 63
    UNITS = 64
    CHUNK_UNITS = 65  # units of a task, and how many such chunks there are
    CHUNKS = 66
    CHUNK_CHANNELS = 67
    CHANNEL_CHUNKS = 68
    CHUNK_PANELS = 69
    PANEL_CHUNKS = 70
    PANEL = 71  # vectors of a panel of lanes; panels
    PANELS = 72
    BLOCK = 73  # channels of a block along k (all units' pixels are one block over taps)
    SHARED_B = 74  # whether B is packed before the tasks, for all of them
    SPLIT = 75  # whether chunks of units are partial sums
    TABLE_PIXELS = 76  # entries of the tables
    TABLE_TAPS = 77
    PARTIAL_PANEL = 78  # bytes between the partial sums of two panels in a task
    PARTIAL_TASK = 79  # ... of two tasks' areas where partial sums are shared
    SHARED_BYTES = 80
    AT_TAPS = 81  # where parts start in shared scratch
    AT_ROWS = 82
    AT_B = 83
    AT_PARTIAL = 84
    PRIVATE_BYTES = 85
    AT_BLOCK = 86  # and in a task's own
    AT_SUMS = 87
    PARALLEL = 88
    WORDS = 89
