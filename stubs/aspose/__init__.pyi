"""What the tests use of aspose-email-foss, which ships no types."""
