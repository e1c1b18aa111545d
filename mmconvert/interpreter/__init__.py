"""The bundled interpreter: runs a graph in plain NumPy, in float32 or as the float64 oracle."""

from mmconvert.interpreter.session import Precision, Revise, Session, Trace, run

__all__ = ["Precision", "Revise", "Session", "Trace", "run"]
