"""The demo: the main job, for real, on this machine, under load, with everything it makes in `.demo/`."""
