from onnx import ModelProto

class _Model:
    model: ModelProto

class MatMulNBitsQuantizer:
    model: _Model
    def __init__(
        self, model: ModelProto, *, block_size: int = 128, is_symmetric: bool = False, accuracy_level: int | None = None
    ) -> None: ...
    def process(self) -> None: ...
