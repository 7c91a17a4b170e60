//! What looking into one file may cost.

/// Bounds of one [`crate::inspect`]. What they cut off is reported as a
/// [`crate::Problem::Limit`], never silently.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes read from the file, repetitions included.
    pub read_bytes: u64,
    /// Entries of the section and program header tables, each.
    pub headers: u32,
    /// Entries of all symbol tables together.
    pub symbols: u64,
    /// Functions of a Go function table, and entries of unwind tables.
    pub functions: u64,
    /// Instructions decoded.
    pub instructions: u64,
    /// Relocations read.
    pub relocations: u64,
    /// Bytes of one function; a longer one is not disassembled.
    pub function_bytes: u64,
    /// Returns and tail jumps kept of one function, each.
    pub returns: usize,
    /// Points kept of one file.
    pub points: usize,
}

impl Default for Limits {
    /// Enough for the largest programs that are known (browsers, Envoy, cluster tools in Go), with
    /// 64 KiB of memory per open table.
    fn default() -> Self {
        Self {
            read_bytes: 2 << 30,
            headers: 4096,
            symbols: 8 << 20,
            functions: 4 << 20,
            instructions: 32 << 20,
            relocations: 8 << 20,
            function_bytes: 256 << 10,
            returns: 256,
            points: 128,
        }
    }
}

/// What one inspection used, in the units of [`Limits`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Bytes read.
    pub read_bytes: u64,
    /// Symbols looked at.
    pub symbols: u64,
    /// Functions looked at.
    pub functions: u64,
    /// Instructions decoded.
    pub instructions: u64,
    /// Relocations read.
    pub relocations: u64,
}
