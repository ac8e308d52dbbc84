"""`rag.chroma_child` behind the offline guard: the process that opens chromadb's folder stays at home too.

`pipelines.factory` passes CHROMA_CHILD_COMMAND to `rag.chroma_store.ChromaStore`.
"""

from __future__ import annotations

import sys

CHROMA_CHILD_COMMAND = (sys.executable, "-P", "-m", "pipelines.chroma_child")


def main() -> int:
    from pipelines import offline_guard

    offline_guard.install()
    from rag.chroma_child import main as chroma_child

    return chroma_child(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
