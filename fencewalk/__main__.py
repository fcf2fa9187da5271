"""`python -m fencewalk`."""

from fencewalk.cli import main

main()
