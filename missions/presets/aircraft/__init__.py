"""Aircraft presets, one TOML file each."""
