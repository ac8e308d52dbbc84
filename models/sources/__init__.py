"""Where weights can come from. A source is a mirror, never an authority: the catalogue's hashes decide."""
