"""Small packages that programs import beside the frameworks; none is written yet."""
