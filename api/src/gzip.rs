//! Texts that are too long for a ConfigMap as they are: packed by the operator, unpacked in the pod. The form is gzip, so
//! that people can read it with common tools.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// Longest text (bytes) that is unpacked. An object of the Kubernetes API holds less than 2 MiB.
pub const MAX_UNPACKED_BYTES: u64 = 16 * 1024 * 1024;

/// Packs a text. The same text always gives the same bytes.
///
/// # Errors
/// None that writing to memory could have.
pub fn pack(text: &str) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

/// Unpacks a text.
///
/// # Errors
/// If the bytes are no packed text, or one longer than [`MAX_UNPACKED_BYTES`].
pub fn unpack(bytes: &[u8]) -> io::Result<String> {
    let mut text = String::new();
    let read = GzDecoder::new(bytes)
        .take(MAX_UNPACKED_BYTES + 1)
        .read_to_string(&mut text)?;
    if read as u64 > MAX_UNPACKED_BYTES {
        return Err(io::Error::other(format!(
            "the text is longer than {MAX_UNPACKED_BYTES} bytes"
        )));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bomb_is_not_unpacked() {
        let bomb = pack(&"0".repeat(17 * 1024 * 1024)).unwrap();
        assert!(bomb.len() < 32 * 1024);
        assert!(unpack(&bomb).unwrap_err().to_string().contains("longer than"));
        assert!(unpack(b"no gzip").is_err());
    }

    proptest! {
        #[test]
        fn every_text_comes_back_and_packs_the_same(text in ".{0,400}") {
            let packed = pack(&text).unwrap();
            prop_assert_eq!(pack(&text).unwrap(), packed.clone());
            prop_assert_eq!(unpack(&packed).unwrap(), text);
        }
    }
}
