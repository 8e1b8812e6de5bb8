use std::collections::BTreeSet;

use super::*;

#[test]
fn every_view_and_column_has_a_name_of_its_own() {
    let names: BTreeSet<_> = View::ALL.iter().map(View::name).collect();
    assert_eq!(names.len(), View::ALL.len());
    for view in View::ALL {
        let columns: BTreeSet<_> = view.columns().iter().map(|column| column.name).collect();
        assert_eq!(columns.len(), view.columns().len(), "{}", view.name());
        assert_eq!(View::named(view.name()).map(View::about), Some(view.about()));
    }
}

#[test]
fn athena_gets_nothing_that_only_our_tables_and_functions_have() {
    for view in View::ALL {
        let sql = view.sql(Dialect::Athena);
        for ours in ["lake_nodes", "iso_time", "version_below"] {
            assert!(!sql.contains(ours), "{ours} in {}", view.name());
        }
    }
}

#[cfg(feature = "sql")]
#[test]
fn athenas_sql_is_sound_and_has_the_documented_columns() {
    use datafusion::sql::sqlparser::{
        ast::{SelectItem, SetExpr, Statement},
        dialect::GenericDialect,
        parser::Parser,
    };

    for view in View::ALL {
        let sql = view.sql(Dialect::Athena);
        let parsed = Parser::parse_sql(&GenericDialect {}, &sql).unwrap();
        let [Statement::Query(query)] = &parsed[..] else { panic!("{sql}") };
        let SetExpr::Select(select) = &*query.body else { panic!("{sql}") };
        let names: Vec<_> = select
            .projection
            .iter()
            .map(|item| match item {
                SelectItem::ExprWithAlias { alias, .. } => alias.value.clone(),
                SelectItem::UnnamedExpr(expr) => {
                    expr.to_string().rsplit('.').next().unwrap().to_owned()
                }
                other => panic!("{other} in {sql}"),
            })
            .collect();
        let told: Vec<_> = view.columns().iter().map(|column| column.name).collect();
        assert_eq!(names, told, "{}", view.name());
    }
}
