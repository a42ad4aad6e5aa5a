"""Whole calls recorded while they run eagerly, and repeated as compiled programs."""
