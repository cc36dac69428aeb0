"""reload.rss_ratio, reload.cpu_ratio, reload.overlap_peak_ratio: what reloads leave behind, and
take of memory.
"""

import statistics
import tempfile
import time

from request_cost import CALLERS
from swaps import ITEMS, USERS
from versions import Directory, LargeModels

SMALL = (6000, 3706)  # users and items
TINY = (1, 3706)
# What is measured comes after the first ones, which fill what malloc keeps.
FIRST_SWAPS = 2
CPU_ROUNDS = 11


def cpu_over_fresh(session, directory, callers):
    """CPU time of a call over that at a server that has loaded once."""
    with directory.server(session) as fresh, session.callers(fresh, 2, SMALL[0]) as others:
        def cost(who):
            return who.window("recommend", CALLERS, session.seconds)["server_cpu_us"]

        for who in (callers, others):  # until they are warm
            cost(who)
        return statistics.median(cost(callers) / cost(others) for _ in range(CPU_ROUNDS))


def growth(session):
    """Swaps of a small model, one after the other, with calls between them."""
    memory, cpu = "reload.rss_ratio", "reload.cpu_ratio"
    if not session.wants(memory, cpu):
        return
    models = LargeModels(session, *SMALL)
    with tempfile.TemporaryDirectory(dir=session.scratch) as folder:
        directory = Directory(folder, [models.file(seed=1), models.file(seed=2)])
        with directory.server(session) as server, session.callers(server, 2, SMALL[0]) as callers:
            before = 0
            for swap in range(session.small_swaps):
                directory.swap(server)
                callers.window("recommend", 1, 0.002)
                if swap + 1 == FIRST_SWAPS:
                    before = server.memory()
            after = server.memory()
            session.figure(memory, after / before, "x", models.weights,
                           swaps=session.small_swaps, before_mib=before / 2**20,
                           after_mib=after / 2**20)
            if session.wants(cpu):
                session.figure(cpu, cpu_over_fresh(session, directory, callers), "x",
                               models.weights, swaps=session.small_swaps)


def resident(session, file):
    """What a server that serves `file` holds."""
    with tempfile.TemporaryDirectory(dir=session.scratch) as folder:
        with Directory(folder, [file]).server(session) as server:
            time.sleep(1)
            return server.memory()


def peak_of_swap(session, files):
    """The most that the server holds while the second file follows on the first."""
    with tempfile.TemporaryDirectory(dir=session.scratch) as folder:
        directory = Directory(folder, files)
        with directory.server(session) as server:
            server.forget_peak()
            directory.swap(server)
            return server.memory("VmHWM")


def overlap(session):
    """Above what a server of hardly any model holds. Where the items alone change, one
    model and the items are due, and the file says how large these are."""
    names = {"reload.overlap_peak_ratio": {"seed": 2},
             "reload.overlap_peak_ratio.items_changed": {"seed": 1, "item_seed": 2}}
    if not session.wants(*names):
        return
    program = resident(session, LargeModels(session, *TINY).file(seed=1))
    models = LargeModels(session, USERS, ITEMS)
    one = resident(session, models.file(seed=1)) - program
    no_users = LargeModels(session, 1, ITEMS)
    items = resident(session, no_users.file(seed=1)) - program
    for (name, seeds), due in zip(names.items(), (2 * one, one + items)):
        peak = peak_of_swap(session, [models.file(seed=1), models.file(**seeds)]) - program
        session.figure(name, peak / due, "x", models.weights, one_mib=one / 2**20,
                       items_mib=items / 2**20, program_mib=program / 2**20,
                       peak_mib=peak / 2**20)
