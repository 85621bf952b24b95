"""Tools for authors of the book."""

import sys

# jsonschema, which reads notebooks' schema, would compile a grammar of web addresses as
# it is imported: three seconds in each process, and no notebook has one to check.
sys.modules.setdefault("rfc3987_syntax", None)  # "not installed"
