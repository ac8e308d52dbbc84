"""Which chromadb the settings name: homebody's own folder, or a server, which the offline guard then lets through."""

from __future__ import annotations

from pipelines import offline_guard
from pipelines.paths import HomePaths
from pipelines.settings import Settings
from rag.chroma_place import ChromaFolder, ChromaPlace, ChromaServer


def chroma_place(paths: HomePaths, settings: Settings) -> ChromaPlace:
    """Where this library's vectors are copied to. A server's address is opened in the guard, and nothing else."""
    url = settings.library.chroma_url
    if not url:
        return ChromaFolder(paths.chroma_dir)
    server = ChromaServer(url)
    offline_guard.allow_server(server.host, server.port)
    return server
