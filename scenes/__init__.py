"""Generated sites with truth, written as files."""
