//! A lake as tables of Amazon Athena: partition projection over the bucket, and the same views.

use patchkit_core::{AccountId, Error, Region, Result};

use crate::{
    AttributeKind, Dialect, InventoryType, View,
    columns::{column_name, table_name},
};

/// How the account of a query is found.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AccountPartition {
    /// It is one of these. Every query reads all that its filters leave.
    Listed(Vec<AccountId>),
    /// Each query names it: `account_id = '…'`, or Athena refuses the query.
    Injected,
}

/// One statement, to be run in the order given.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct AthenaStatement {
    /// What it makes.
    pub name: String,
    /// The statement.
    pub sql: String,
}

/// The statements that make a lake in S3 queryable by Athena.
///
/// # Behavior
/// - Partitions are projected from what is given here: no crawler, and nothing to be repaired when an
///   account comes. Athena user guide, "Partition projection".
/// - `raw_aws_…` are the objects as the JSON SerDe reads them; `aws_…` over them are the tables that
///   `FleetSql` has, but for `other_fields`, which is null; the [views](View::ALL) are the same too.
/// - Athena has no listing: `nodes`, and with it every view that joins it, has the nodes of which
///   `AWS:InstanceInformation`, `AWS:ComplianceSummary`, `AWS:PatchSummary` or `AWS:Tag` holds a row. One of
///   which the lake holds other types alone is in `FleetSql`'s views, as unknown, and in none of these.
/// - A line that is no JSON object is a row of nulls for the SerDe: it is in no table, and counted by
///   object in `lake_problems`.
/// - Partition columns are named apart from whatever rows hold: a crawler takes the partition's
///   `resourcetype` and the `ResourceType` of `AWS:InstanceInformation` for one column, and every query
///   of that table fails.
/// - Statements make what is not there and replace views. A table whose partitions changed is to be
///   dropped first, which drops no data: see [`drop_statements`](Self::drop_statements).
///
/// # Example
/// ```
/// use patchkit_inventory::AthenaLake;
///
/// let lake = AthenaLake::new(
///     "fleet",
///     "s3://central-inventory/sync",
///     ["111122223333".parse()?],
///     ["eu-west-1".parse()?],
/// )?;
/// let statements = lake.statements();
/// let tags = statements.iter().find(|it| it.name == "raw_aws_tag").expect("a table for each type");
/// assert!(tags.sql.contains("'projection.partition_region.values' = 'eu-west-1'"));
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AthenaLake {
    database: String,
    location: String,
    accounts: AccountPartition,
    regions: Vec<Region>,
}

impl AthenaLake {
    /// The lake at `location`, with these accounts and Regions.
    ///
    /// # Errors
    /// `InvalidInput`: the database's name is not of letters, digits and `_`, the location is not
    /// `s3://bucket/prefix` without quotes, or there is no account or no Region.
    pub fn new(
        database: &str,
        location: &str,
        accounts: impl IntoIterator<Item = AccountId>,
        regions: impl IntoIterator<Item = Region>,
    ) -> Result<Self> {
        let accounts = AccountPartition::Listed(accounts.into_iter().collect());
        Self::with_partition(database, location, accounts, regions)
    }

    /// As [`new`](Self::new), with each query naming its account: for lakes of more accounts than one
    /// would list.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn injected(
        database: &str,
        location: &str,
        regions: impl IntoIterator<Item = Region>,
    ) -> Result<Self> {
        Self::with_partition(database, location, AccountPartition::Injected, regions)
    }

    fn with_partition(
        database: &str,
        location: &str,
        accounts: AccountPartition,
        regions: impl IntoIterator<Item = Region>,
    ) -> Result<Self> {
        let invalid = |message: String| Err(Error::invalid("athena", "lake", message));
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if database.is_empty() || !database.chars().all(is_name) {
            return invalid(format!("{database:?} is no name of a database: a-z, 0-9 and _"));
        }
        let bucket = location.strip_prefix("s3://").unwrap_or_default();
        // A brace would be a variable of the template of locations.
        let is_quoting = |c: char| c.is_control() || matches!(c, '\'' | '"' | '\\' | '{' | '}');
        if bucket.is_empty() || bucket.starts_with('/') || location.chars().any(is_quoting) {
            return invalid(format!("{location:?} is not s3://bucket/prefix"));
        }
        let regions: Vec<_> = regions.into_iter().collect();
        if regions.is_empty() || accounts == AccountPartition::Listed(Vec::new()) {
            return invalid("a lake has at least one account and one Region".to_owned());
        }
        let location = location.trim_end_matches('/').to_owned();
        Ok(Self { database: database.to_owned(), location, accounts, regions })
    }

    /// The database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Everything that makes the lake queryable, in order.
    pub fn statements(&self) -> Vec<AthenaStatement> {
        let database = &self.database;
        let mut statements = vec![AthenaStatement {
            name: database.clone(),
            sql: format!("CREATE DATABASE IF NOT EXISTS `{database}`"),
        }];
        for ty in InventoryType::KNOWN {
            let name = raw_name(ty);
            statements.push(AthenaStatement { sql: self.raw_table(ty), name });
        }
        let mut view = |name: String, sql: String| {
            let sql = format!("CREATE OR REPLACE VIEW \"{database}\".\"{name}\" AS {sql}");
            statements.push(AthenaStatement { name, sql });
        };
        for ty in InventoryType::KNOWN {
            view(table_name(ty), self.typed_view(ty));
        }
        let problems: Vec<_> = InventoryType::KNOWN.iter().map(|ty| self.problems(ty)).collect();
        view("lake_problems".to_owned(), problems.join(" UNION ALL "));
        for shared in View::ALL {
            view(shared.name().to_owned(), shared.sql(Dialect::Athena));
        }
        statements
    }

    /// Drops the tables, so that they can be made anew; the data in the bucket is not touched.
    pub fn drop_statements(&self) -> Vec<AthenaStatement> {
        let drop = |ty| {
            let name = raw_name(ty);
            let sql = format!("DROP TABLE IF EXISTS `{}`.`{name}`", self.database);
            AthenaStatement { name, sql }
        };
        InventoryType::KNOWN.iter().map(drop).collect()
    }

    /// The objects of a type as they are.
    fn raw_table(&self, ty: &InventoryType) -> String {
        let columns: Vec<_> = fields(ty).map(|field| format!("`{field}` string")).collect();
        let partitions = PARTITIONS.map(|name| format!("`{name}` string"));
        let [account, region, kind] = PARTITIONS;
        let folder = format!("{}/{ty}/", self.location);
        let accounts = match &self.accounts {
            AccountPartition::Injected => {
                format!("'projection.{account}.type' = 'injected'")
            }
            AccountPartition::Listed(accounts) => enumerated(account, accounts),
        };
        let regions = enumerated(region, &self.regions);
        let kinds = enumerated(kind, &["ManagedInstanceInventory"]);
        let template = format!(
            "{folder}accountid=${{{account}}}/region=${{{region}}}/resourcetype=${{{kind}}}/"
        );
        // Athena user guide, "OpenX JSON SerDe": keys are matched in lower case, and a line that is
        // no JSON is a row of nulls instead of the end of every query.
        format!(
            "CREATE EXTERNAL TABLE IF NOT EXISTS `{database}`.`{name}` ({columns}) \
             PARTITIONED BY ({partitions}) \
             ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' \
             WITH SERDEPROPERTIES ('case.insensitive' = 'true', 'ignore.malformed.json' = 'true') \
             STORED AS INPUTFORMAT 'org.apache.hadoop.mapred.TextInputFormat' \
             OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat' \
             LOCATION '{folder}' \
             TBLPROPERTIES ('projection.enabled' = 'true', {accounts}, {regions}, {kinds}, \
             'storage.location.template' = '{template}')",
            database = self.database,
            name = raw_name(ty),
            columns = columns.join(", "),
            partitions = partitions.join(", "),
        )
    }

    /// The table that every engine has of a type.
    fn typed_view(&self, ty: &InventoryType) -> String {
        let text = |field: &str, name: &str| format!("nullif(\"{field}\", '') AS \"{name}\"");
        // As counts are read everywhere: `3`, `"3"`, `3.0`.
        let count = |field: &str| {
            format!("try_cast(regexp_extract(trim(\"{field}\"), '^([0-9]+)(\\.0)?$', 1) AS bigint)")
        };
        let number = |field: &str, name: &str| format!("{} AS \"{name}\"", count(field));
        let numbers = ty.attributes().iter().filter(|it| it.kind == AttributeKind::Number);
        let unreadable = numbers.map(|attribute| {
            let (name, field) = (attribute.name, attribute.name.to_lowercase());
            format!(
                "CASE WHEN \"{field}\" <> '' AND {} IS NULL \
                 THEN '\"{name}\":' || json_format(CAST(\"{field}\" AS json)) END",
                count(&field),
            )
        });
        let unreadable: Vec<_> = unreadable.collect();
        // `array_join` leaves out what is null, and `||` is null where anything is.
        let others = if unreadable.is_empty() {
            "CAST(NULL AS varchar)".to_owned()
        } else {
            let joined = unreadable.join(", ");
            format!("'{{' || nullif(array_join(ARRAY[{joined}], ','), '') || '}}'")
        };
        let attributes = ty.attributes().iter().map(|attribute| {
            let (field, name) = (attribute.name.to_lowercase(), column_name(attribute.name));
            match attribute.kind {
                AttributeKind::Text => text(&field, &name),
                AttributeKind::Number => number(&field, &name),
            }
        });
        let attributes: Vec<_> = attributes.collect();
        let [account, region, kind] = PARTITIONS;
        // The key says whose a row is, not what the row says.
        format!(
            "SELECT \"{account}\" AS account_id, \"{region}\" AS region, \
             regexp_extract(\"$path\", '([^/]+)\\.json$', 1) AS node_id, \
             \"{kind}\" AS partition_resource_type, {attributes}, {captured}, {version}, \
             {others} AS other_fields FROM {raw} WHERE {any} IS NOT NULL",
            attributes = attributes.join(", "),
            captured = text("capturetime", "capture_time"),
            version = text("schemaversion", "schema_version"),
            raw = self.raw(ty),
            any = any_field(ty),
        )
    }

    /// The lines of a type that are no JSON, by object.
    fn problems(&self, ty: &InventoryType) -> String {
        format!(
            "SELECT \"$path\" AS object_key, CAST(NULL AS bigint) AS line, 'lost' AS kind, \
             'lines are no JSON object' AS reason, count(*) AS lines FROM {} WHERE {} IS NULL \
             GROUP BY \"$path\"",
            self.raw(ty),
            any_field(ty),
        )
    }

    fn raw(&self, ty: &InventoryType) -> String {
        format!("\"{}\".\"{}\"", self.database, raw_name(ty))
    }
}

/// The columns that keys give: names that no row can have, for no attribute begins so.
const PARTITIONS: [&str; 3] = ["partition_account_id", "partition_region", "partition_kind"];

fn raw_name(ty: &InventoryType) -> String {
    format!("raw_{}", table_name(ty))
}

/// The fields of a row, in lower case as the SerDe has them.
fn fields(ty: &InventoryType) -> impl Iterator<Item = String> {
    let common = ["capturetime", "schemaversion", "resourceid"].map(str::to_owned);
    ty.attributes().iter().map(|attribute| attribute.name.to_lowercase()).chain(common)
}

/// Null where a row has nothing at all.
fn any_field(ty: &InventoryType) -> String {
    let fields: Vec<_> = fields(ty).map(|field| format!("\"{field}\"")).collect();
    format!("coalesce({})", fields.join(", "))
}

fn enumerated(column: &str, values: &[impl std::fmt::Display]) -> String {
    let values: Vec<_> = values.iter().map(ToString::to_string).collect();
    format!(
        "'projection.{column}.type' = 'enum', 'projection.{column}.values' = '{}'",
        values.join(",")
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn lake() -> AthenaLake {
        AthenaLake::new(
            "fleet",
            "s3://central/sync/",
            ["012345678901".parse().unwrap(), "111122223333".parse().unwrap()],
            ["eu-west-1".parse().unwrap(), "us-east-1".parse().unwrap()],
        )
        .unwrap()
    }

    /// The names between backticks in front of the serde: table, columns and partitions.
    fn columns(sql: &str) -> Vec<&str> {
        let head = sql.split("ROW FORMAT").next().unwrap();
        head.split('`').skip(1).step_by(2).skip(2).collect()
    }

    #[test]
    fn no_table_has_a_column_twice_as_a_crawlers_has() {
        for ty in InventoryType::KNOWN {
            let sql = lake().raw_table(ty);
            let columns = columns(&sql);
            let distinct: BTreeSet<_> = columns.iter().collect();
            assert_eq!(distinct.len(), columns.len(), "{sql}");
        }
        let info = lake().raw_table(&InventoryType::InstanceInformation);
        assert!(columns(&info).contains(&"resourcetype"), "the body's");
        assert!(columns(&info).contains(&"partition_kind"), "the partition's");
    }

    #[test]
    fn partitions_are_projected_onto_the_keys_of_the_sync() {
        let sql = lake().raw_table(&InventoryType::Tag);
        for part in [
            "LOCATION 's3://central/sync/AWS:Tag/'",
            "'projection.partition_account_id.values' = '012345678901,111122223333'",
            "'projection.partition_region.values' = 'eu-west-1,us-east-1'",
            "'storage.location.template' = 's3://central/sync/AWS:Tag/accountid=${partition_account_id}\
             /region=${partition_region}/resourcetype=${partition_kind}/'",
        ] {
            assert!(sql.contains(part), "{part} in {sql}");
        }
        let injected = AthenaLake::injected("fleet", "s3://b", ["eu-west-1".parse().unwrap()]);
        let sql = injected.unwrap().raw_table(&InventoryType::Tag);
        assert!(sql.contains("'projection.partition_account_id.type' = 'injected'"));
        assert!(!sql.contains("partition_account_id.values"));
    }

    #[test]
    fn whatever_would_break_out_of_a_statement_is_refused() {
        let accounts = || ["111122223333".parse().unwrap()];
        let regions = || ["eu-west-1".parse().unwrap()];
        for (database, location) in [
            ("", "s3://b"),
            ("Fleet", "s3://b"),
            ("a`b", "s3://b"),
            ("fleet", "b/sync"),
            ("fleet", "s3://"),
            ("fleet", "s3:///x"),
            ("fleet", "s3://b/x' ("),
            ("fleet", "s3://b/${x}"),
        ] {
            let lake = AthenaLake::new(database, location, accounts(), regions());
            assert!(lake.is_err(), "{database} {location}");
        }
        assert!(AthenaLake::new("fleet", "s3://b", [], regions()).is_err());
        assert!(AthenaLake::new("fleet", "s3://b", accounts(), []).is_err());
    }

    #[test]
    fn everything_comes_behind_what_it_is_made_of() {
        let statements = lake().statements();
        let names: Vec<_> = statements.iter().map(|it| it.name.as_str()).collect();
        let place = |name: &str| names.iter().position(|it| *it == name).unwrap();
        assert!(place("raw_aws_tag") < place("aws_tag"));
        assert!(place("aws_patch_summary") < place("last_verdicts"));
        assert!(place("last_verdicts") < place("patch_compliance"));
        let distinct: BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
        // Athena user guide, "Service quotas": a query string has at most 262,144 bytes.
        assert!(statements.iter().all(|it| it.sql.len() < 262_144));
    }
}
