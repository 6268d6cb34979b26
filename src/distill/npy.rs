//! NumPy's .npy, as far as a table of numbers needs it: (N, D) float16, float32 or float64 in C order.
//!
//! ```text
//! \x93NUMPY · major · minor · header length (u16, from major 2 on u32) · header · N·D numbers, little endian
//! header: a Python dict, {'descr': '<f4', 'fortran_order': False, 'shape': (N, D), }
//! ```
//!
//! The header is read by its own small grammar: crates for it parse any Python literal, recursively, and a hostile one may
//! nest until the stack is gone (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).

use tch::Kind;

/// A table that lies in the file's bytes.
#[derive(Debug, PartialEq)]
pub(super) struct Table<'a> {
    /// N.
    pub rows: usize,
    /// D.
    pub dim: usize,
    /// Half, Float or Double.
    pub kind: Kind,
    /// N·D numbers.
    pub numbers: &'a [u8],
}

/// What every file begins with.
pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// The table in `bytes`, or what is wrong with them.
pub(super) fn parse(bytes: &[u8]) -> Result<Table<'_>, String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it does not begin as a .npy file")?;
    let (version, rest) = rest.split_first_chunk::<2>().ok_or("the header is cut off")?;
    let (length, rest) = match version[0] {
        1 => rest.split_first_chunk().map(|(length, rest)| (usize::from(u16::from_le_bytes(*length)), rest)),
        2 | 3 => rest.split_first_chunk().map(|(length, rest)| (u32::from_le_bytes(*length) as usize, rest)),
        other => return Err(format!("version {other} of the format, expected 1 to 3")),
    }
    .ok_or("the header is cut off")?;
    let (header, numbers) = rest.split_at_checked(length).ok_or("the header is cut off")?;
    let header = std::str::from_utf8(header).map_err(|_| "the header is no text")?;

    let kind = match value(header, "descr")?.trim_matches(['\'', '"']) {
        "<f2" => Kind::Half,
        "<f4" => Kind::Float,
        "<f8" => Kind::Double,
        other => return Err(format!("numbers of type \"{other}\", expected \"<f2\", \"<f4\" or \"<f8\"")),
    };
    match value(header, "fortran_order")? {
        "False" => {}
        "True" => return Err("columns after each other (fortran_order); write numpy.ascontiguousarray".to_owned()),
        other => return Err(format!("fortran_order \"{other}\"")),
    }
    let shape = value(header, "shape")?;
    let sizes = shape.strip_prefix('(').and_then(|shape| shape.strip_suffix(')')).ok_or("no shape in the header")?;
    let sizes: Vec<_> = sizes.split(',').map(str::trim).filter(|size| !size.is_empty()).collect();
    let [Ok(rows), Ok(dim)] = sizes.iter().map(|size| size.parse()).collect::<Vec<Result<usize, _>>>()[..] else {
        return Err(format!("the shape {shape}, expected (N, D)"));
    };
    let size = match kind {
        Kind::Half => 2,
        Kind::Float => 4,
        _ => 8,
    };
    let expected = rows.checked_mul(dim).and_then(|count| count.checked_mul(size));
    if expected != Some(numbers.len()) {
        return Err(format!("{} bytes of numbers, which is not what the shape {shape} says", numbers.len()));
    }
    Ok(Table { rows, dim, kind, numbers })
}

/// The text of `key`'s value: up to the next comma that is in no parentheses.
fn value<'a>(header: &'a str, key: &str) -> Result<&'a str, String> {
    let missing = || format!("no \"{key}\" in the header");
    let quoted = [format!("'{key}'"), format!("\"{key}\"")];
    let start = quoted.iter().find_map(|quoted| header.find(quoted.as_str()).map(|at| at + quoted.len()));
    let rest = header[start.ok_or_else(missing)?..].trim_start().strip_prefix(':').ok_or_else(missing)?.trim_start();
    let end = if rest.starts_with('(') { rest.find(')').map(|at| at + 1) } else { rest.find([',', '}']) };
    Ok(rest[..end.ok_or_else(missing)?].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: u8, header: &str, numbers: usize) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([version, 0]);
        if version == 1 {
            bytes.extend((header.len() as u16).to_le_bytes());
        } else {
            bytes.extend((header.len() as u32).to_le_bytes());
        }
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + numbers, 0);
        bytes
    }

    #[test]
    fn versions_and_types_are_read() {
        for (version, kind, name, size) in
            [(1, Kind::Float, "<f4", 4), (2, Kind::Half, "<f2", 2), (3, Kind::Double, "<f8", 8)]
        {
            let header = format!("{{'descr': '{name}', 'fortran_order': False, 'shape': (3, 5), }}   \n");
            let bytes = file(version, &header, 15 * size);
            let table = parse(&bytes).unwrap();
            assert_eq!((table.rows, table.dim, table.kind, table.numbers.len()), (3, 5, kind, 15 * size));
        }
    }

    #[test]
    fn hostile_headers_are_refused() {
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5), }";
        let nested = good.replace("(3, 5)", &"(".repeat(60_000));
        let cases = [
            (good.replace("<f4", ">f4"), "type"),
            (good.replace("<f4", "|O"), "type"),
            (good.replace("False", "True"), "fortran_order"),
            (good.replace("(3, 5)", "(3,)"), "expected (N, D)"),
            (good.replace("(3, 5)", "(3, 5, 1)"), "expected (N, D)"),
            (good.replace("(3, 5)", "(-3, 5)"), "expected (N, D)"),
            (good.replace("(3, 5)", "(4611686018427387904, 5)"), "not what the shape"),
            (good.replace("(3, 5)", "(3, 6)"), "not what the shape"),
            (good.replace("(3, 5)", "[3, 5]"), "no shape"),
            (good.replace("'shape'", "'form'"), "no \"shape\""),
            (nested, "shape"),
            (String::new(), "no \"descr\""),
        ];
        for (header, reason) in cases {
            let error = parse(&file(2, &header, 60)).unwrap_err();
            assert!(error.contains(reason), "{reason}: {error}");
        }
        let bytes = file(1, good, 60);
        for length in 0..bytes.len() {
            parse(&bytes[..length]).unwrap_err();
        }
        assert!(parse(&file(9, good, 60)).unwrap_err().contains("version 9"));
    }
}
