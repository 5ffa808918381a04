"""Runs an application on uvicorn, the same way for both services."""

from __future__ import annotations

from fastapi import FastAPI


def serve(app: FastAPI, port: int) -> None:
    """Until it is told to end. Its connections wait as long as any client does."""
    import torch
    import uvicorn

    torch.set_num_threads(1)
    uvicorn.run(app, host="127.0.0.1", port=port, access_log=False, log_level="warning", timeout_keep_alive=120)
