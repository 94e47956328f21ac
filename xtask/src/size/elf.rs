//! As much of an ELF file of 32 bits as sizes need.

/// What a linked program takes of a chip, and the functions and variables in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Program {
    /// Bytes of flash: code, constants, initial values.
    pub(crate) flash: u32,
    /// Bytes of RAM: statics. The stack is not in here.
    pub(crate) ram: u32,
    /// Mangled name and size of each symbol.
    pub(crate) symbols: Vec<(String, u32)>,
}

struct Section {
    kind: u32,
    flags: u32,
    offset: usize,
    size: usize,
    link: usize,
}

const SYMBOLS: u32 = 2;
const NO_BITS: u32 = 8;
const WRITABLE: u32 = 1;
const ALLOCATED: u32 = 2;
const SYMBOL_LEN: usize = 16;

impl Program {
    /// Reads a linked program; `None` if the bytes are none.
    pub(crate) fn read(file: &[u8]) -> Option<Self> {
        if !file.starts_with(b"\x7fELF\x01\x01") {
            return None;
        }
        let sections = sections(file)?;
        let mut program = Self::default();
        for section in sections.iter().filter(|s| s.flags & ALLOCATED != 0) {
            let size = u32::try_from(section.size).ok()?;
            program.flash += if section.kind == NO_BITS { 0 } else { size };
            program.ram += if section.flags & WRITABLE == 0 { 0 } else { size };
        }
        let table = sections.iter().find(|s| s.kind == SYMBOLS)?;
        let names = sections.get(table.link)?;
        let names = file.get(names.offset..)?.get(..names.size)?;
        for symbol in file.get(table.offset..)?.get(..table.size)?.chunks_exact(SYMBOL_LEN) {
            let name = names.get(word(symbol, 0)? as usize..)?;
            let name = name.split(|byte| *byte == 0).next().unwrap_or(name);
            program.symbols.push((String::from_utf8_lossy(name).into_owned(), word(symbol, 8)?));
        }
        Some(program)
    }

    /// Bytes of all variables whose path has this name in it.
    pub(crate) fn size_of(&self, name: &str) -> u32 {
        // Names are written with their length in front.
        let name = format!("{}{name}", name.len());
        self.symbols.iter().filter(|(symbol, _)| symbol.contains(&name)).map(|(_, size)| size).sum()
    }

    /// The functions through which every panic goes that is still in the program.
    pub(crate) fn panics(&self) -> Vec<&str> {
        let of_core = |name: &&str| name.contains("4core9panicking");
        self.symbols.iter().map(|(name, _)| name.as_str()).filter(of_core).collect()
    }
}

fn sections(file: &[u8]) -> Option<Vec<Section>> {
    let (at, len, count) = (word(file, 0x20)? as usize, half(file, 0x2E)?, half(file, 0x30)?);
    let headers = (0..count).map(|n| file.get(at + n * len..)?.get(..len));
    headers
        .map(|header| {
            let header = header?;
            Some(Section {
                kind: word(header, 4)?,
                flags: word(header, 8)?,
                offset: word(header, 16)? as usize,
                size: word(header, 20)? as usize,
                link: word(header, 24)? as usize,
            })
        })
        .collect()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn half(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of these sections (kind, flags, content, link), with no more than is looked at.
    fn file(sections: &[(u32, u32, &[u8], u32)]) -> Vec<u8> {
        let mut file = b"\x7fELF\x01\x01".to_vec();
        file.resize(0x34, 0);
        let mut headers = Vec::new();
        for (kind, flags, content, link) in sections {
            let (offset, size) = (file.len() as u32, content.len() as u32);
            for word in [0, *kind, *flags, 0, offset, size, *link, 0, 0, 0] {
                headers.extend(u32::to_le_bytes(word));
            }
            file.extend(*content);
        }
        let at = (file.len() as u32).to_le_bytes();
        file[0x20..0x24].copy_from_slice(&at);
        file[0x2E] = 40;
        file[0x30] = sections.len() as u8;
        file.extend(headers);
        file
    }

    #[test]
    fn code_is_flash_and_initial_values_are_both() {
        let names = b"\0_ZN4core9panicking5panicE\0_ZN4size5GIVEN17h0E\0";
        let mut symbols = [0; 2 * SYMBOL_LEN];
        symbols[0] = 1;
        (symbols[SYMBOL_LEN], symbols[SYMBOL_LEN + 8]) = (27, 7);
        let file = file(&[
            (1, 2, &[0; 100], 0),
            (1, 3, &[0; 20], 0),
            (NO_BITS, 3, &[0; 3], 0),
            (1, 0, &[0; 1000], 0),
            (SYMBOLS, 0, &symbols, 5),
            (3, 0, names, 0),
        ]);
        let program = Program::read(&file).unwrap();
        assert_eq!((program.flash, program.ram), (120, 23));
        assert_eq!(program.size_of("GIVEN"), 7);
        assert_eq!(program.panics(), ["_ZN4core9panicking5panicE"]);
    }

    #[test]
    fn what_is_no_program_is_refused() {
        assert_eq!(Program::read(b"MZ"), None);
        let whole = file(&[(SYMBOLS, 0, &[0; SYMBOL_LEN], 1), (3, 0, b"\0", 0)]);
        assert!(Program::read(&whole).is_some());
        for len in 0..whole.len() {
            assert_eq!(Program::read(&whole[..len]), None, "{len} bytes");
        }
    }
}
