"""Takes down everything that the demo made: its nginx, containers, images, state and folder. Nothing else."""

from __future__ import annotations

import shutil
import sys

from demo.place import DemoFailed, Place


def main() -> int:
    place = Place()
    if not place.folder.exists():
        print("demo-down: no demo is up")
        return 0
    if (place.state / "translator-demo" / "ledger.db").exists():
        try:
            place.release("remove", "--yes")
        except DemoFailed as error:
            print(f"demo-down: {error}; {place.folder} is left for another try", file=sys.stderr)
            return 1
    shutil.rmtree(place.folder)
    print("demo-down: everything is gone")
    return 0


if __name__ == "__main__":
    sys.exit(main())
