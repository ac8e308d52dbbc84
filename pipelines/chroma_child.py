"""`rag.chroma_child` behind the offline guard: the process that opens chromadb's folder stays at home too.

`pipelines.factory` passes CHROMA_CHILD_COMMAND to `rag.chroma_store.ChromaStore`.
"""

from __future__ import annotations

import sys

CHROMA_CHILD_COMMAND = (sys.executable, "-P", "-m", "pipelines.chroma_child")


def main() -> int:
    from pipelines import offline_guard
    from rag.chroma_place import ChromaServer, place_named

    offline_guard.install()
    place = place_named(sys.argv[2])
    if isinstance(place, ChromaServer):
        offline_guard.allow_server(place.host, place.port)
    from rag.chroma_child import main as chroma_child

    return chroma_child(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
