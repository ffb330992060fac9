"""A server that tells what it was given: its command, its environment, and in its errors the whole request.

As a program it prints the first two when it starts, and the requests as they come. `--mode` says what it refuses.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading

from tests.fake_server import Answer, Choice, FakeServer, Received, Refuse, Reply

FILE = "Relevant files:\n```\ninkwell/render.py\n```"


class TellingServer(FakeServer):
    """Answers localization; what it does with the rest depends on `mode`."""

    mode = "repair"
    """`repair`: every prompt for patches is refused. `all`: every prompt is."""

    def next_reply(self, received: Received) -> Reply:
        with self.lock:
            self.requests.append(received)
        told = f"who are you? {json.dumps([received.path, received.headers, _without_prompt(received.body)])}"
        sys.stdout.write(told + "\n")
        sys.stdout.flush()
        if self.mode == "all":
            return Refuse(401, told)
        if "SEARCH" in json.dumps(received.body["messages"]):
            return Refuse(400, told)
        return Answer(tuple(Choice((FILE,)) for _ in range(received.body.get("n", 1))))


def _without_prompt(body: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in body.items() if key != "messages"}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--mode", default="repair", help="as in TellingServer; or `crash`: end before it is ready")
    parser.add_argument("--api-key", nargs="*")
    parser.add_argument("--header", action="append")
    options = parser.parse_args()
    sys.stdout.write(f"command: {sys.argv}\nenvironment: {dict(os.environ)}\n")
    sys.stdout.flush()
    if options.mode == "crash":
        sys.exit(f"no GPU for {sys.argv}")
    server = TellingServer()
    server.mode = options.mode
    server.start(options.port)
    threading.Event().wait()


if __name__ == "__main__":
    main()
