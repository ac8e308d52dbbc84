"""The part of faster-whisper that homebody uses (1.2)."""

from faster_whisper.transcribe import WhisperModel

__all__ = ["WhisperModel"]
