"""Recurrent layers to IR: all time steps of one direction in one kernel, forward and backward."""
