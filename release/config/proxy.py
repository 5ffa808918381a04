"""The manifest's `proxy`: nginx in front."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from release.config.quantities import Bytes, Seconds
from release.config.reach import admin_port
from release.config.section import Port, Section

HOST_NAMES = re.compile(r"[A-Za-z0-9.*_-]+(?: [A-Za-z0-9.*_-]+)*")  # what nginx takes as server_name, unquoted


class Proxy(Section):
    """nginx in front of the two slots."""

    kind: Literal["managed", "included"] = Field(
        "managed", description="managed: an nginx of its own; included: a file in an existing nginx's conf.d"
    )
    switch: Literal["flags", "rewrite"] = Field(
        "flags", description="flags: one rename, no reload; rewrite: the upstream file is rewritten and nginx reloaded"
    )
    listen: Port = Field(8080, description="the public port")
    address: str = Field("0.0.0.0", description="address the public listener binds")
    admin: Port | None = Field(None, description="loopback port of the admin location; default: listen + 10000")
    include: str | None = Field(None, description="included/rewrite: the file in nginx's conf.d that this writes")
    server_name: str = Field("_", description="nginx server_name; _ takes every host name")
    command: tuple[str, ...] = Field(
        ("nginx",), min_length=1, description="how nginx is called; add -c FILE for one with a configuration elsewhere"
    )
    max_body: Bytes = Field(20 << 20, description="largest request body")
    read_timeout: Seconds = Field(60.0, description="longest silence of the service before nginx answers 504")
    stream_timeout: Seconds | None = Field(None, description="longest SSE or WebSocket stream; default: read_timeout")
    sticky: str = Field(
        "none", description="what keeps a client on one slot during a canary: none, address, header:NAME or cookie:NAME"
    )

    @field_validator("sticky")
    @classmethod
    def _sticky(cls, value: str) -> str:
        kind, _, name = value.partition(":")
        if value in ("none", "address") or (
            kind in ("header", "cookie") and name.isascii() and name.replace("-", "").replace("_", "").isalnum()
        ):
            return value
        raise ValueError("write none, address, header:NAME or cookie:NAME")

    @property
    def admin_port(self) -> int:
        return admin_port(self.listen, self.admin)

    @model_validator(mode="after")
    def _include(self) -> Proxy:
        if (self.kind == "included" or self.switch == "rewrite") and not self.include:
            raise ValueError("kind: included and switch: rewrite need `include`, the file in nginx's conf.d to write")
        if self.include is not None and not self.include.startswith("/"):
            raise ValueError("include needs an absolute path, such as /etc/nginx/conf.d/translator.conf")
        return self
