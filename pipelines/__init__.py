"""What homebody does for its user, one job a file. Wires `rag` and `models`; knows no user interface."""
