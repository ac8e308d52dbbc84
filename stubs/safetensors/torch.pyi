from pathlib import Path
from typing import Any

def save_file(tensors: dict[str, Any], filename: Path) -> None: ...
