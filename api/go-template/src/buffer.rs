//! Bytes being written, up to a limit.

/// The limit is reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Full;

/// A byte string that grows to a limit and no further.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    limit: usize,
}

impl Buffer {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Writes bytes, or as many as fit.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Full> {
        match bytes.get(..self.limit.saturating_sub(self.bytes.len())) {
            Some(fitting) if fitting.len() < bytes.len() => {
                self.bytes.extend_from_slice(fitting);
                Err(Full)
            }
            _ => {
                self.bytes.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    pub(super) fn push_str(&mut self, text: &str) -> Result<(), Full> {
        self.push(text.as_bytes())
    }

    pub(super) fn push_char(&mut self, c: char) -> Result<(), Full> {
        self.push(c.encode_utf8(&mut [0; 4]).as_bytes())
    }

    /// Writes a byte many times.
    pub(super) fn fill(&mut self, byte: u8, count: usize) -> Result<(), Full> {
        if count > self.limit.saturating_sub(self.bytes.len()) {
            return Err(Full);
        }
        self.bytes.resize(self.bytes.len().saturating_add(count), byte);
        Ok(())
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
