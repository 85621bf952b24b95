"""Tools for authors of the book."""
