"""How a deployed service is reached: ports, paths and addresses, out of its configuration as the ledger keeps it.

It is all that moving traffic to a warm standby takes. The configuration was valid when it was kept; to read it as a
Manifest again takes longer (with pydantic's import) than the whole way back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from release.errors import ManifestError
from release.naming import Slot


@dataclass(frozen=True)
class Reach:
    """`health` is the path that answers once the service is ready; `host` the engine's address, None for the usual one.

    `address`, `listen`, `admin_port` and `server_name` are nginx's; `rewrites` where it is switched by rewriting its
    configuration. `notifies`: somebody is told of what happens.
    """

    blue: int
    green: int
    health: str
    engine: str
    host: str | None
    address: str
    listen: int
    admin_port: int
    server_name: str
    rewrites: bool
    notifies: bool

    def port(self, slot: Slot) -> int:
        return self.green if slot is Slot.GREEN else self.blue

    @classmethod
    def kept(cls, config: Mapping[str, Any]) -> Reach:
        """From `stored.to_ledger`'s form. Raises ManifestError where something of it is missing."""
        try:
            slots, proxy, engine = config["slots"], config["proxy"], config["engine"]
            return cls(
                blue=int(slots["blue"]),
                green=int(slots["green"]),
                health=str(config["checks"]["health"]["path"]),
                engine=str(engine["kind"]),
                host=engine["host"],
                address=str(proxy["address"]),
                listen=int(proxy["listen"]),
                admin_port=admin_port(int(proxy["listen"]), proxy["admin"]),
                server_name=str(proxy["server_name"]),
                rewrites=proxy["switch"] == "rewrite",
                notifies=any(key.partition(".")[0] == "notify" for key in config.get("references", ())),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ManifestError(
                f"the configuration kept with the release is not usable ({type(error).__name__}: {error})",
                hint="deploy the tag again to record it anew",
            ) from error


def admin_port(listen: int, admin: int | None) -> int:
    """nginx's port for the toolkit's own questions: the one that is named, else one that `listen` leaves free."""
    if admin is not None:
        return admin
    return listen + 10000 if listen <= 55535 else listen - 10000
