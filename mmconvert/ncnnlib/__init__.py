"""NCNN's two files: the records of layers in ``.param``, and the weights in ``.bin``."""
