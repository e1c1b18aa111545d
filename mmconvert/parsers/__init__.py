"""One package per source format; each reads files into the IR without the framework that wrote them."""
