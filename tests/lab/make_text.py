#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make_text MIB TEXT WORDS: writes a text of MIB mebibytes and, counted from the file again, its
words in the form that word_count prints. The same text each time."""
import collections
import random
import re
import sys

mib, text, words = int(sys.argv[1]), sys.argv[2], sys.argv[3]
pick = random.Random(20)
letters = "abcdefghijklmnopqrstuvwxyz"
vocabulary = ["".join(pick.choices(letters, k=pick.randint(2, 11))) for _ in range(30000)]
weights = [1 / (rank + 10) for rank in range(len(vocabulary))]

written = 0
with open(text, "w") as out:
    while written < mib << 20:
        line = " ".join(pick.choices(vocabulary, weights, k=100000))
        line = re.sub(r"(.{70,90}) ", r"\1.\n", line) + "\n"
        written += out.write(line)

counts = collections.Counter()
with open(text) as again:
    for chunk in iter(lambda: again.readlines(1 << 24), []):
        counts.update(re.findall("[a-z]+", "".join(chunk)))
with open(words, "w") as out:
    for word in sorted(counts):
        out.write(f"{counts[word]} {word}\n")
