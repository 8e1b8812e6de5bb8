//! What was written, and what of the lake was not.

use std::{collections::BTreeMap, fs, path::Path};

use patchkit_examples::{Exit, Failure};
use patchkit_inventory::{
    InventoryType, LakeReading,
    parquet::{ParquetExport, SUCCESS, export_parquet, type_folder},
};

use super::{args::Args, lake};

/// One run's export.
#[derive(Debug)]
pub(crate) struct Export {
    pub(crate) lake: String,
    pub(crate) out: String,
    pub(crate) types: Vec<TypeExport>,
    pub(crate) written: ParquetExport,
}

/// What was written of one type.
#[derive(Debug)]
pub(crate) struct TypeExport {
    pub(crate) name: String,
    /// Where they are; nowhere where the type has no row.
    pub(crate) folder: Option<String>,
    pub(crate) rows: u64,
    pub(crate) files: usize,
}

impl Export {
    pub(crate) async fn write(args: &Args) -> Result<Self, Failure> {
        let name = args.lake.to_string_lossy().into_owned();
        let source = lake::open(args).await?;
        let written = export_parquet(source, &args.out, args.options()).await?;
        if written.files.is_empty() {
            return Err(nothing(&name, &args.out, &written.reading));
        }
        let mut files: BTreeMap<&str, usize> = BTreeMap::new();
        for file in &written.files {
            let folder = file.iter().next().and_then(|folder| folder.to_str());
            *files.entry(folder.unwrap_or_default()).or_default() += 1;
        }
        let types = written.reading.types.iter().map(|(name, reading)| {
            let Ok(ty) = name.parse::<InventoryType>();
            let folder = type_folder(&ty);
            let files = files.get(&*folder).copied().unwrap_or_default();
            let folder = (files > 0).then_some(folder);
            TypeExport { name: name.to_string(), folder, rows: reading.rows, files }
        });
        let (types, out) = (types.collect(), args.out.display().to_string());
        Ok(Self { lake: name, out, types, written })
    }

    pub(crate) fn exit(&self) -> Exit {
        if self.written.reading.skipped.is_empty() { Exit::Clean } else { Exit::Findings }
    }
}

/// Says what a lake looks like, to whoever pointed at something else. The mark of a whole export goes
/// away, so that the folder is as empty as it was.
fn nothing(lake: &str, out: &Path, reading: &LakeReading) -> Failure {
    let seen = match reading.skipped.entries().first() {
        Some(first) => {
            format!("of its {} objects, {:?}: {}", reading.listed, first.key, first.reason)
        }
        None => format!("it lists {} objects", reading.listed),
    };
    let left = match fs::remove_file(out.join(SUCCESS)) {
        Ok(()) => String::new(),
        Err(error) => format!("; {} is left in {}: {error}", SUCCESS, out.display()),
    };
    Failure::new(format!(
        "{lake} holds no row to export ({seen}). Give the place where the resource data sync writes: \
         the folder or prefix above keys such as \
         AWS:Application/accountid=111122223333/region=eu-west-1/\
         resourcetype=ManagedInstanceInventory/i-0abc.json{left}"
    ))
}
