"""The engine that judges answers; the exercises themselves are in `checks`."""
