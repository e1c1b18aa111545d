"""Shrinks a model whose conversion fails to a small one that fails in the same way."""
