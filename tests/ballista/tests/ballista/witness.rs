//! A function that gives back what it gets, writes it down, and stands still while it is told to.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, Instant},
};

use datafusion::{
    arrow::{array::AsArray, compute::cast, datatypes::DataType},
    common::{Result, ScalarValue, exec_err},
    logical_expr::{
        ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
        Volatility,
    },
};

/// Whatever takes longer hangs.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

const STEP: Duration = Duration::from_millis(10);

/// Where processes write down what their tasks see.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Witness(PathBuf);

impl Witness {
    pub(crate) fn new(place: &Path) -> Self {
        Self(place.to_owned())
    }

    /// `witness(mark, text)`.
    pub(crate) fn function(&self) -> ScalarUDF {
        let texts = TypeSignature::Exact(vec![DataType::Utf8, DataType::Utf8View]);
        let signature = Signature::new(texts, Volatility::Volatile);
        ScalarUDF::from(WitnessFunction { witness: self.clone(), signature })
    }

    /// Has every task stand still that comes to that mark.
    pub(crate) fn hold(&self, mark: &str) {
        fs::write(self.latch(mark), "").unwrap();
    }

    pub(crate) fn release(&self, mark: &str) {
        fs::remove_file(self.latch(mark)).unwrap();
    }

    /// The process that first comes to that mark.
    pub(crate) async fn wait_for(&self, mark: &str) -> u32 {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            for entry in fs::read_dir(&self.0).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let pid = name.strip_prefix(mark).and_then(|it| it.strip_prefix('.'));
                if let Some(pid) = pid.and_then(|it| it.parse().ok()) {
                    return pid;
                }
            }
            tokio::time::sleep(STEP).await;
        }
        panic!("no task came to {mark}");
    }

    /// Waits until one or the other of the processes has seen each of these at that mark.
    pub(crate) async fn wait_until_seen(&self, mark: &str, pids: &[u32], rows: &BTreeSet<String>) {
        let began = Instant::now();
        let seen = || pids.iter().flat_map(|pid| self.rows(mark, *pid)).collect::<BTreeSet<_>>();
        while !rows.is_subset(&seen()) {
            assert!(began.elapsed() < PATIENCE, "rows were not seen at {mark}");
            tokio::time::sleep(STEP).await;
        }
    }

    /// What a process saw at that mark.
    pub(crate) fn rows(&self, mark: &str, pid: u32) -> BTreeSet<String> {
        let rows = fs::read_to_string(self.record(mark, pid)).unwrap_or_default();
        rows.lines().map(str::to_owned).collect()
    }

    fn latch(&self, mark: &str) -> PathBuf {
        self.0.join(format!("{mark}.hold"))
    }

    fn record(&self, mark: &str, pid: u32) -> PathBuf {
        self.0.join(format!("{mark}.{pid}"))
    }
}

#[derive(Debug, Eq, Hash, PartialEq)]
struct WitnessFunction {
    witness: Witness,
    signature: Signature,
}

impl ScalarUDFImpl for WitnessFunction {
    fn name(&self) -> &'static str {
        "witness"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ColumnarValue::Scalar(ScalarValue::Utf8(Some(mark))), texts] = &args.args[..] else {
            return exec_err!("witness takes a mark and a column of texts");
        };
        let texts = cast(&texts.to_array(args.number_rows)?, &DataType::Utf8View)?;
        let rows: String =
            texts.as_string_view().iter().flatten().map(|text| format!("{text}\n")).collect();
        let record = self.witness.record(mark, process::id());
        // One write: what a killed process has written is whole lines.
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(record)?
            .write_all(rows.as_bytes())?;
        let began = Instant::now();
        while self.witness.latch(mark).exists() {
            if began.elapsed() > PATIENCE {
                return exec_err!("nobody released {mark}");
            }
            thread::sleep(STEP);
        }
        Ok(ColumnarValue::Array(texts))
    }
}
