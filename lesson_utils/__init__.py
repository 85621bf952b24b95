"""The code of *Look Closer*, a course on deep computer vision: one module a chapter."""
