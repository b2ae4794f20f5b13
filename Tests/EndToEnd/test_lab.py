"""Searches over cluster/lab's hosts whose links are cut and healed: the path stays."""

import contextlib
import os
import random
import subprocess
import time

from disturbed import disturbed, search, undisturbed
from needs import need, need_programs, need_root
from program import ROOT, scratch

RESTS_ON_CLOCK = True

LAB = ROOT / "cluster/lab/lab"
CUTS = int(os.environ.get("LAB_CUTS", "4"))


class Lab:
    def __init__(self):
        self.name = f"check{os.getpid()}"

    def __call__(self, *arguments, check=True):
        done = subprocess.run(
            [str(LAB), *map(str, arguments)], env={**os.environ, "LAB": self.name}, capture_output=True, text=True,
            timeout=60)
        assert not check or done.returncode == 0, f"lab {arguments}: {done.stdout}{done.stderr}"
        return done.stdout if check else done.returncode

    def at(self, host):
        return ("env", f"LAB={self.name}", str(LAB), "exec", host)


@contextlib.contextmanager
def lab(hosts):
    need_root()
    need_programs("ip", "unshare")
    probe = subprocess.run(
        ["unshare", "--net", "sh", "-c",
         "ip link add name probe0 type veth peer name probe1 && ip link add name probe2 type bridge"],
        capture_output=True, text=True)
    need(probe.returncode == 0, f"the kernel makes no namespaces, veth pairs or bridges: {probe.stderr.strip()}")
    own = Lab()
    try:
        own("up", hosts)
        yield own
    finally:
        own("down", check=False)


CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 7000), 1).close()"
LISTEN = "import socket, time; s = socket.create_server(('', 7000)); print(flush=True); time.sleep(60)"


def test_hosts_reach_each_other_unless_they_are_cut_off():
    with lab(3) as own:
        address = own("address", "h1").strip()
        server = subprocess.Popen([*own.at("h1"), "python3", "-c", LISTEN], stdout=subprocess.PIPE)
        server.stdout.readline()

        def reaches(host):
            return own("exec", host, "python3", "-c", CONNECT, address, check=False) == 0

        assert reaches("h2") and reaches("h3")
        own("cut", "h2")
        assert not reaches("h2") and reaches("h3")
        own("heal", "h2")
        assert reaches("h2")
        assert own("exec", "h3", "hostname").strip() == "h3"
        assert own("exec", "h3", "sh", "-c", "exit 7", check=False) == 7, "exit codes do not come through"
        assert "1 processes" in own("status")
        own("down")
        assert server.wait(5) != 0, "a process of a host lives on"
        server.stdout.close()
        assert own("status", check=False) != 0 and own("exec", "h1", "true", check=False) != 0


def test_links_that_are_cut_and_healed_change_nothing():
    generator = random.Random(11)
    arguments = search()
    with scratch() as folder, lab(3) as own:
        alone = undisturbed(arguments, folder)
        address = own("address", "h1").strip()
        with disturbed(
            arguments, folder, address=f"{address}:5555", at=lambda host: own.at(host) if host else ()
        ) as running:
            running.start_coordinator("h1")
            hosts = {0: "h2", 1: "h3", 2: "h3"}
            for slot, host in hosts.items():
                running.start_worker(slot, host)
            for number in range(CUTS):
                assert running.wait_for(int(0.9 * len(alone[1]) * (number + 1) / (CUTS + 1))), (
                    f"the search ended after {number} cuts: {running.said()}")
                # A worker's host, or the coordinator's; for less time than it takes to be noticed, or more.
                host = ("h2", "h3", "h1")[number % 3]
                own("cut", host)
                time.sleep(generator.uniform(0.3, 2) if number % 2 else generator.uniform(4, 6))
                own("heal", host)
                running.keep_workers(hosts.get)
            running.finish(meanwhile=lambda: running.keep_workers(hosts.get))
            running.found_the_same(alone)
            running.send_home()
            running.leaves_nothing()
