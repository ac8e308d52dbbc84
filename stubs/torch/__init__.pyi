"""PyTorch is in the extra clip-export only: what is used of it is taken as it comes."""

from typing import Any

from torch import nn as nn

def __getattr__(name: str) -> Any: ...
