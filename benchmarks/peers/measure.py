"""Measure one package on one case, in this process; run by ``python -m benchmarks.peers``.

Prints one line of JSON after the first fit and another after the later ones, so that who waits
has the first even if the process is ended.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import resource
import time
import warnings
from contextlib import contextmanager
from importlib import import_module

#: Later fits of a process: as many as fit into this many seconds, one at least, three at most.
SECONDS, REPEATS = 10.0, 3
#: What a process may take of the memory that there is.
SHARE = 0.7
MARK = "RESULT "


@contextmanager
def at_most(seconds):
    """End the process after so many seconds, also in compiled code that holds all locks."""
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def memory():
    """Largest resident memory so far, in bytes, of this process and of its largest child."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(1024 * resource.getrusage(w).ru_maxrss for w in who)


def report(**result):
    print(MARK + json.dumps(result), flush=True)


def measure(method, size, kind, *, cores, limit, small):
    started = time.perf_counter()
    from benchmarks.peers.cases import make_case

    imported = time.perf_counter() - started
    case = make_case(size, kind, small=small)
    with at_most(limit):
        started = time.perf_counter()
        module = import_module(f"benchmarks.peers.with_{method}")
        fit = module.prepare(case, cores=cores, draws=10 if small else 1000)
        fitted = fit(1)
        fresh = time.perf_counter() - started + imported
    if small:
        return
    result = {"fresh": fresh, "memory": memory()}
    quality = [judged(module, case, fitted)]
    report(**result, **quality[0])
    left = limit - fresh
    if fresh > left:
        return
    seconds = []
    while len(seconds) < REPEATS and sum(seconds) < SECONDS:
        del fitted
        with at_most(max(left - sum(seconds), 1.0)):
            started = time.perf_counter()
            fitted = fit(2 + len(seconds))
            seconds.append(time.perf_counter() - started)
        quality.append(judged(module, case, fitted))
    report(**result, again=seconds, **median(quality))


def median(quality):
    """Return the quality of the fit whose ESS is the median."""
    ordered = sorted(quality, key=lambda one: one.get("ess", 0.0))
    return ordered[len(ordered) // 2]


def judged(module, case, fitted):
    from benchmarks.peers.draws import judge

    return judge(module.extract(case, fitted), case.names)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("method")
    parser.add_argument("size")
    parser.add_argument("kind")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--limit", type=float, default=180.0)
    parser.add_argument("--small", action="store_true")
    warnings.simplefilter("ignore")
    # An error here is better than a machine that swaps.
    most = int(SHARE * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    measure(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
