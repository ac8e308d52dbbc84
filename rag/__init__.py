"""Reading, chunking, storing and finding: the library. Knows nothing of models or of the terminal."""
