# SPDX-License-Identifier: MIT
"""large_dict ENTRIES NODE: a dict of ENTRIES entries of about 500 bytes; all are read back and
compared, and some of them again at random; then numastat says where the process's memory lies
(NODE -1: no matter)."""
import os
import random
import subprocess
import sys

entries, node = int(sys.argv[1]), int(sys.argv[2])


def fail(text):
    print(text)
    sys.exit(1)


def value(i):
    return b"%d:" % (i * 2654435761 % 4294967291) * 40


table = {f"key-{i}": value(i) for i in range(entries)}
wrong = sum(table[f"key-{i}"] != value(i) for i in range(entries))
pick = random.Random(1)
for i in pick.choices(range(entries), k=1000):
    wrong += table[f"key-{i}"] != value(i)
if wrong:
    fail(f"{wrong} wrong entries of {entries}")

out = subprocess.run(["numastat", "-p", str(os.getpid())], capture_output=True, text=True).stdout
print(out)
total = [line for line in out.splitlines() if line.startswith("Total")][-1].split()[1:]
percent = 100
if node >= 0:
    percent = round(100 * float(total[node]) / float(total[-1]))
    if percent < 90:
        fail(f"only {percent} % of the process's memory on the far node")
print(f"{entries} entries, {float(total[-1]):.0f} MiB, {percent} % on node {node}")
