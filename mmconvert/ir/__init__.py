"""The intermediate representation: typed operators over an SSA graph."""
