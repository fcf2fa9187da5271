"""The scenarios that come with fencewalk, as TOML files (docs/sitl.md)."""
