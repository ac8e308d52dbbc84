"""Readers: one format family a file; each turns a file into blocks of text with a locator."""
