//! A student as an ONNX graph, with what is asked for before and behind it.

use super::Options;
use super::outputs::outputs;
use crate::error::Result;
use crate::model::Network;
use crate::model::student_file::StudentHeader;
use crate::onnx::Writer;
use crate::onnx::proto::{FLOAT, Graph, ValueInfo};
use crate::torch::fused::Value;

/// `network` in eval mode, with what `options` ask for before and behind it.
///
/// # Errors
/// `Unsupported` for an operation that is not known here, naming it, and for 2 GB of weights and more.
pub(super) fn graph(network: &Network, header: &StudentHeader, options: &Options) -> Result<Graph> {
    let (operations, wanted) = outputs(network, header, options.outputs)?;
    let mut writer = Writer::new(&header.input, options.input)?;
    let values: Vec<Value> = wanted.iter().map(|output| output.value).collect();
    let values = writer.network(&operations, "", &values)?;
    let mut infos = Vec::with_capacity(wanted.len());
    for (output, value) in wanted.iter().zip(values) {
        if output.unit_rows {
            writer.unit_rows(&value, output.name)?;
        } else {
            writer.node("Identity", &[&value], output.name, Vec::new());
        }
        infos.push(ValueInfo::batch_of(output.name, FLOAT, &output.sides));
    }
    Ok(writer.finish(network.architecture().name(), infos))
}
