"""Conversions of whole, real models, and the sources those come from."""
