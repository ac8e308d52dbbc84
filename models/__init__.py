"""The engines: weights, devices, chat, embedding. Knows nothing of documents or of the terminal.

This package is code. Weights live in the user's data folder (`pipelines.paths`).
"""
