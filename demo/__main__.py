"""Runs the demo: deploy, deploy under load, refuse a damaged model, roll back, roll forward; leaves the service up."""

from __future__ import annotations

import json
import sys
import time

from benchmarks.load import Load, LoadResult, Shot
from demo import history
from demo.place import DemoFailed, Place

TEXTS = ("今天天气很好。", "请把门关上。", "他每天早上六点起床。", "这个函数返回一个列表。", "你能帮我一个忙吗？")


def main() -> int:
    place = Place()
    try:
        place.prepare()
        return run(place)
    except DemoFailed as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        print("demo: `make demo-down` takes down what it had put up", file=sys.stderr)
        return 1


def run(place: Place) -> int:
    say("A history with three tags: v1.0.0 (an earlier model), v1.1.0 (the best), v1.2.0 (damaged weights)")
    history.make(place)
    say("The first deployment: there is nothing to compare with, and the gates say so")
    place.release("deploy", history.EARLIER, expect=(0, 7))
    say("From here on a load runs: keep-alive clients that never retry, GET / and POST /translate")
    load = Load(place.url, shots(), clients=6, pause=0.05, answer="header:X-Model-Version", timeout=60)
    load.start()
    try:
        figures = under_load(place)
    finally:
        result = load.stop()
    return tell(place, result, figures)


def under_load(place: Place) -> dict[str, float]:
    say("v1.1.0: a better model goes through its gates while v1.0.0 serves")
    place.release("deploy", history.BETTER)
    live = live_release(place)
    say("v1.2.0: its weights are damaged, and it answers its health check all the same")
    place.release("deploy", history.DAMAGED, expect=(1,))
    if live_release(place) != live:
        raise DemoFailed("the refused release touched what is live")
    say("Back to v1.0.0: no arguments, from any directory")
    back = place.release("rollback", "--reason", "the demo shows it")
    place.release("status")
    say("And forward again, by name")
    place.release("rollback", "--to", history.BETTER)
    if live_release(place) != live:
        raise DemoFailed(f"{live} is not live again")
    time.sleep(2)
    switch = json.loads(place.release("history", "--json", quiet=True).out)
    place.release("history")
    return {"rollback_ms": back.seconds * 1000, "switch_us": slowest_switch(switch)}


def shots() -> list[Shot]:
    return [Shot("GET", "/"), *(Shot.post_json("/translate", {"text": text}) for text in TEXTS)]


def live_release(place: Place) -> str:
    return str(json.loads(place.release("status", "--json", quiet=True).out)["live"])


def slowest_switch(history_document: dict[str, object]) -> float:
    switches = history_document.get("switches")
    if not isinstance(switches, list) or not switches:
        raise DemoFailed("the history tells of no switch")
    return max(float(row["microseconds"]) for row in switches)


def tell(place: Place, result: LoadResult, figures: dict[str, float]) -> int:
    say("What the load saw")
    for answer, count in sorted(result.by_answer.items()):
        print(f"  {count:7d} answers from model {answer}")
    for failure in result.failures[:10]:
        print(f"  failed: {failure}")
    print(f"\n  the page:   {place.url}/")
    print(
        f"  the API:    curl -s {place.url}/translate -H 'content-type: application/json' -d '{{\"text\": \"你好\"}}'"
    )
    print(f"  look:       RELEASE_STATE={place.state} release status")
    print("  take down:  make demo-down\n")
    rollback, switch = figures["rollback_ms"], figures["switch_us"]
    print(
        f"demo: {result.requests} requests, {result.failed} failed; switch {switch:.0f} µs; rollback {rollback:.0f} ms",
        flush=True,
    )
    return 0 if result.failed == 0 and result.requests > 0 else 1


def say(text: str) -> None:
    print(f"\n=== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
