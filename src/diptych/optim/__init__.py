"""Optimizers' update rules, without a face: one compiled update of all parameters."""
