"""Plays the person of an operator step: does to a world what its image says that a person does."""

from __future__ import annotations

from converge.errors import UsageError
from converge.lab import service_manager
from converge.lab.effects import enact
from converge.lab.specs import StepSpec
from converge.lab.world import World
from converge.model.names import fold


def list_steps(world: World) -> dict[str, str]:
    """The steps a person could do on this host, with what they are."""
    return {name: step.describe for name, step in world.steps.items()}


def perform_step(world: World, step: str) -> StepSpec:
    """Do one step, whatever came before. Raises UsageError for one the host's image does not know."""
    known = {fold(name): spec for name, spec in world.steps.items()}
    spec = known.get(fold(step))
    if spec is None:
        names = ", ".join(sorted(world.steps)) or "none"
        raise UsageError(f"{world.profile.host_name} has no operator step {step!r}", try_=f"one of: {names}")
    with world.lock:
        service_manager.settle(world)
        enact(world, spec.effects)
    return spec
