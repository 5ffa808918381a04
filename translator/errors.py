"""What can go wrong, as one shape: `{"error": {"code", "message"}}` with an HTTP status. No HTTP framework in here."""

from __future__ import annotations


class StartError(Exception):
    """The service cannot start with these settings or this model directory; the message says what to change."""


class Refusal(Exception):
    """A request that gets an error answer.

    `code` is stable and made for programs, `message` is made for people, `status` is the HTTP status.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def body(self) -> dict[str, dict[str, str]]:
        """The answer's JSON."""
        return {"error": {"code": self.code, "message": self.message}}


def loading() -> Refusal:
    """The model has not translated anything yet."""
    return Refusal(503, "loading", "The model is still loading; ask /health and try again in a moment.")


def busy(waiting: int) -> Refusal:
    """The queue is full."""
    return Refusal(503, "busy", f"{waiting} requests are waiting already; try again in a moment.")


def of_host(status: int, message: str) -> Refusal:
    """What modelhost refuses, in this API's words."""
    codes = {400: "bad_version", 401: "unauthenticated", 403: "forbidden", 404: "unknown_version", 503: "loading"}
    return Refusal(status, codes.get(status, "model_failed"), message)
