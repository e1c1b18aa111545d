"""Architectures of torch's libraries, small and with weights that matter, for tests of the PyTorch parser."""
