"""The version of mmconvert, alone in a module so that nothing else is imported to read it."""

VERSION = "0.1.0"
