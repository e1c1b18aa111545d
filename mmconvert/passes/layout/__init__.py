"""Choosing NCHW or NHWC for every value, so that as few bytes as possible are transposed."""
