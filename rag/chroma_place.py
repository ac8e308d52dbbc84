"""Where chromadb's collection is: a folder of homebody's own, or a Chroma server that the settings name.

Opens the collection in either. Knows nothing of what is in it: `chroma_child.py` compares and writes it,
`chroma_store.py` asks it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from rag.errors import ChromaUnreachable
from rag.identity import EmbedderIdentity
from rag.library_db import LibraryDb

if TYPE_CHECKING:
    import httpx
    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection

LIBRARY_ID_KEY = "library_id"
SERVER_TIMEOUT_S = 30.0
UNREACHABLE_HINT = (
    "start it, or take library.chroma_url out of the settings; until then every vector is compared on this machine"
)
PORTS = {"http": 8000, "https": 443}
"""Where a URL names none; 8000 is what `chroma run` listens on."""


@dataclass(frozen=True, slots=True)
class ChromaFolder:
    """Only one process at a time may have it open."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class ChromaServer:
    """Any number of processes and machines may ask it."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or PORTS[parts.scheme]

    @property
    def is_encrypted(self) -> bool:
        return urlsplit(self.url).scheme == "https"


ChromaPlace = ChromaFolder | ChromaServer


def place_named(text: str) -> ChromaPlace:
    """What a command line or a setting calls it: a URL or a folder."""
    return ChromaServer(text) if text.startswith(("http://", "https://")) else ChromaFolder(Path(text))


def make_library_id(db: LibraryDb) -> str:
    """The name that tells this library from others on the same server; made when it is first needed."""
    with db.transaction():
        library_id = db.read_meta(LIBRARY_ID_KEY)
        if library_id is None:
            library_id = uuid.uuid4().hex[:12]
            db.write_meta(LIBRARY_ID_KEY, library_id)
        return library_id


def collection_prefix(db: LibraryDb, place: ChromaPlace) -> str:
    """What the names of this library's collections begin with, whichever embedder they are of."""
    return "homebody-" if isinstance(place, ChromaFolder) else f"homebody-{db.read_meta(LIBRARY_ID_KEY)}-"


def open_collection(db: LibraryDb, place: ChromaPlace, identity: EmbedderIdentity) -> tuple[Client, Collection]:
    """chromadb's collection for this library and embedder, made if need be. Imports chromadb: 1.4-2 s.

    Raises ChromaUnreachable for a server that does not answer, and what `chroma_troubles` names.
    """
    client = _connected(place)
    collection = client.get_or_create_collection(
        collection_prefix(db, place) + identity.short_hash,
        embedding_function=None,  # the default one downloads
        # More than the 100 neighbours looked at by default: up to 100 are asked for. 2 ms instead of 1.
        configuration={"hnsw": {"space": "cosine", "ef_search": 200, "num_threads": 1}},
    )
    return client, collection


def _connected(place: ChromaPlace) -> Client:
    import chromadb
    from chromadb.config import Settings

    # No .env of the folder that homebody was started in may configure it.
    no_env_file: dict[str, Any] = {"_env_file": None}
    settings = Settings(anonymized_telemetry=False, **no_env_file)
    if isinstance(place, ChromaFolder):
        return cast("Client", chromadb.PersistentClient(path=place.path, settings=settings))
    try:
        client = chromadb.HttpClient(host=place.host, port=place.port, ssl=place.is_encrypted, settings=settings)
    except ValueError as error:  # its word for "no connection"
        raise _unreachable(place, error) from error
    except chroma_troubles() as error:
        raise _unreachable(place, error) from error
    for session in _sessions(client):
        session.timeout = SERVER_TIMEOUT_S
    return cast("Client", client)


def _unreachable(place: ChromaServer, error: Exception) -> ChromaUnreachable:
    return ChromaUnreachable(f"the Chroma server at {place.url} does not answer ({error})", hint=UNREACHABLE_HINT)


def close_client(place: ChromaPlace, client: Client) -> None:
    """Give back what it holds: the folder's files, or the connections to the server."""
    sessions = _sessions(client) if isinstance(place, ChromaServer) else []
    client.close()
    for session in sessions:
        session.close()


def _sessions(client: Any) -> list[httpx.Client]:
    """chromadb's client for a server neither closes its connections nor limits its waiting; it has no switch for that.

    A second client, for collections' databases, comes with each.
    """
    return [each._server._session for each in (client, client._admin_client)]


def chroma_troubles() -> tuple[type[Exception], ...]:
    """What chromadb raises for a damaged folder, a refused request or a server that went away."""
    import httpx
    from chromadb.errors import ChromaError

    return ChromaError, httpx.HTTPError
