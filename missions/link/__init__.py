"""The link to the vehicle: upload that cannot be silently wrong, download, parameters."""
