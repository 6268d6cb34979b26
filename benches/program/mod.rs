//! What the bench programs share: their words on the command line, and what Linux says of their memory.

// Every program uses a part of this.
#![allow(dead_code)]

use std::str::FromStr;

use seed::model::{Architecture, Head, Network, Teacher};
use seed::{Error, Result};
use tch::Device;

/// The word after `name` on the command line.
pub fn text(name: &str, default: &str) -> String {
    std::env::args().skip_while(|word| word != name).nth(1).unwrap_or_else(|| default.to_owned())
}

/// Whether `name` stands on the command line.
pub fn flag(name: &str) -> bool {
    std::env::args().any(|word| word == name)
}

/// The number after `name`.
pub fn number<T: FromStr + ToString>(name: &str, default: T) -> Result<T> {
    let word = text(name, &default.to_string());
    word.parse().map_err(|_| Error::invalid(format!("{name} is \"{word}\", expected a number")))
}

/// `--device`, with what the PyTorch side is given too: `--cudnn_benchmark` and `--threads N` (0: as libtorch chooses).
pub fn device() -> Result<Device> {
    let device = seed::device::parse(&text("--device", "cpu"))?;
    tch::Cuda::cudnn_set_benchmark(flag("--cudnn_benchmark"));
    let threads = number("--threads", 0)?;
    if threads > 0 {
        tch::set_num_threads(threads);
    }
    Ok(device)
}

/// An untrained student by `--student` and a frozen untrained teacher by `--teacher`, embeddings `dim` wide, laid out as
/// the C ABI lays them out.
pub fn pair(dim: i64, device: Device) -> Result<(Network, Teacher)> {
    let head = Head::Projection { hidden: 0, dim };
    let student = Network::new(Architecture::parse(&text("--student", "resnet18"))?, head, 1, device)?;
    student.to_channels_last()?;
    let teacher = Network::new(Architecture::parse(&text("--teacher", "resnet50"))?, head, 2, device)?;
    Ok((student, Teacher::new(teacher)?.into_channels_last()?))
}

/// The value at `share` (0 to 1) of the sorted values.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}

/// Most memory that was resident since the start, or since [`forget_peak`], in MiB.
pub fn peak_mib() -> Result<f64> {
    status_mib("VmHWM:")
}

/// Memory that is resident now, in MiB.
pub fn resident_mib() -> Result<f64> {
    status_mib("VmRSS:")
}

/// Gives unused memory back and makes what is resident now the peak.
pub fn forget_peak() -> Result<()> {
    // SAFETY: malloc_trim only returns free pages to the system.
    unsafe { libc::malloc_trim(0) };
    let path = "/proc/self/clear_refs";
    std::fs::write(path, "5").map_err(|error| Error::io("reset the peak of memory by", path, &error))
}

fn status_mib(key: &str) -> Result<f64> {
    let path = "/proc/self/status";
    let status = std::fs::read_to_string(path).map_err(|error| Error::io("read", path, &error))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("");
    let kib = line.split_whitespace().next().and_then(|number| number.parse::<f64>().ok());
    Ok(kib.ok_or_else(|| Error::invalid(format!("{path} has no number after {key}")))? / 1024.0)
}
