"""The part of faster-whisper that homebody uses (1.2)."""

from faster_whisper.transcribe import BatchedInferencePipeline, WhisperModel

__all__ = ["BatchedInferencePipeline", "WhisperModel"]
