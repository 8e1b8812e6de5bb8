"""Polars' half of the comparison: the same questions by filters, semi joins and groups."""

import json
import os
import sys
import time

import numpy
import polars

INSTALLED, MISSING = 0, 1


def load(task):
    def column(name, kind):
        return numpy.fromfile(os.path.join(task["folder"], name), dtype=kind)

    items = polars.DataFrame({
        "node": column("node.u32", "<u4"),
        "patch": column("patch.u16", "<u2"),
        "state": column("state.u8", "u1"),
    })
    with open(os.path.join(task["folder"], "decisions.json")) as file:
        decisions = json.load(file)
    table = polars.DataFrame({
        "patch": numpy.arange(len(decisions["approved_a"]), dtype="<u2"),
        "day": polars.Series(decisions["day_a"], dtype=polars.Int16),
        "approved_a": decisions["approved_a"],
        "approved_b": decisions["approved_b"],
        "rejected_a": decisions["rejected_a"],
    })

    def only(mask):
        return table.filter(polars.col(mask)).select("patch").lazy()

    return {
        "items": items.lazy(),
        "a": only("approved_a"),
        "b": only("approved_b"),
        "rejected": only("rejected_a"),
        "days": table.filter(polars.col("day") >= 0).select("patch", "day").lazy(),
    }


def with_state(frames, state):
    return frames["items"].filter(polars.col("state") == state)


def lacking(frames, approved):
    """The nodes that lack a patch which is approved, each once."""
    missing = with_state(frames, MISSING).join(frames[approved], on="patch", how="semi")
    return missing.select("node").unique()


def judge(frames):
    missing = with_state(frames, MISSING).join(frames["a"], on="patch", how="semi")
    count = missing.select(polars.col("node").n_unique()).collect().item()
    return {"non_compliant": count}


def blocked(frames):
    missing = with_state(frames, MISSING).join(frames["a"], on="patch", how="semi")
    there = with_state(frames, INSTALLED).join(frames["rejected"], on="patch", how="semi")
    both = polars.concat([missing.select("node"), there.select("node")])
    return {"non_compliant": both.select(polars.col("node").n_unique()).collect().item()}


def what_if(frames):
    before, after = polars.collect_all([lacking(frames, "a"), lacking(frames, "b")])
    return {
        "fall_out": after.join(before, on="node", how="anti").height,
        "come_in": before.join(after, on="node", how="anti").height,
    }


def forecast(frames):
    missing = with_state(frames, MISSING).join(frames["days"], on="patch", how="inner")
    first = missing.group_by("node").agg(polars.col("day").min()).filter(polars.col("day") > 0)
    days = first.group_by("day").len().sort("day").collect()
    return [list(row) for row in days.iter_rows()]


QUESTIONS = {"judge": judge, "blocked": blocked, "what_if": what_if, "forecast": forecast}


def main():
    frames = None
    for line in sys.stdin:
        asked = json.loads(line)
        answer = None
        begun = time.perf_counter()
        if "ask" in asked:
            for _ in range(asked["times"]):
                answer = QUESTIONS[asked["ask"]](frames)
        else:
            frames = load(asked)
        seconds = time.perf_counter() - begun
        print(json.dumps({"seconds": seconds, "answer": answer}), flush=True)


main()
