"""Photographs and drawn data sets: small, deterministic, offline."""
