"""One numpydoc docstring per row of the table that is public; the accuracy is filled in from the table."""
DOCS = {}
def docstring(name, claim): return DOCS.get(name, name)
