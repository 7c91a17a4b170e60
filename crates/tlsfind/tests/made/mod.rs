//! ELF files made by hand: small, and with nothing in them by chance.

#![allow(dead_code, reason = "each test uses some of it")]

/// Where the code is loaded; the file offset is the address in a moved program, less this otherwise.
pub(crate) const BASE: u64 = 0x40_0000;
/// File offset of the code.
pub(crate) const TEXT: u64 = 0x1000;

/// Builds a file of one code segment and one data segment, with sections.
pub(crate) struct Made {
    machine: u16,
    fixed: bool,
    text: Vec<u8>,
    data: Vec<(&'static str, Vec<u8>)>,
    symbols: Vec<(String, u64, u64)>,
    with_sections: bool,
}

impl Made {
    /// For x86-64, loaded at [`BASE`].
    pub(crate) fn x86(text: &[u8]) -> Self {
        Self {
            machine: 62,
            fixed: true,
            text: text.to_vec(),
            data: Vec::new(),
            symbols: Vec::new(),
            with_sections: true,
        }
    }

    /// For arm64.
    pub(crate) fn arm64(words: &[u32]) -> Self {
        let text: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        Self { machine: 183, ..Self::x86(&text) }
    }

    /// A symbol of `.dynsym` at an offset in the code.
    pub(crate) fn symbol(mut self, name: &str, at: u64, size: u64) -> Self {
        self.symbols.push((name.into(), BASE + TEXT + at, size));
        self
    }

    /// A section of data.
    pub(crate) fn data(mut self, name: &'static str, bytes: Vec<u8>) -> Self {
        self.data.push((name, bytes));
        self
    }

    /// Removes the section headers.
    pub(crate) fn without_sections(mut self) -> Self {
        self.with_sections = false;
        self
    }

    /// Where the section of data with that number will be loaded.
    pub(crate) fn data_address(&self, number: usize) -> u64 {
        let before: u64 = self.data[..number].iter().map(|(_, b)| round(b.len() as u64)).sum();
        BASE + TEXT + round(self.text.len() as u64) + before
    }

    /// The file.
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut file = vec![0; TEXT as usize];
        let mut sections: Vec<Header> = vec![Header::default()];
        file.extend(&self.text);
        pad(&mut file);
        sections.push(Header::of(".text", 1, BASE + TEXT, TEXT, self.text.len()));
        let data_at = file.len() as u64;
        for (name, bytes) in &self.data {
            sections.push(Header::of(name, 1, BASE + file.len() as u64, file.len() as u64, bytes.len()));
            file.extend(bytes);
            pad(&mut file);
        }
        let data_len = file.len() as u64 - data_at;
        let mut names = vec![0];
        let mut table = vec![0; 24];
        for (name, address, size) in &self.symbols {
            table.extend((names.len() as u32).to_le_bytes());
            table.extend([0x12, 0, 1, 0]);
            table.extend(address.to_le_bytes());
            table.extend(size.to_le_bytes());
            names.extend(name.as_bytes());
            names.push(0);
        }
        let strings = sections.len() as u32 + 1;
        sections
            .push(Header { link: strings, ..Header::of(".dynsym", 11, 0, file.len() as u64, table.len()) });
        file.extend(&table);
        pad(&mut file);
        sections.push(Header::of(".dynstr", 3, 0, file.len() as u64, names.len()));
        file.extend(&names);
        pad(&mut file);
        self.finish(file, &mut sections, data_at, data_len)
    }

    fn finish(&self, mut file: Vec<u8>, sections: &mut Vec<Header>, data_at: u64, data_len: u64) -> Vec<u8> {
        let mut shstr = vec![0];
        sections.push(Header::of(".shstrtab", 3, 0, 0, 0));
        let starts: Vec<u32> = sections
            .iter()
            .map(|s| {
                let at = shstr.len() as u32;
                shstr.extend(s.name.as_bytes());
                shstr.push(0);
                at
            })
            .collect();
        if let Some(last) = sections.last_mut() {
            (last.offset, last.size) = (file.len() as u64, shstr.len() as u64);
        }
        file.extend(&shstr);
        pad(&mut file);
        let headers_at = file.len() as u64;
        for (section, name) in sections.iter().zip(&starts) {
            file.extend(name.to_le_bytes());
            file.extend(section.kind.to_le_bytes());
            file.extend(0_u64.to_le_bytes());
            file.extend(section.address.to_le_bytes());
            file.extend(section.offset.to_le_bytes());
            file.extend(section.size.to_le_bytes());
            file.extend(section.link.to_le_bytes());
            file.extend([0; 20]);
        }
        let mut head = b"\x7fELF\x02\x01\x01".to_vec();
        head.resize(16, 0);
        head.extend(if self.fixed { 2_u16 } else { 3 }.to_le_bytes());
        head.extend(self.machine.to_le_bytes());
        head.extend(1_u32.to_le_bytes());
        head.extend((BASE + TEXT).to_le_bytes());
        head.extend(64_u64.to_le_bytes());
        head.extend(if self.with_sections { headers_at } else { 0 }.to_le_bytes());
        head.extend(0_u32.to_le_bytes());
        for half in [64, 56, 2, 64] {
            head.extend(u16::to_le_bytes(half));
        }
        let count = if self.with_sections { sections.len() as u16 } else { 0 };
        head.extend(count.to_le_bytes());
        head.extend(count.saturating_sub(1).to_le_bytes());
        for (flags, at, len) in [(5_u32, TEXT, self.text.len() as u64), (6, data_at, data_len)] {
            head.extend(1_u32.to_le_bytes());
            head.extend(flags.to_le_bytes());
            head.extend(at.to_le_bytes());
            for _ in 0..2 {
                head.extend((BASE + at).to_le_bytes());
            }
            for _ in 0..2 {
                head.extend(len.to_le_bytes());
            }
            head.extend(16_u64.to_le_bytes());
        }
        file[..head.len()].copy_from_slice(&head);
        file
    }
}

#[derive(Default)]
struct Header {
    name: String,
    kind: u32,
    address: u64,
    offset: u64,
    size: u64,
    link: u32,
}

impl Header {
    fn of(name: &str, kind: u32, address: u64, offset: u64, size: usize) -> Self {
        Self { name: name.into(), kind, address, offset, size: size as u64, link: 0 }
    }
}

fn round(n: u64) -> u64 {
    n.next_multiple_of(32)
}

fn pad(file: &mut Vec<u8>) {
    file.resize(file.len().next_multiple_of(32), 0);
}

/// Build information that names its version inline.
pub(crate) fn build_info(version: &str) -> Vec<u8> {
    let mut bytes = b"\xff Go buildinf:\x08\x02".to_vec();
    bytes.resize(32, 0);
    bytes.push(version.len() as u8);
    bytes.extend(version.as_bytes());
    bytes
}

/// Build information of Go before 1.18, which points to its version; it lies at `address`.
pub(crate) fn old_build_info(version: &str, address: u64) -> Vec<u8> {
    let mut bytes = b"\xff Go buildinf:\x08\x00".to_vec();
    bytes.extend((address + 32).to_le_bytes());
    bytes.extend(0_u64.to_le_bytes());
    bytes.extend((address + 48).to_le_bytes());
    bytes.extend((version.len() as u64).to_le_bytes());
    bytes.extend(version.as_bytes());
    bytes
}

/// A function table with the magic number: names, entries relative to the code, and the end of the code.
pub(crate) fn function_table(magic: u32, functions: &[(&str, u64)], end: u64) -> Vec<u8> {
    let text = BASE + TEXT;
    let relative = magic == 0xffff_fff0 || magic == 0xffff_fff1;
    let mut names = Vec::new();
    let mut name_at = Vec::new();
    for (name, _) in functions {
        name_at.push(names.len() as u32);
        names.extend(name.as_bytes());
        names.push(0);
    }
    let (field, old) = (if relative { 4 } else { 8 }, magic == 0xffff_fffb);
    let table_len = (functions.len() * 2 + 1) * field;
    let put = |out: &mut Vec<u8>, n: u64| out.extend(&n.to_le_bytes()[..field]);
    let header: usize = if old { 16 } else { 72 };
    let names_at = if old { header + table_len + functions.len() * 16 } else { header };
    let names_end = (names_at + names.len()).next_multiple_of(8);
    let functions_at = if old { header } else { names_end };
    let mut table = Vec::new();
    let mut descriptions = Vec::new();
    let base = if old { functions_at } else { 0 };
    for ((_, at), name) in functions.iter().zip(&name_at) {
        let pc = if relative { *at } else { text + at };
        put(&mut table, pc);
        put(&mut table, (base + table_len + descriptions.len()) as u64);
        descriptions.extend(&pc.to_le_bytes()[..field]);
        let name = name + if old { names_at as u32 } else { 0 };
        descriptions.extend(name.to_le_bytes());
        descriptions.resize(descriptions.len().next_multiple_of(4), 0);
    }
    put(&mut table, if relative { end } else { text + end });
    let mut out = magic.to_le_bytes().to_vec();
    out.extend([0, 0, 1, 8]);
    out.extend((functions.len() as u64).to_le_bytes());
    if !old {
        let words = if relative {
            [0, text, names_at as u64, names_end as u64, 0, 0, functions_at as u64]
        } else {
            [0, names_at as u64, names_end as u64, 0, 0, functions_at as u64, 0]
        };
        for word in words {
            out.extend(word.to_le_bytes());
        }
        out.resize(header, 0);
        out.extend(&names);
        out.resize(names_end, 0);
    }
    out.extend(table);
    out.extend(descriptions);
    if old {
        out.resize(names_at, 0);
        out.extend(names);
        // What follows the functions is read as the rest of a header.
        out.resize(out.len().max(72), 0);
    }
    out
}
