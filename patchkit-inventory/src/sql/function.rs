//! The functions that lakes need and SQL does not have.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{
            Array, ArrayRef, AsArray, BooleanArray, StringViewArray, TimestampMicrosecondArray,
        },
        compute::cast,
        datatypes::{DataType, TimeUnit},
    },
    common::{DataFusionError, Result, ScalarValue, exec_err},
    logical_expr::{
        ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
        Volatility,
    },
};
use jiff::Timestamp;
use patchkit_core::{OperatingSystem, PackageFamily};

use crate::{Below, VersionScheme};

/// Times are in UTC, to the microsecond.
pub(super) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
}

/// The functions that the views and users' queries call, for sessions of DataFusion's other than
/// [`FleetSql`](crate::FleetSql)'s: every process that a plan is sent to needs them.
///
/// - `iso_time(text)`: the point in time that a text names, null where it names none.
/// - `version_below(platform_name, epoch, version, release, limit)`: whether a package is older than
///   `limit` by the rules of the platform, null where that cannot be said.
///
/// # Example
/// ```
/// use datafusion::prelude::SessionContext;
/// use patchkit_inventory::lake_functions;
///
/// let context = SessionContext::new();
/// for function in lake_functions() {
///     context.register_udf(function);
/// }
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let rows = context.sql("SELECT version_below('Ubuntu', '', '1:2.0-1', '', '1:2.0-1ubuntu1')");
/// assert!(rows.await?.to_string().await?.contains("true"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn lake_functions() -> Vec<ScalarUDF> {
    vec![ScalarUDF::from(IsoTime::default()), ScalarUDF::from(VersionBelow::default())]
}

fn texts(count: usize) -> Signature {
    let texts = vec![DataType::Utf8View; count];
    Signature::new(TypeSignature::Exact(texts), Volatility::Immutable)
}

/// An argument as a column of texts.
fn column(value: &ColumnarValue, rows: usize) -> Result<StringViewArray> {
    let array = value.to_array(rows)?;
    let array = match array.data_type() {
        DataType::Utf8View => array,
        _ => cast(&array, &DataType::Utf8View)?,
    };
    Ok(array.as_string_view().clone())
}

/// One value where every argument was one, so that the engine can take it for a constant.
fn answer(args: &ScalarFunctionArgs, array: ArrayRef) -> Result<ColumnarValue> {
    let is_constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    if is_constant && array.len() == 1 {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
    }
    Ok(ColumnarValue::Array(array))
}

/// How many rows are to be computed: one where every argument is a constant.
fn rows(args: &ScalarFunctionArgs) -> usize {
    let is_constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    if is_constant { 1 } else { args.number_rows }
}

/// A text as a point in time, as lenient as `InventoryRecord::time`.
#[derive(Debug, Eq, Hash, PartialEq)]
struct IsoTime(Signature);

impl Default for IsoTime {
    fn default() -> Self {
        Self(texts(1))
    }
}

impl ScalarUDFImpl for IsoTime {
    fn name(&self) -> &'static str {
        "iso_time"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(time_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [text] = &args.args[..] else { return exec_err!("iso_time takes one text") };
        let text = column(text, rows(&args))?;
        let times: TimestampMicrosecondArray = text
            .iter()
            .map(|text| text?.trim().parse::<Timestamp>().ok().map(Timestamp::as_microsecond))
            .collect();
        answer(&args, Arc::new(times.with_timezone("+00:00")))
    }
}

/// Whether a package is older than a version, by the rules of the node's operating system.
#[derive(Debug, Eq, Hash, PartialEq)]
struct VersionBelow(Signature);

impl Default for VersionBelow {
    fn default() -> Self {
        Self(texts(5))
    }
}

impl ScalarUDFImpl for VersionBelow {
    fn name(&self) -> &'static str {
        "version_below"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [platform, epoch, version, release, limit] = &args.args[..] else {
            return exec_err!("version_below takes five texts");
        };
        let rows = rows(&args);
        let (platform, epoch) = (column(platform, rows)?, column(epoch, rows)?);
        let (version, release) = (column(version, rows)?, column(release, rows)?);
        let limit = column(limit, rows)?;
        let text = |array: &StringViewArray, row: usize| {
            if array.is_null(row) { String::new() } else { array.value(row).to_owned() }
        };
        // A fleet has a few platforms and a query a limit: each pair is read once.
        let mut limits: HashMap<(String, String), Below> = HashMap::new();
        let mut below = Vec::with_capacity(rows);
        for row in 0..rows {
            if limit.is_null(row) {
                below.push(None);
                continue;
            }
            let key = (text(&platform, row), text(&limit, row));
            let fixed = match limits.entry(key) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let (platform, limit) = new.key();
                    let fixed = Below::parse(scheme(platform), limit)
                        .map_err(|error| DataFusionError::External(Box::new(error)))?;
                    new.insert(fixed)
                }
            };
            let part = |array: &'_ StringViewArray| text(array, row);
            below.push(fixed.is_below(&part(&epoch), &part(&version), &part(&release)));
        }
        answer(&args, Arc::new(BooleanArray::from(below)))
    }
}

/// By whose rules versions on a platform are compared; a platform that is not known has none of its
/// own, as in reports.
fn scheme(platform: &str) -> VersionScheme {
    if platform.is_empty() {
        return VersionScheme::for_family(PackageFamily::Other);
    }
    VersionScheme::for_os(&OperatingSystem::from_platform(platform, ""))
}
