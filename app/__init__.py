"""The terminal: command line and Textual screens. Sees `pipelines` only."""
