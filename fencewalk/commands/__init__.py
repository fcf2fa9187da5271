"""One module for each family of commands; each holds thin calls into the packages."""
