"""One file per runtime that can execute a model file."""
