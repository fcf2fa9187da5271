"""Camera presets, one TOML file each."""
