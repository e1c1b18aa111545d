"""``python -m mmconvert`` is ``mmconvert``."""

from mmconvert.cli import main

main()
