"""The part of ctranslate2 that homebody uses (4.x)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

class StorageView:
    @staticmethod
    def from_array(array: NDArray[np.float32]) -> StorageView: ...
    def __array__(self, dtype: Any = None) -> NDArray[Any]: ...

def get_supported_compute_types(device: str, device_index: int = 0) -> set[str]: ...
def get_cuda_device_count() -> int: ...
