"""How the drawn data sets draw: their private parts."""
