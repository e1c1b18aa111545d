"""Measurements against other converters and runtimes; `README.md` says how to run them."""
