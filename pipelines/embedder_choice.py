"""Choose the embedder that the library is to have: checked before it is written to the settings.

Nothing is embedded here: the next indexing run sees that the library has another one, and makes the vectors anew
while the old ones serve.
"""

from __future__ import annotations

from models.user_files import FileHashes
from models.weights import Weights
from pipelines import settings_file
from pipelines.embedder_sources import EmbedderSources, embedder_id
from pipelines.errors import SettingsInvalid
from pipelines.paths import HomePaths
from pipelines.settings import Settings


def choose_embedder(paths: HomePaths, model: str) -> Settings:
    """Name it in the settings file: an id of the catalogue, a GGUF file, or a folder with an ONNX model.

    Raises UnknownModel, WeightsMissing and WeightsDamaged where it cannot be used, SettingsInvalid where the file
    cannot be written; the settings are then as they were.
    """
    model_id = embedder_id(model)
    EmbedderSources(Weights(paths.weights_dir), FileHashes(paths.cache_dir / "hashes.json")).open(model_id)
    try:
        paths.create()
        return settings_file.set_value(paths.settings_file, "embed", "model", model_id)
    except OSError as error:
        raise SettingsInvalid(
            f"{paths.settings_file} cannot be written ({error.strerror or error})",
            hint=f'write it yourself: [embed] model = "{model_id}"',
        ) from error


__all__ = ["choose_embedder"]
