"""Bytes to objects and arrays, and back, without a face: readers that trust nothing they read."""
