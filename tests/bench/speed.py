"""What a request costs: rondo beside nginx, HAProxy and a relay that parses nothing.

Everything runs on one core. The cost is the processor time that the proxy's own threads used for a request, as the
kernel's scheduler counted it; the work of the client and of the origin is not in it. In every round each workload is
run against each proxy, one right after the other, and the table has the median over the rounds of the ratios within a
round: whatever else the machine does meets all of them alike.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

import proxies

# name, what it is called in the table, arguments of drive, backends
WORKLOADS = [
    ("small", "small GET, kept alive", ["--connections", "64"], 2),
    ("browser", "head of 600 bytes", ["--connections", "64", "--browser"], 2),
    ("new", "new connection each", ["--connections", "64", "--new"], 2),
    ("1k", "1 KiB response", ["--target", "/n/1024"], 2),
    ("16k", "16 KiB response", ["--target", "/n/16384"], 2),
    ("64k", "64 KiB response", ["--target", "/n/65536", "--connections", "16"], 2),
    ("1m", "1 MiB response", ["--target", "/n/1048576", "--connections", "8"], 2),
    ("16m", "16 MiB response", ["--target", "/n/16777216", "--connections", "4"], 2),
    ("1k-chunked", "1 KiB, chunked", ["--target", "/c/1024"], 2),
    ("16k-chunked", "16 KiB, chunked", ["--target", "/c/16384"], 2),
    ("64k-chunked", "64 KiB, chunked", ["--target", "/c/65536", "--connections", "16"], 2),
    ("1m-chunked", "1 MiB, chunked", ["--target", "/c/1048576", "--connections", "8"], 2),
    ("16m-chunked", "16 MiB, chunked", ["--target", "/c/16777216", "--connections", "4"], 2),
    ("post-64k", "64 KiB POST", ["--post", "65536", "--connections", "16"], 2),
    ("post-1m", "1 MiB POST", ["--post", "1048576", "--connections", "8"], 2),
    ("conns-1", "1 connection", ["--connections", "1"], 2),
    ("conns-512", "512 connections", ["--connections", "512"], 2),
    ("conns-5000", "5,000 connections", ["--connections", "5000"], 2),
    ("backends-20", "20 backends", ["--connections", "64"], 20),
    ("backends-200", "200 backends", ["--connections", "64"], 200),
    ("log", "with access log", ["--connections", "64"], "log"),
]
QUICK = ["small", "browser", "new", "64k", "1m", "16m", "64k-chunked", "post-64k"]
# Where HAProxy may splice, it is run with and without.
SPLICED = ["64k", "1m", "16m", "64k-chunked", "1m-chunked", "16m-chunked", "post-64k", "post-1m"]
PEERS = ["nginx", "haproxy", "haproxy-splice"]
# Least that is expected: to the floor, to the better peer.
BARS = {"small": (1.25, 0.58), "new": (None, 0.85), "64k": (0.8, 0.33), "1m": (0.9, 0.55),
        "16m": (0.5, 0.25), "post-64k": (1.15, 0.4), "memory": (None, 1.0), "latency": (None, 1.0)}
IDLE = 5000


class Bench:
    def __init__(self, options, house):
        self.options = options
        self.house = house
        self.proxies = {}  # (name, variant) -> Server
        self.rounds = {}  # workload -> [{proxy: result}]
        self.origin = house.origin(200)
        self.nginx = proxies.installed("nginx")
        self.haproxy = proxies.installed("haproxy")

    # ---- who is measured

    def names(self, workload):
        names = [] if workload == "log" else ["floor"]
        names += self.options.rondo
        if self.options.only_rondo:
            return names
        if self.nginx:
            names.append("nginx")
        if self.haproxy:
            names.append("haproxy")
            if workload in SPLICED:
                names.append("haproxy-splice")
        return names

    def start(self, name, variant):
        house = self.house
        logs = variant == "log"
        ports = self.origin.ports[:2 if logs else variant]
        log = os.path.join(house.work, f"{name}.log") if logs else None
        if name == "floor":
            return house.floor(ports[0])
        if name in self.options.rondo:
            settings = [f"log.access={log}"] if logs else []
            return house.rondo(self.options.rondo[name], ports, settings, name)
        if name == "nginx":
            return house.nginx(ports, log=f"{log} combined buffer=64k flush=1s" if logs else "off")
        options = "option splice-auto" if name == "haproxy-splice" else ""
        return house.haproxy(ports, name, log, options=options)

    def proxy(self, name, variant):
        key = (name, 2 if name == "floor" else variant)
        if key not in self.proxies:
            self.proxies[key] = self.start(*key)
        return self.proxies[key]

    # ---- measuring

    def drive(self, server, arguments):
        command = self.house.pin + [self.house.tools + "/drive", "--port", str(server.port),
                                    "--watch", str(server.pid), "--warm-ms", str(self.options.run_ms // 5),
                                    "--run-ms", str(self.options.run_ms)] + arguments
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        result = json.loads(run.stdout)
        if result["errors"]:
            print(f"   {server.name}: {result['errors']} errors of {result['requests']}", flush=True)
        return result

    def run_round(self, workloads):
        for workload, _, arguments, variant in workloads:
            if "--connections" not in arguments:
                arguments = arguments + ["--connections", "64"]
            results = {}
            for name in self.names(workload):
                results[name] = self.drive(self.proxy(name, variant), arguments)
            self.rounds.setdefault(workload, []).append(results)
            cells = "  ".join(f"{name} {result['cpu_us']:.1f}" for name, result in results.items())
            print(f"   {workload:14} {cells}", flush=True)

    def run_latency(self):
        """At half of what the slowest of them can do on this core."""
        slowest = min(result["requests"] / result["seconds"]
                      for results in self.rounds["small"] for name, result in results.items() if name != "floor")
        rate = int(slowest / 2)
        results = {"rate": rate}
        for name in self.names("small"):
            results[name] = self.drive(self.proxy(name, 2), ["--connections", "64", "--rate", str(rate)])
        self.rounds.setdefault("latency", []).append(results)
        print(f"   latency at {rate}/s " + "  ".join(
            f"{name} p99 {result['p99_us']}" for name, result in results.items() if name != "rate"), flush=True)

    def run_memory(self):
        """What an idle connection holds after one request, in a fresh process."""
        results = {}
        for name in self.names("memory"):
            server = self.start(name, 2)
            self.drive(server, ["--connections", "64", "--run-ms", "200"])
            before = server.memory_kib()
            with subprocess.Popen(self.house.pin + [self.house.tools + "/drive", "--hold", "--port",
                                                    str(server.port), "--connections", str(IDLE)],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
                holder.stdout.readline()
                results[name] = {"kib": (server.memory_kib() - before) / IDLE}
                holder.stdin.close()
                holder.stdout.read()
            self.house.drop(server)
        self.rounds.setdefault("memory", []).append(results)
        print("   memory         " + "  ".join(f"{name} {result['kib']:.2f} KiB" for name, result in results.items()),
              flush=True)


# ---- what came out

def median(rounds, value):
    values = [value(results) for results in rounds]
    values = [number for number in values if number is not None]
    return statistics.median(values) if values else None


def ratio(results, name, others, key):
    others = [results[other][key] for other in others if other in results]
    if name not in results or not others or not min(others):
        return None
    return results[name][key] / min(others)


def summarize(rounds, rondo):
    summary = []
    for workload, label, _, _ in WORKLOADS + [("memory", "KiB for an idle connection", None, None),
                                               ("latency", "p99 at half load, us", None, None)]:
        if workload not in rounds:
            continue
        measured = rounds[workload]
        key = {"memory": "kib", "latency": "p99_us"}.get(workload, "cpu_us")
        row = {"workload": workload, "label": label, "unit": {"kib": "KiB"}.get(key, "us"),
               "bars": BARS.get(workload, (None, None)), "cells": {}}
        for name in [name for name in measured[0] if name != "rate"]:
            cell = {"value": median(measured, lambda results: results[name][key]),
                    "to_floor": median(measured, lambda results: ratio(results, name, ["floor"], key)),
                    "to_best": median(measured, lambda results: ratio(results, name, PEERS, key))}
            if "requests" in measured[0][name]:
                cell["per_second"] = median(measured, lambda results: results[name]["requests"] /
                                            results[name]["seconds"])
                for percentile in ("p50_us", "p99_us", "p999_us"):
                    cell[percentile] = median(measured, lambda results: results[name][percentile])
            row["cells"][name] = cell
        if workload == "latency":
            row["rate"] = median(measured, lambda results: results["rate"])
        summary.append(row)
    return {"rondo": rondo, "rows": summary}


def number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def print_table(summary):
    names = ["floor"] + summary["rondo"] + PEERS
    names = [name for name in names if any(name in row["cells"] for row in summary["rows"])]
    print("\nprocessor time of the proxy for one request, us (median)\n")
    print(f"{'':28}" + "".join(f"{name:>16}" for name in names) +
          "".join(f"{name + ' to floor':>18}{'to best peer':>14}" for name in summary["rondo"]))
    missed = 0
    for row in summary["rows"]:
        line = f"{row['label']:28}" + "".join(
            f"{number(row['cells'][name]['value']) if name in row['cells'] else '-':>16}" for name in names)
        for name in summary["rondo"]:
            for key, width, bar in (("to_floor", 18, row["bars"][0]), ("to_best", 14, row["bars"][1])):
                value = row["cells"][name][key]
                mark = "" if bar is None or value is None or value <= bar else f" > {bar}"
                missed += mark != ""
                line += f"{(f'{value:.2f}' if value is not None else '-') + mark:>{width}}"
        print(line)
    print(f"\n{'requests a second (median)':28}")
    for row in summary["rows"]:
        if row["workload"] not in ("memory", "latency"):
            print(f"{row['label']:28}" + "".join(
                f"{number(row['cells'][name]['per_second']) if name in row['cells'] else '-':>16}"
                for name in names))
    for row in [row for row in summary["rows"] if row["workload"] == "latency"]:
        print(f"\nlatency of small GETs at {row['rate']:.0f} requests a second, us")
        for percentile in ("p50_us", "p99_us", "p999_us"):
            print(f"{percentile[:-3]:28}" + "".join(
                f"{number(row['cells'][name][percentile]) if name in row['cells'] else '-':>16}" for name in names))
    print(f"\nbars missed: {missed}")


def print_instructions(bench):
    """Where the processor can count: instructions of a small request."""
    probe = subprocess.run(["perf", "stat", "-x,", "-e", "instructions", "true"], stderr=subprocess.PIPE, text=True,
                           check=False) if shutil.which("perf") else None
    if not probe or probe.returncode or not probe.stderr.split(",")[0].isdigit():
        print("skipped: perf cannot count instructions here")
        return
    print("\ninstructions for a small GET")
    for name in bench.names("small"):
        server = bench.proxy(name, 2)
        with subprocess.Popen(["perf", "stat", "-x,", "-e", "instructions", "-p", str(server.pid), "sleep",
                               str(bench.options.run_ms / 1000)], stderr=subprocess.PIPE, text=True) as counter:
            result = bench.drive(server, ["--connections", "64", "--warm-ms", "0"])
            count = counter.stderr.read().split(",")[0]
        print(f"   {name:16} {int(count) / result['requests']:.0f}")


def main():
    parser = argparse.ArgumentParser(description="measures what a request costs")
    parser.add_argument("--tools", required=True, help="directory of origin, floor and drive")
    parser.add_argument("--rondo", action="append", metavar="[NAME=]BINARY", required=True,
                        help="given twice: two builds side by side")
    parser.add_argument("--quick", action="store_true", help="less than a minute")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--run-ms", type=int, default=0)
    parser.add_argument("--only", default="", help="workloads, with commas")
    parser.add_argument("--only-rondo", action="store_true", help="leave the peers out")
    parser.add_argument("--core", type=int, default=os.cpu_count() - 1)
    parser.add_argument("--json", default="", help="write the results there")
    options = parser.parse_args()
    options.rondo = dict(item.split("=", 1) if "=" in item else ("rondo", item) for item in options.rondo)
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.run_ms = options.run_ms or (400 if options.quick else 1000)
    only = options.only.split(",") if options.only else QUICK if options.quick else None
    workloads = [workload for workload in WORKLOADS if not only or workload[0] in only]

    with tempfile.TemporaryDirectory(prefix="rondo-bench-") as work:
        os.chmod(work, 0o755)
        house = proxies.House(options.tools, work, options.core)
        try:
            bench = Bench(options, house)
            for turn in range(options.rounds):
                print(f"round {turn + 1} of {options.rounds}", flush=True)
                bench.run_round(workloads)
                if not only or "latency" in only or options.quick:
                    bench.run_latency()
            if not only or "memory" in only:
                bench.run_memory()
            summary = summarize(bench.rounds, list(options.rondo))
            print_table(summary)
            if not only:
                print_instructions(bench)
        finally:
            house.close()
    if options.json:
        with open(options.json, "w", encoding="ascii") as file:
            json.dump(summary, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
