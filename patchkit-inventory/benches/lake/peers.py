"""What others answer to the questions of `cargo xtask bench lake`: peers.py PEER WORK LAKE [OUT]

Each is asked as its own documentation has it, with all that spares it work and that keeps its answer
right: columns and their types are given, other types' folders are not listed. The answer is printed
as JSON, in the form of our own.
"""

import glob
import json
import os
import re
import shutil
import sys
from collections import Counter

PARTS = re.compile(r"accountid=([^/]*)/region=([^/]*)/")
SUMMARY = "AWS:ComplianceSummary"
APPLICATION = "AWS:Application"


def is_old(version):
    numbers = [int(n) if n.isdigit() else 0 for n in re.split(r"\D", version or "")[:3]]
    return (numbers + [0, 0, 0])[:3] < [3, 0, 7]


def files(lake, data_type):
    return sorted(glob.glob(f"{glob.escape(lake)}/{data_type}/*/*/*/*.json"))


def types(lake):
    return sorted(t for t in os.listdir(lake) if files(lake, t))


def statuses(rows):
    return {"groups": {f"{a} {r} {s}": int(n) for a, r, s, n in rows}}


def named(rows):
    """Rows of (node, version)."""
    nodes = Counter(node for node, version in rows if is_old(version))
    return {"nodes": len(nodes), "rows": sum(nodes.values())}


class Duckdb:
    def __init__(self):
        import duckdb

        self.db = duckdb.connect()
        self.db.execute("SET threads=2")

    def read(self, lake, data_type, columns=None):
        options = "hive_partitioning=true, hive_types={accountid:VARCHAR, region:VARCHAR}"
        if columns:
            options += f", columns={{{', '.join(f'{c}: VARCHAR' for c in columns)}}}"
        return f"read_ndjson('{lake}/{data_type}/*/*/*/*.json', {options})"

    def q1(self, lake, _):
        table = self.read(lake, SUMMARY, ["ComplianceType", "Status"])
        query = f"""SELECT accountid, region, Status, count(*) FROM {table}
                    WHERE ComplianceType = 'Patch' GROUP BY ALL"""
        return statuses(self.db.execute(query).fetchall())

    def q2(self, lake, _):
        table = self.read(lake, APPLICATION, ["Name", "Version", "resourceId"])
        query = f"SELECT resourceId, Version FROM {table} WHERE Name ILIKE 'openssl%'"
        return named(self.db.execute(query).fetchall())

    def q3b(self, lake, out):
        rows = {}
        for t in types(lake):
            name = t.replace(":", "_").lower()
            self.db.execute(f"""COPY (SELECT * FROM {self.read(lake, t)}) TO '{out}/{name}.parquet'
                                (FORMAT parquet, COMPRESSION zstd)""")
            rows[t] = self.db.execute(f"SELECT count(*) FROM '{out}/{name}.parquet'").fetchone()[0]
        return {"rows": rows}


class Polars:
    def __init__(self):
        os.environ["POLARS_MAX_THREADS"] = "2"
        import polars

        self.pl = polars

    def read(self, lake, data_type, columns):
        pl = self.pl
        schema = {c: pl.String for c in columns}
        path = f"{lake}/{data_type}/*/*/*/*.json"
        frame = pl.scan_ndjson(path, schema=schema, include_file_paths="path")
        return frame.with_columns(
            pl.col("path").str.extract("accountid=([^/]*)/").alias("accountid"),
            pl.col("path").str.extract("region=([^/]*)/").alias("region"),
        )

    def q1(self, lake, _):
        pl = self.pl
        frame = self.read(lake, SUMMARY, ["ComplianceType", "Status"])
        frame = frame.filter(pl.col("ComplianceType") == "Patch")
        return statuses(frame.group_by("accountid", "region", "Status").len().collect().rows())

    def q2(self, lake, _):
        pl = self.pl
        frame = self.read(lake, APPLICATION, ["Name", "Version", "resourceId"])
        frame = frame.filter(pl.col("Name").str.to_lowercase().str.starts_with("openssl"))
        return named(frame.select("resourceId", "Version").collect(engine="streaming").rows())

    def q3b(self, lake, out):
        pl = self.pl
        rows = {}
        for t in types(lake):
            # Of the first rows alone Polars infers types that later files break.
            columns = dict.fromkeys(c for f in files(lake, t)[:200] for line in open(f) for c in json.loads(line))
            target = f"{out}/{t.replace(':', '_').lower()}.parquet"
            self.read(lake, t, columns).drop("path").sink_parquet(target, compression="zstd")
            rows[t] = pl.scan_parquet(target).select(pl.len()).collect().item()
        return {"rows": rows}


class Datafusion:
    def __init__(self):
        import datafusion

        self.df = datafusion
        config = datafusion.SessionConfig().with_target_partitions(2)
        self.context = datafusion.SessionContext(config)

    def read(self, lake, data_type):
        import pyarrow as pa

        name = data_type.replace(":", "_").lower()
        parts = [(p, pa.string()) for p in ("accountid", "region", "resourcetype")]
        self.context.register_json(
            name, f"{lake}/{data_type}/", file_extension=".json", table_partition_cols=parts
        )
        return name

    def q1(self, lake, _):
        table = self.read(lake, SUMMARY)
        frame = self.context.sql(f"""SELECT accountid, region, "Status", count(*) AS n FROM {table}
                     WHERE "ComplianceType" = 'Patch' GROUP BY accountid, region, "Status" """)
        rows = frame.to_pylist()
        return statuses(tuple(row.values()) for row in rows)

    def q2(self, lake, _):
        table = self.read(lake, APPLICATION)
        frame = self.context.sql(f"""SELECT "resourceId" AS r, "Version" AS v FROM {table}
                                     WHERE lower("Name") LIKE 'openssl%'""")
        return named((row["r"], row["v"]) for row in frame.to_pylist())

    def q3a(self, lake, _):
        rows = {}
        for t in types(lake):
            frame = self.context.sql(f"SELECT * FROM {self.read(lake, t)}")
            rows[t] = sum(b.to_pyarrow().num_rows for b in frame.execute_stream())
        return {"rows": rows}

    def q3b(self, lake, out):
        rows = {}
        for t in types(lake):
            table = self.read(lake, t)
            target = f"{out}/{table}"
            self.context.sql(f"SELECT * FROM {table}").write_parquet(target, compression="zstd")
            self.context.register_parquet(f"{table}_out", target)
            count = self.context.sql(f"SELECT count(*) AS n FROM {table}_out").to_pylist()
            rows[t] = count[0]["n"]
        return {"rows": rows}


class OrjsonPandas:
    def q1(self, lake, _):
        import orjson
        import pandas

        rows = []
        for path in files(lake, SUMMARY):
            account, region = PARTS.search(path).groups()
            with open(path, "rb") as lines:
                for line in lines:
                    row = orjson.loads(line)
                    rows.append((account, region, row["ComplianceType"], row["Status"]))
        frame = pandas.DataFrame(rows, columns=["account", "region", "kind", "status"])
        counted = frame[frame.kind == "Patch"].groupby(["account", "region", "status"]).size()
        return statuses((*key, n) for key, n in counted.items())


PEERS = {
    "duckdb": Duckdb,
    "polars": Polars,
    "datafusion": Datafusion,
    "orjson+pandas": OrjsonPandas,
}


def main():
    peer, work, lake, *out = sys.argv[1:]
    out = out[0] if out else None
    if out:
        shutil.rmtree(out, ignore_errors=True)
        os.makedirs(out)
    print(json.dumps(getattr(PEERS[peer](), work)(lake, out)))


main()
