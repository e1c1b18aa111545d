"""Is the written file the same function? Inputs, comparison, and the verdict."""
