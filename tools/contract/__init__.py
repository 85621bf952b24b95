"""The contract of the book: what every chapter keeps, as small functions.

    python -m tools.contract

A rule takes a `Tree` and returns its complaints, each of the form
"file: place: what must be so, and what was found"; none means that it holds.
"""
