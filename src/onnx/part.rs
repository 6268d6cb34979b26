//! A part of a graph: what some of its outputs need.

use std::collections::BTreeSet;

use super::proto::Graph;

impl Graph {
    /// The graph that gives only the outputs of these names, without the nodes and weights that they do not need. Weights are shared,
    /// not copied.
    pub fn part(&self, outputs: &[&str]) -> Graph {
        let mut needed: BTreeSet<&str> = outputs.iter().copied().collect();
        let mut node = Vec::new();
        for next in self.node.iter().rev() {
            if next.output.iter().any(|output| needed.contains(output.as_str())) {
                needed.extend(next.input.iter().map(String::as_str));
                node.push(next.clone());
            }
        }
        node.reverse();
        Graph {
            node,
            name: self.name.clone(),
            initializer: self
                .initializer
                .iter()
                .filter(|weights| needed.contains(weights.name.as_str()))
                .cloned()
                .collect(),
            input: self.input.clone(),
            output: self.output.iter().filter(|output| outputs.contains(&output.name.as_str())).cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::proto::{FLOAT, Node, ValueInfo, Weights};
    use super::*;

    #[test]
    fn a_part_has_what_its_outputs_need() {
        let node = |input: &[&str], output: &str| Node {
            input: input.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            ..Node::default()
        };
        let weights = |name: &str| Weights { name: name.to_owned(), data_type: FLOAT, ..Weights::default() };
        let whole = Graph {
            node: vec![node(&["images", "v"], "map"), node(&["map", "w"], "row")],
            initializer: vec![weights("v"), weights("w")],
            input: vec![ValueInfo::batch_of("images", FLOAT, &[3])],
            output: vec![ValueInfo::batch_of("map", FLOAT, &[3]), ValueInfo::batch_of("row", FLOAT, &[3])],
            ..Graph::default()
        };
        let part = whole.part(&["map"]);
        assert_eq!((&part.node[..], &part.initializer[..]), (&whole.node[..1], &whole.initializer[..1]));
        assert_eq!((&part.output[..], &part.input), (&whole.output[..1], &whole.input));
        assert_eq!(whole.part(&["map", "row"]), whole);
    }
}
