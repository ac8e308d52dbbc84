from collections.abc import Sequence

from tokenizers import Tokenizer as HfTokenizer

class Tokenizer:
    eot: int
    timestamp_begin: int
    def __init__(self, tokenizer: HfTokenizer, multilingual: bool, task: str = ..., language: str = ...) -> None: ...
    def decode(self, tokens: Sequence[int]) -> str: ...
