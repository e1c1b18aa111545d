"""Graph to graph: one file per pass, and the pipelines made of them."""
