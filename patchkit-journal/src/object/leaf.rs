//! One object: a seal, a header, and lines.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::key::hex;

/// The version of what objects hold.
const VERSION: u32 = 1;

/// The first line: what the rest must be like.
#[derive(Deserialize, Serialize)]
struct Seal {
    journal: u32,
    bytes: usize,
    sha256: String,
}

/// Why an object cannot be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Broken {
    /// It is cut off, or was changed.
    Torn(String),
    /// A newer version wrote it, which is no damage.
    Newer(u32),
}

/// The bytes of an object. `lines` must not hold a line break in a line, as JSON does not.
pub(super) fn seal(
    header: &impl Serialize,
    lines: impl IntoIterator<Item = impl AsRef<str>>,
) -> serde_json::Result<Vec<u8>> {
    let mut rest = serde_json::to_vec(header)?;
    rest.push(b'\n');
    for line in lines {
        rest.extend_from_slice(line.as_ref().as_bytes());
        rest.push(b'\n');
    }
    let sha256 = hex(&Sha256::digest(&rest));
    let mut bytes = serde_json::to_vec(&Seal { journal: VERSION, bytes: rest.len(), sha256 })?;
    bytes.push(b'\n');
    bytes.append(&mut rest);
    Ok(bytes)
}

/// The header and the lines of an object, if it is as it was written.
pub(super) fn open<H: DeserializeOwned>(bytes: &[u8]) -> Result<(H, Vec<&[u8]>), Broken> {
    let torn = |detail: &str| Broken::Torn(detail.to_owned());
    let (seal, rest) = line(bytes).ok_or_else(|| torn("it has no first line"))?;
    let seal: serde_json::Value =
        serde_json::from_slice(seal).map_err(|_| torn("its first line is no seal"))?;
    let version = seal.get("journal").and_then(serde_json::Value::as_u64);
    match version.and_then(|version| u32::try_from(version).ok()) {
        Some(VERSION) => {}
        Some(newer) if newer > VERSION => return Err(Broken::Newer(newer)),
        _ => return Err(torn("its first line is no seal")),
    }
    let seal: Seal = serde_json::from_value(seal).map_err(|_| torn("its first line is no seal"))?;
    if seal.bytes != rest.len() {
        return Err(Broken::Torn(format!("{} of {} bytes are there", rest.len(), seal.bytes)));
    }
    if hex(&Sha256::digest(rest)) != seal.sha256 {
        return Err(torn("its bytes are not those that were written"));
    }
    // What is sealed was written so: from here on nothing is torn, but it may still be odd.
    let (header, rest) = line(rest).ok_or_else(|| torn("it has no header"))?;
    let header = serde_json::from_slice(header)
        .map_err(|error| Broken::Torn(format!("its header: {error}")))?;
    let lines = rest.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    Ok((header, lines))
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_is_cut_or_changed_anywhere_is_torn() {
        let bytes = seal(&"header", ["\"one\"", "\"two\""]).unwrap();
        let (header, lines) = open::<String>(&bytes).unwrap();
        assert_eq!(
            (header.as_str(), lines.as_slice()),
            ("header", &[&b"\"one\""[..], b"\"two\""][..])
        );
        for length in 0..bytes.len() {
            assert!(matches!(open::<String>(&bytes[..length]), Err(Broken::Torn(_))), "{length}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let opened = open::<String>(&changed);
            assert!(opened.is_err(), "{at}: {opened:?}");
        }
        let longer = [bytes.as_slice(), b"\n"].concat();
        assert!(matches!(open::<String>(&longer), Err(Broken::Torn(_))));
    }

    #[test]
    fn an_object_of_a_newer_version_is_not_called_torn() {
        let bytes = b"{\"journal\":7,\"seal\":\"of another kind\"}\nwhatever";
        assert_eq!(open::<String>(bytes).unwrap_err(), Broken::Newer(7));
    }
}
