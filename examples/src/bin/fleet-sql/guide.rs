//! The views and their columns, for whoever wants to ask.

use std::io::{self, Write};

use patchkit_examples::table;
use patchkit_inventory::{InventoryType, View, columns::table_name};

pub(crate) fn write(out: &mut impl Write) -> io::Result<()> {
    for view in View::ALL {
        writeln!(out, "{}: {}", view.name(), view.about())?;
        let mut columns = table(["column", "kind", "what it says"]);
        for column in view.columns() {
            columns.add_row([
                column.name.to_owned(),
                column.kind.to_string(),
                column.about.to_owned(),
            ]);
        }
        writeln!(out, "{columns}\n")?;
    }
    writeln!(out, "lake_nodes: the key of every node that the lake lists")?;
    writeln!(out, "lake_problems: what is lost of the lake, or was read in spite of dirt\n")?;
    writeln!(out, "One table for each type; SELECT column_name FROM information_schema.columns")?;
    writeln!(out, "WHERE table_name = '…' lists its columns:")?;
    let names: Vec<_> = InventoryType::KNOWN.iter().map(table_name).collect();
    writeln!(out, "{}", names.join(", "))
}
