"""Read and judge the header of a GGUF file before native code sees it.

Everything in the file is untrusted: counts, lengths, offsets and alignment are held against hard limits and against
the size of the file, so a hostile header costs no memory and no native parser ever meets it. The file is mapped, not
read: only the header's pages are touched. Knows nothing of engines; what it finds is plain values.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The limits follow what llama.cpp accepts, and
are narrower where a real model never comes near.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from models.errors import WeightsDamaged, WeightsMissing
from models.ggml_types import TENSOR_TYPES

MAGIC = b"GGUF"
VERSIONS = (2, 3)
"""1 had 32-bit lengths and is no longer read by llama.cpp."""
MAX_METADATA_ENTRIES = 65_536
MAX_TENSORS = 65_536
MAX_KEY_BYTES = 65_535
"""The format's own limit."""
MAX_STRING_BYTES = 16 * 2**20
MAX_ARRAY_LENGTH = 2**24
MAX_TENSOR_NAME_BYTES = 63
"""ggml keeps 64 with the final NUL."""
MAX_DIMENSIONS = 4
MAX_ALIGNMENT = 2**16
DEFAULT_ALIGNMENT = 32
MAX_LAYERS = 4096
MAX_HEADS = 2**16
MAX_CONTEXT_TOKENS = 2**30

_STRING, _ARRAY, _BOOL = 8, 9, 7
_SCALAR_FORMATS: Mapping[int, struct.Struct] = MappingProxyType(
    {
        0: struct.Struct("<B"),
        1: struct.Struct("<b"),
        2: struct.Struct("<H"),
        3: struct.Struct("<h"),
        4: struct.Struct("<I"),
        5: struct.Struct("<i"),
        6: struct.Struct("<f"),
        _BOOL: struct.Struct("<B"),
        10: struct.Struct("<Q"),
        11: struct.Struct("<q"),
        12: struct.Struct("<d"),
    }
)
_INTEGER_TYPES = frozenset({0, 1, 2, 3, 4, 5, 10, 11})

MetadataScalar = int | float | bool | str


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What the header says; only values that were checked. Fields are None where the file does not say."""

    path: Path
    file_bytes: int
    version: int
    tensor_count: int
    alignment: int
    architecture: str
    scalars: Mapping[str, MetadataScalar]
    """Every metadata entry that is one value: numbers, booleans, strings."""
    array_lengths: Mapping[str, int]
    """Every metadata entry that is an array, by its number of elements; their contents are not kept."""
    kv_heads_per_layer: tuple[int, ...] | None
    """One number a layer, 0 where a layer keeps no KV; None when the file does not say."""
    tokens_span: tuple[int, int] = (0, 0)
    """Where the vocabulary's strings stand in the file, in bytes."""

    def whole_number(self, key: str) -> int | None:
        """The integer under `<architecture>.<key>`, or None when it is absent or of another type."""
        value = self.scalars.get(f"{self.architecture}.{key}")
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def text(self, key: str) -> str | None:
        """The string under the full key, or None."""
        value = self.scalars.get(key)
        return value if isinstance(value, str) else None

    @property
    def name(self) -> str | None:
        return self.text("general.name")

    @property
    def block_count(self) -> int | None:
        return self.whole_number("block_count")

    @property
    def embedding_length(self) -> int | None:
        return self.whole_number("embedding_length")

    @property
    def head_count(self) -> int | None:
        return self.whole_number("attention.head_count")

    @property
    def context_tokens(self) -> int | None:
        """The longest context that the model was trained for."""
        return self.whole_number("context_length")

    @property
    def chat_template(self) -> str | None:
        return self.text("tokenizer.chat_template")

    @property
    def vocabulary_tokens(self) -> int | None:
        return self.array_lengths.get("tokenizer.ggml.tokens") or self.whole_number("vocab_size")

    @property
    def head_dim(self) -> int | None:
        """Width of one key; llama.cpp's own rule when the file gives none."""
        if (stated := self.whole_number("attention.key_length")) is not None:
            return stated
        if self.embedding_length is None or not self.head_count:
            return None
        return self.embedding_length // self.head_count

    def has_token(self, text: str) -> bool:
        """Whether the vocabulary has this as one token. Looks into the file once more.

        Raises WeightsDamaged where it can no longer be read.
        """
        first, end = self.tokens_span
        wanted = text.encode()
        try:
            with self.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                return mapped.find(struct.pack("<Q", len(wanted)) + wanted, first, end) >= 0
        except (OSError, ValueError) as error:  # mmap: it is empty now
            raise _unreadable(self.path, error) from error

    def kv_bytes_per_token(self, bytes_per_value: float = 2.0) -> int | None:
        """Bytes of KV cache a token costs (f16 by default, 34/32 for q8_0); None when the header is not enough."""
        if self.kv_heads_per_layer is None or self.head_dim is None:
            return None
        value_dim = self.whole_number("attention.value_length") or self.head_dim
        return int(sum(self.kv_heads_per_layer) * (self.head_dim + value_dim) * bytes_per_value)


def read_gguf_header(path: Path) -> GgufHeader:
    """Check the header of the file and return what it says.

    Raises WeightsMissing when there is no such regular file, WeightsDamaged when its header is not one that
    llama.cpp should be given.
    """
    if not path.is_file():
        raise WeightsMissing(f"there is no file {str(path)!r}", hint="name a .gguf file, or a model's id")
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size < 24:
                raise _damaged(path, f"it has {size} bytes, too few for a header")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                return _HeaderReader(path, mapped).read()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError | ValueError) -> WeightsDamaged:
    reason = error.strerror if isinstance(error, OSError) else error
    return WeightsDamaged(f"{str(path)!r} cannot be read: {reason}", hint="check the file's permissions and its disk")


def _damaged(path: Path, reason: str) -> WeightsDamaged:
    return WeightsDamaged(
        f"{str(path)!r} is not a GGUF file that can be loaded: {reason}",
        hint="get the file again; if it came from homebody: homebody models verify",
    )


def _padded(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment


def _same_kv_heads_in_every_layer(header: GgufHeader) -> tuple[int, ...] | None:
    # No grouped heads stated: every head keeps keys and values of its own.
    heads = header.whole_number("attention.head_count_kv") or header.head_count
    return (heads,) * header.block_count if heads and header.block_count else None


class _HeaderReader:
    """One pass over the mapped header; `at` is the position."""

    def __init__(self, path: Path, mapped: mmap.mmap) -> None:
        self._path = path
        self._mapped = mapped
        self._size = len(mapped)
        self._at = 0
        self._scalars: dict[str, MetadataScalar] = {}
        self._array_lengths: dict[str, int] = {}
        self._kv_heads: tuple[int, ...] | None = None
        self._tokens_span = (0, 0)

    def read(self) -> GgufHeader:
        if self._mapped[:4] != MAGIC:
            raise self._fail(f"it starts with {bytes(self._mapped[:4])!r}, not {MAGIC!r}")
        self._at = 4
        version = self._number(4)
        if version not in VERSIONS:
            raise self._fail(f"format version {version}, known are {VERSIONS[0]} and {VERSIONS[1]}")
        tensor_count = self._number(8)
        metadata_count = self._number(8)
        if tensor_count > MAX_TENSORS:
            raise self._fail(f"it claims {tensor_count} tensors, more than {MAX_TENSORS}")
        if metadata_count > MAX_METADATA_ENTRIES:
            raise self._fail(f"it claims {metadata_count} metadata entries, more than {MAX_METADATA_ENTRIES}")
        for _ in range(metadata_count):
            self._metadata_entry()
        alignment = self._alignment()
        self._tensors(tensor_count, alignment)
        return self._header(version, tensor_count, alignment)

    def _fail(self, reason: str) -> WeightsDamaged:
        return _damaged(self._path, reason)

    def _skip(self, count: int) -> int:
        """Move past `count` bytes and return where they start."""
        start = self._at
        if count > self._size - start:
            raise self._fail(f"it ends inside its header (byte {self._size})")
        self._at = start + count
        return start

    def _number(self, width: int) -> int:
        start = self._skip(width)
        return int.from_bytes(self._mapped[start : start + width], "little")

    def _string(self, what: str, most_bytes: int) -> str:
        length = self._number(8)
        if length > most_bytes:
            raise self._fail(f"{what} of {length} bytes, more than {most_bytes}")
        start = self._skip(length)
        try:
            return self._mapped[start : start + length].decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._fail(f"{what} is not UTF-8") from error

    def _scalar(self, kind: int, key: str) -> int | float | bool:
        shape = _SCALAR_FORMATS[kind]
        (value,) = shape.unpack_from(self._mapped, self._skip(shape.size))
        if kind == _BOOL:
            if value not in (0, 1):
                raise self._fail(f"{key!r} is a truth value of {value}")
            return bool(value)
        assert isinstance(value, int | float)
        return value

    def _metadata_entry(self) -> None:
        key = self._string("a key", MAX_KEY_BYTES)
        if not key:
            raise self._fail("a metadata key is empty")
        if key in self._scalars or key in self._array_lengths:
            raise self._fail(f"the key {key!r} comes twice")
        kind = self._number(4)
        if kind == _STRING:
            self._scalars[key] = self._string(f"the value of {key!r}", MAX_STRING_BYTES)
        elif kind == _ARRAY:
            self._array_lengths[key] = self._array(key)
        elif kind in _SCALAR_FORMATS:
            self._scalars[key] = self._scalar(kind, key)
        else:
            raise self._fail(f"the value of {key!r} has the unknown type {kind}")

    def _array(self, key: str) -> int:
        kind = self._number(4)
        length = self._number(8)
        if length > MAX_ARRAY_LENGTH:
            raise self._fail(f"{key!r} claims {length} elements, more than {MAX_ARRAY_LENGTH}")
        if kind == _STRING:
            first = self._at
            self._skip_strings(key, length)
            if key == "tokenizer.ggml.tokens":
                self._tokens_span = first, self._at
        elif kind in _SCALAR_FORMATS:
            shape = _SCALAR_FORMATS[kind]
            start = self._skip(length * shape.size)
            if kind in _INTEGER_TYPES and key.endswith(".attention.head_count_kv"):
                self._kv_heads = self._kv_heads_of(key, start, length, shape)
        else:
            raise self._fail(f"{key!r} is an array of the type {kind}, which no reader takes")
        return length

    def _skip_strings(self, key: str, length: int) -> None:
        # A vocabulary is 150,000 strings and the loop is most of the whole cost: locals, and one check a string.
        mapped, size, at = self._mapped, self._size, self._at
        unpack = struct.Struct("<Q").unpack_from
        for _ in range(length):
            if at + 8 > size:
                raise self._fail(f"it ends inside its header (byte {size})")
            (string_bytes,) = unpack(mapped, at)
            if string_bytes > MAX_STRING_BYTES:
                raise self._fail(f"{key!r} has a string of {string_bytes} bytes, more than {MAX_STRING_BYTES}")
            at += 8 + string_bytes
        if at > size:
            raise self._fail(f"it ends inside its header (byte {size})")
        self._at = at

    def _kv_heads_of(self, key: str, start: int, length: int, shape: struct.Struct) -> tuple[int, ...]:
        if length > MAX_LAYERS:
            raise self._fail(f"{key!r} has {length} layers, more than {MAX_LAYERS}")
        stored = self._mapped[start : start + length * shape.size]
        heads = tuple(int(value) for (value,) in shape.iter_unpack(stored))
        if any(not 0 <= each <= MAX_HEADS for each in heads):
            raise self._fail(f"{key!r} has an impossible number of heads")
        return heads

    def _alignment(self) -> int:
        alignment = self._scalars.get("general.alignment", DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or isinstance(alignment, bool):
            raise self._fail("general.alignment is not a whole number")
        if not 0 < alignment <= MAX_ALIGNMENT or alignment & (alignment - 1):
            raise self._fail(f"alignment {alignment} is not a power of two up to {MAX_ALIGNMENT}")
        return alignment

    def _tensors(self, count: int, alignment: int) -> None:
        names: set[str] = set()
        expected_offset = data_bytes = 0
        for _ in range(count):
            name = self._string("a tensor's name", MAX_TENSOR_NAME_BYTES)
            if name in names:
                raise self._fail(f"the tensor {name!r} comes twice")
            names.add(name)
            stored_bytes = self._tensor_bytes(name)
            offset = self._number(8)
            # llama.cpp wants tensors one behind the other; that also keeps them from overlapping.
            if offset != expected_offset:
                raise self._fail(f"the tensor {name!r} is at offset {offset}, expected {expected_offset}")
            data_bytes = offset + stored_bytes
            expected_offset = _padded(data_bytes, alignment)
        missing_bytes = _padded(self._at, alignment) + data_bytes - self._size
        if count and missing_bytes > 0:
            raise self._fail(f"{missing_bytes:,} bytes of its tensors are missing: the file is cut short")

    def _tensor_bytes(self, name: str) -> int:
        dimensions = self._number(4)
        if not 1 <= dimensions <= MAX_DIMENSIONS:
            raise self._fail(f"the tensor {name!r} has {dimensions} dimensions")
        shape = [self._number(8) for _ in range(dimensions)]
        kind = self._number(4)
        if kind not in TENSOR_TYPES:
            raise self._fail(f"the tensor {name!r} has the unknown type {kind}")
        values = 1
        for length in shape:
            values *= length
            # Checked at each step: no product of these wraps in native code.
            if length == 0 or values >= 2**63:
                raise self._fail(f"the tensor {name!r} has an impossible shape")
        block_values, block_bytes = TENSOR_TYPES[kind]
        if shape[0] % block_values:
            raise self._fail(f"a row of the tensor {name!r} is not a whole number of blocks")
        stored_bytes = values // block_values * block_bytes
        if stored_bytes > self._size:
            raise self._fail(f"the tensor {name!r} is larger than the file: the file is cut short")
        return stored_bytes

    def _header(self, version: int, tensor_count: int, alignment: int) -> GgufHeader:
        architecture = self._scalars.get("general.architecture")
        if not isinstance(architecture, str) or not architecture:
            raise self._fail("it names no architecture")
        header = GgufHeader(
            path=self._path,
            file_bytes=self._size,
            version=version,
            tensor_count=tensor_count,
            alignment=alignment,
            architecture=architecture,
            scalars=MappingProxyType(self._scalars),
            array_lengths=MappingProxyType(self._array_lengths),
            kv_heads_per_layer=None,
            tokens_span=self._tokens_span,
        )
        self._check_bounds(header)
        return replace(header, kv_heads_per_layer=self._kv_heads or _same_kv_heads_in_every_layer(header))

    def _check_bounds(self, header: GgufHeader) -> None:
        bounds = (
            ("block_count", header.block_count, MAX_LAYERS),
            ("embedding_length", header.embedding_length, 2**24),
            ("attention.head_count", header.head_count, MAX_HEADS),
            ("attention.head_count_kv", header.whole_number("attention.head_count_kv"), MAX_HEADS),
            ("attention.key_length", header.whole_number("attention.key_length"), 2**20),
            ("attention.value_length", header.whole_number("attention.value_length"), 2**20),
            ("context_length", header.context_tokens, MAX_CONTEXT_TOKENS),
        )
        for key, value, most in bounds:
            # Zero is refused too: native code divides by some of these.
            if value is not None and not 0 < value <= most:
                raise self._fail(f"{header.architecture}.{key} is {value}, outside 1 to {most}")
