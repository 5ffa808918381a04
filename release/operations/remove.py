"""Remove: takes a service off this host, with its containers, images, nginx and state. Nothing else is touched."""

from __future__ import annotations

import shutil

from release.errors import EngineError
from release.operations.result import Result
from release.pipeline.events import Said
from release.rollout.hands import Hands


def remove(hands: Hands) -> Result:
    """Traffic ends first, then what served it. The caller holds the deployment lock, and has asked the person."""
    scope = hands.manifest.scope
    with hands.traffic_lock():
        hands.proxy.switch.clear()
    hands.proxy.uninstall()
    instances = hands.engine.instances(scope)
    for instance in instances:
        hands.engine.remove(instance.id)
    images = hands.images.all(scope)
    for image in images:
        try:
            hands.images.remove(image)
        except EngineError as error:
            hands.report(Said(f"{image.reference} stays: {error.message}", "warning"))
    hands.images.forget_cache(scope)
    for leftover in hands.images.leftovers(scope):
        hands.images.discard(leftover)
    hands.ledger.close()
    shutil.rmtree(hands.state.path)
    text = f"{scope} is removed: {len(instances)} containers, {len(images)} images, its nginx and its state"
    hands.report(Said(text))
    return Result(0, "removed", text)
