"""One package per target format; each writes the IR into a file."""
