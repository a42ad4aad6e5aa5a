"""The run-time numbers of the convolution kernel: names and places in its descriptor."""

from __future__ import annotations

from enum import IntEnum

PHASE_WORDS = 10


class Phase(IntEnum):
    """Words of a phase; they follow the descriptor's own, one phase after the other."""

    TAPS = 0
    WINDOW = 3  # taps of one channel
    SHIFT = 4  # bytes from a pixel's place in the box to its first tap
    B_OFFSET = 5
    TABLE = 6  # where its table of taps starts in shared scratch
    BEFORE = 7  # steps along k of the phases before it, of one channel
    MERGED = 8  # how many levels of k, from the innermost, are one run
    RUN = 9  # elements of B from one step of a run to the next


class Slot(IntEnum):
    """Words of the descriptor. Strides of operands are in bytes, those of the box too.

    The *box* is the part of X that a task reads: filled with zeros at the edges, or X itself.
    """

    OVER_TAPS = 0
    IMAGES = 1
    GROUPS = 2
    CHANNELS = 3
    LANES = 4
    WINDOWS = 5  # taps of one channel in all phases
    PHASES = 6
    SIZE = 7  # three each, and four for levels
    PLACES = 10
    STEP = 13
    BEFORE = 16
    X_GROUP = 19
    X_CHANNEL = 20
    X_LEVELS = 21
    B_GROUP = 25
    B_LANE = 26
    B_LEVELS = 27
    C_GROUP = 31
    C_LANE = 32
    C_LEVELS = 33
    ROW_STRIDES = 37  # of the table of rows: those of C, or of the phases' results
    FILL = 41  # whether the box is filled; else it is X itself
    BOX = 42  # extents of the filled box, and strides: image, channel, axes
    BOX_IMAGE = 45
    BOX_CHANNEL = 46
    BOX_AXES = 47
    PIXEL_STRIDES = 50  # in the box: image and places
    TAP_STRIDES = 54  # channel and taps
    AXIS = 58  # the axis that units cut
    BAND = 59  # places of a unit along it
    BANDS = 60
    UNIT_IMAGES = 61
    UNITS = 62
    CHUNK_UNITS = 63  # units of a task, and how many such chunks there are
    CHUNKS = 64
    CHUNK_CHANNELS = 65
    CHANNEL_CHUNKS = 66
    CHUNK_PANELS = 67
    PANEL_CHUNKS = 68
    PANEL = 69  # vectors of a panel of lanes; panels
    PANELS = 70
    BLOCK = 71  # channels of a block along k (a unit's pixels are one block over taps)
    SHARED_B = 72  # whether B is packed before the tasks, for all of them
    SPLIT = 73  # whether chunks of units are partial sums
    RESIDUES = 74  # phases along each axis; steps and extents of what they make
    OUT_STEP = 77
    OUT_SIZE = 80
    PARTIAL_PANEL = 83  # bytes between the partial sums of two panels in a task
    PARTIAL_TASK = 84  # ... of two tasks' areas where partial sums are shared
    SHARED_BYTES = 85
    AT_ROWS = 86  # where parts start in shared scratch
    AT_B = 87
    AT_PARTIAL = 88
    PRIVATE_BYTES = 89
    AT_BLOCK = 90  # and in a task's own
    AT_SUMS = 91
    AT_RESULT = 92
    RESULT_LANE = 93  # bytes between lanes, and phases, of results that interleave
    RESULT_PHASE = 94
    PARALLEL = 95
    FACTOR = 96  # steps between the elements of X along each axis: the rest of the box is zero
    WORDS = 99


class PlaneSlot(IntEnum):
    """More words, of the kernel by planes; they follow the descriptor's own."""

    KERNEL = 0  # steps along k: channels of a group times taps
    FULL = 1  # whole vectors of a plane of results, and last parts of rows
    TAILS = 2
    TAIL = 3  # elements of a last part
    TASK_PLANES = 4  # planes (image and group, or group) of a task
    TASKS = 5
    W_GROUP = 6  # strides of the weight: group, lane, channel, taps; where it starts
    W_LANE = 7
    W_LEVELS = 8
    W_OFFSET = 12
    FULL_EXTENTS = 13  # of the table of whole vectors, and of last parts
    TAIL_EXTENTS = 17
    X_STRIDES = 21  # of these tables, in the box and in the result
    Y_STRIDES = 25
    K_EXTENTS = 29
    K_STRIDES = 33
    X_TAIL = 37  # where last parts start in a row, in the box and in the result
    Y_TAIL = 38
    AT_X = 39  # parts of the shared scratch; the table of k comes first
    AT_Y = 40
    AT_WEIGHT = 41  # in shared scratch; over taps in a task's own, behind the box
    WORDS = 42
