"""The commands, one family a file; each is a few lines over a pipeline."""
