"""The program as data: nodes in order, how they are traced, checked and interpreted."""
