"""The state of the fence: where it runs, and how it stands, metre by metre."""
