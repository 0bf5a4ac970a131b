# SPDX-License-Identifier: MIT
"""metrics.py FILE: is it Prometheus' text format 0.0.4? Ends with 1 and the first fault if not."""
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)\Z")


def check(text):
    assert text.endswith("\n"), "no newline at the end"
    family, kind, seen, series = None, None, set(), set()
    helped = None
    for line in text[:-1].split("\n"):
        if match := re.match(rf"# HELP ({NAME}) \S", line):
            assert match[1] not in seen, f"family twice: {line}"
            helped = match[1]
            continue
        if match := re.match(rf"# TYPE ({NAME}) (counter|gauge|summary)\Z", line):
            family, kind = match[1], match[2]
            assert helped == family, f"TYPE without HELP: {line}"
            seen.add(family)
            continue
        match = SAMPLE.match(line)
        assert match, f"no sample: {line}"
        name, labels, value = match[1], match[2] or "", match[match.lastindex]
        float(value)
        suffix = name[len(family):] if family and name.startswith(family) else None
        allowed = {"", "_count", "_sum"} if kind == "summary" else {""}
        assert suffix in allowed, f"outside its family {family}: {line}"
        assert kind != "counter" or (name.endswith("_total") and float(value) >= 0), line
        key = (name, tuple(sorted(pair[0:2] for pair in re.findall(LABEL, labels))))
        assert key not in series, f"series twice: {line}"
        assert len({pair[0] for pair in key[1]}) == len(key[1]), f"label twice: {line}"
        if kind == "summary" and not suffix:
            assert any(pair[0] == "quantile" for pair in key[1]), f"no quantile: {line}"
        series.add(key)
    assert series, "no sample at all"


try:
    check(open(sys.argv[1], encoding="utf-8", newline="").read())
except (AssertionError, ValueError) as error:
    print(error)
    sys.exit(1)
