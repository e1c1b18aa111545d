"""A reader for the part of HDF5 that Keras writes.

The HDF5 library crashes and hangs on damaged files, and a model file is not to be trusted. This reader looks
at every byte through a bounds check, follows no link out of the file, never visits a node twice, and copies
no array that lies in one piece.

Format: HDF5 File Format Specification, version 3.0. Not read: dense storage of links and attributes, chunk
indices newer than version 1 B-trees, committed datatypes, and filters other than deflate, shuffle and
fletcher32.
"""

from mmconvert.parsers.keras.hdf5.file import MAGIC, Group, open_file

__all__ = ["MAGIC", "Group", "open_file"]
