"""Tests of the PyTorch emitter."""
