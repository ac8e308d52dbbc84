"""Kinds of files that no reader takes, by their names: told without opening them.

A name without an extension tells nothing: such a file is opened, and its bytes decide (`sniff.py`).
"""

from __future__ import annotations

from rag.errors import UnsupportedFile
from rag.readers.sniff import accepts_name

_CONVERT = "convert it to a kind that is read, or leave it out with a line in .homebodyignore"

_KINDS: tuple[tuple[str, str, str], ...] = (
    (
        "a picture of a kind that is not read",
        "save it as JPEG or PNG",
        "jxl jp2 ico psd xcf raw cr2 cr3 nef arw dng orf rw2 raf srw eps ai sketch fig kra tga dds exr hdr",
    ),
    (
        "a recording of a kind that is not read",
        "convert it to MP3, FLAC or WAV",
        "alac mid midi kar mod xm it s3m ra rm rmvb dsf dff",
    ),
    ("a film of a kind that is not read", "convert it to MP4 or MKV", "vob divx swf"),
    (
        "an archive of a kind that is not read",
        "unpack it and index the folder, or pack it again as .zip",
        "7z rar zst tzst zstd lz lz4 lzma br cab arj lzh ace z sit sitx cpio xar deb rpm",
    ),
    (
        "a program or a part of one",
        "leave it out with a line in .homebodyignore",
        "exe dll so dylib o obj a lib bin com msi app dmg pkg apk ipa jar war ear class pyc pyo pyd whl egg wasm elc"
        " beam node sys drv ko efi appimage flatpak snap",
    ),
    ("a disk image", _CONVERT, "iso img vhd vhdx vdi vmdk qcow2 wim"),
    (
        "a database",
        "export what you want to find to CSV or text",
        "db sqlite sqlite3 db3 mdb accdb dbf frm myd ibd fdb parquet feather arrow orc",
    ),
    ("a font", "leave it out with a line in .homebodyignore", "ttf otf woff woff2 eot pfb pfm fon"),
    (
        "a model's weights or numbers",
        "leave it out with a line in .homebodyignore",
        "gguf ggml safetensors onnx pt pth ckpt npy npz pkl pickle h5 hdf5 mat tflite pb",
    ),
    (
        "a certificate, a key or something encrypted",
        "leave it out with a line in .homebodyignore",
        "pem crt cer der key p12 pfx jks keystore gpg pgp asc sig kdbx kdb age enc p7s p7m",
    ),
    ("a drawing or a model of a thing", _CONVERT, "dwg dxf stl step stp iges igs blend obj fbx gltf glb 3ds skp ipt"),
)
_KIND_BY_EXTENSION = {
    extension: (what, hint) for what, hint, extensions in reversed(_KINDS) for extension in extensions.split()
}


def refuse_name(name: str) -> None:
    """Raises UnsupportedFile when the name says that no reader takes the file."""
    base = name.rpartition("/")[2]
    stem, dot, extension = base.rpartition(".")
    if not dot or not stem or accepts_name(base):
        return
    extension = extension.lower()
    what, hint = _KIND_BY_EXTENSION.get(
        extension, (f"a kind of file that homebody does not read: .{extension}", _CONVERT)
    )
    raise UnsupportedFile(what, hint=hint)
