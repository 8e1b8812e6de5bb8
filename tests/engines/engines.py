"""What query engines read of a lake's Parquet export: engines.py ENGINE OUT

Each reads the folder by its own discovery of Hive partitions, as its documentation has it, and is told
one thing: that partitions are text. The answer is printed as JSON, in the form of
examples/tests/engines.rs.
"""

import json
import os
import sys

PARTITIONS = ["type", "account_id", "region"]
SUMMARY = "aws_compliancesummary"
APPLICATION = "aws_application"


class Duckdb:
    """https://duckdb.org/docs/stable/data/partitioning/hive_partitioning"""

    def __init__(self, out):
        import duckdb

        self.db = duckdb.connect()
        self.out = out

    def read(self, folder="", options="hive_types_autocast = false"):
        path = f"{self.out}/{folder}**/*.parquet"
        return f"read_parquet('{path}', hive_partitioning = true, union_by_name = true, {options})"

    def rows(self, query):
        return self.db.execute(query).fetchall()

    def partitions(self):
        return self.rows(f"SELECT {', '.join(PARTITIONS)}, count(*) FROM {self.read()} GROUP BY ALL")

    def filled(self, folder):
        table = self.read(f"{folder}/")
        columns = [name for name, *_ in self.rows(f"DESCRIBE SELECT * FROM {table}")]
        counts = ", ".join(f'count("{name}")' for name in columns)
        return dict(zip(columns, self.rows(f"SELECT {counts} FROM {table}")[0]))

    def statuses(self):
        table = self.read(f"type={SUMMARY}/")
        return self.rows(f"""SELECT account_id, region, status, count(*) FROM {table}
                             WHERE compliance_type = 'Patch' GROUP BY ALL""")

    def names(self):
        table = self.read(f"type={APPLICATION}/")
        return self.rows(f"SELECT name, count(*) FROM {table} WHERE name ILIKE 'openssl%' GROUP BY ALL")

    def untold(self):
        table = self.read(options="hive_types_autocast = true")
        return [account for account, in self.rows(f"SELECT DISTINCT account_id FROM {table}")]


class Polars:
    """https://docs.pola.rs/user-guide/io/hive/"""

    def __init__(self, out):
        import polars

        self.pl = polars
        self.out = out

    def read(self, folder="", told=True):
        pl = self.pl
        path = f"{self.out}/{folder}**/*.parquet"
        schema = {name: pl.String for name in PARTITIONS} if told else None
        # Columns of other types' files are null here, not an error.
        unite = {"missing_columns": "insert", "extra_columns": "ignore"}
        return pl.scan_parquet(path, hive_partitioning=True, hive_schema=schema, **unite)

    def partitions(self):
        return self.read().group_by(PARTITIONS).len().collect().rows()

    def filled(self, folder):
        frame = self.read(f"{folder}/").select(self.pl.all().count())
        return frame.collect().row(0, named=True)

    def statuses(self):
        frame = self.read(f"type={SUMMARY}/").filter(self.pl.col("compliance_type") == "Patch")
        return frame.group_by("account_id", "region", "status").len().collect().rows()

    def names(self):
        named = self.pl.col("name").str.to_lowercase().str.starts_with("openssl")
        frame = self.read(f"type={APPLICATION}/").filter(named)
        return frame.group_by("name").len().collect().rows()

    def untold(self):
        return self.read(told=False).select("account_id").unique().collect()["account_id"].to_list()


class Pyarrow:
    """https://arrow.apache.org/docs/python/dataset.html#reading-partitioned-data"""

    def __init__(self, out):
        import pyarrow
        import pyarrow.compute
        import pyarrow.dataset

        self.pa, self.pc, self.ds = pyarrow, pyarrow.compute, pyarrow.dataset
        self.out = out

    def read(self, folder="", told=True):
        text = self.pa.schema([(name, self.pa.string()) for name in PARTITIONS])
        partitioning = self.ds.partitioning(text, flavor="hive") if told else "hive"
        place = f"{self.out}/{folder}"
        return self.ds.dataset(place, partitioning=partitioning, partition_base_dir=self.out)

    def counted(self, dataset, columns, where=None):
        table = dataset.to_table(columns=columns, filter=where)
        counted = table.group_by(columns).aggregate([([], "count_all")])
        return [tuple(row.values()) for row in counted.select([*columns, "count_all"]).to_pylist()]

    def partitions(self):
        return self.counted(self.read(), PARTITIONS)

    def filled(self, folder):
        table = self.read(folder).to_table()
        return {name: len(table) - table[name].null_count for name in table.column_names}

    def statuses(self):
        where = self.pc.field("compliance_type") == "Patch"
        return self.counted(self.read(f"type={SUMMARY}"), ["account_id", "region", "status"], where)

    def names(self):
        where = self.pc.starts_with(self.pc.utf8_lower(self.pc.field("name")), "openssl")
        return self.counted(self.read(f"type={APPLICATION}"), ["name"], where)

    def untold(self):
        return self.read(told=False).to_table(columns=["account_id"])["account_id"].unique().to_pylist()


class Pyspark:
    """https://spark.apache.org/docs/latest/sql-data-sources-parquet.html#partition-discovery"""

    INFERENCE = "spark.sql.sources.partitionColumnTypeInference.enabled"

    def __init__(self, out):
        from pyspark.sql import SparkSession

        # On loopback, and with as little beside the query as can be: the machine may have no network.
        settings = {
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.sql.shuffle.partitions": "2",
            "spark.ui.enabled": "false",
            self.INFERENCE: "false",
        }
        builder = SparkSession.builder.master("local[2]")
        for name, value in settings.items():
            builder = builder.config(name, value)
        self.spark = builder.getOrCreate()
        self.out = out

    def read(self, folder=""):
        reader = self.spark.read.option("basePath", self.out).option("mergeSchema", "true")
        return reader.parquet(f"{self.out}/{folder}")

    def partitions(self):
        return self.read().groupBy(PARTITIONS).count().collect()

    def filled(self, folder):
        from pyspark.sql.functions import count

        frame = self.read(folder)
        return frame.select([count(name).alias(name) for name in frame.columns]).first().asDict()

    def statuses(self):
        frame = self.read(f"type={SUMMARY}").where("compliance_type = 'Patch'")
        return frame.groupBy("account_id", "region", "status").count().collect()

    def names(self):
        frame = self.read(f"type={APPLICATION}").where("lower(name) LIKE 'openssl%'")
        return frame.groupBy("name").count().collect()

    def untold(self):
        self.spark.conf.set(self.INFERENCE, "true")
        accounts = [account for account, in self.read().select("account_id").distinct().collect()]
        self.spark.stop()
        return accounts


ENGINES = {"duckdb": Duckdb, "polars": Polars, "pyarrow": Pyarrow, "pyspark": Pyspark}


def answer(engine):
    folders = [name for name in os.listdir(engine.out) if name.startswith("type=")]
    return {
        "rows": sorted(list(row) for row in engine.partitions()),
        "filled": {folder: engine.filled(folder) for folder in folders},
        "statuses": sorted(list(row) for row in engine.statuses()),
        "names": sorted(list(row) for row in engine.names()),
        "untold": sorted(engine.untold(), key=str),
    }


def main():
    engine, out = sys.argv[1:]
    print(json.dumps(answer(ENGINES[engine](out))))


main()
