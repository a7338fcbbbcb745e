"""Runs one attack in a process of its own.

    python attack.py NAME ADDRESS OPTIONS-AS-JSON

It prints `ready` when it is prepared, begins at a line on stdin, and prints at the end one JSON document of what it saw."""

import json
import os
import resource
import sys

import attack_answers
import attack_connections
import attack_floods
import attack_history
import attack_http1
import attack_subscriptions
import attack_tls

ATTACKS = {
    name: attack
    for module in (
        attack_answers,
        attack_connections,
        attack_floods,
        attack_history,
        attack_http1,
        attack_subscriptions,
        attack_tls,
    )
    for name, attack in module.ATTACKS.items()
}


def begin():
    """Tells that all is prepared, and waits for the word."""
    print("ready", flush=True)
    sys.stdin.readline()


def main(name, address, options):
    # The server and the healthy client come first on a machine whose cores they share with the attackers.
    os.nice(10)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    print(json.dumps(ATTACKS[name](address, begin, **json.loads(options))), flush=True)
    # The connections stay as they are until the suite is done with them.
    sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])
