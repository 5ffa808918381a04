"""Cleaning up after a test that used a Docker Engine: everything of one scope goes, and nothing else."""

from __future__ import annotations

from release.engine.docker import DockerEngine
from release.image.docker import DockerImages


def clear(scope: str) -> None:
    """Removes containers, images and build leftovers that carry this scope's labels."""
    engine, images = DockerEngine(), DockerImages()
    for instance in engine.instances(scope):
        engine.remove(instance.id)
    for image in images.all(scope):
        images.remove(image)
    images.forget_cache(scope)
    while left := images.leftovers(scope):
        for leftover in left:
            images.discard(leftover)
        if set(images.leftovers(scope)) == set(left):
            raise AssertionError(f"cannot remove what builds of {scope} left: {left}")
