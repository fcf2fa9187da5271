"""Aircraft and cameras as data files."""
