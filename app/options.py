"""Options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from app.invocation import Invocation


class WrongUsage(typer.BadParameter):
    """The command line asks for something that makes no sense; shown as it is, with where the help is."""

    def format_message(self) -> str:
        return self.message


Device = Literal["auto", "cpu", "gpu", "npu"]


DeviceOption = Annotated[
    Device | None,
    typer.Option("--device", help="Where engines run; what really runs, and why, is in `homebody doctor`."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def chosen_device(invocation: Invocation, device: Device | None) -> None:
    """`--device` may stand before the command or behind it; the one behind wins."""
    if device is not None:
        invocation.device = device
