"""open_clip is in the extra clip-export only: what is used of it is taken as it comes."""

from typing import Any

def __getattr__(name: str) -> Any: ...
