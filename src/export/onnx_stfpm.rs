//! Student–teacher feature pyramid matching as ONNX nodes: the formulas of [`crate::infer::anomaly::stfpm`].
//!
//! | step | nodes |
//! |---|---|
//! | unit vectors over channels | ReduceL2, Max with 1e-12, Div |
//! | discrepancy | Sub, ReduceSumSquare, Mul with ½: (B, 1, h, w) |
//! | map | each enlarged to the image, Mul, Reshape |
//! | score | ReduceMax |

use super::detector::FeatureMap;
use crate::error::{Error, Result};
use crate::onnx::Writer;
use crate::onnx::proto::Attribute;

impl Writer {
    /// Makes "score" (B) and "map" (B, H, W) of the feature maps of the backbone and of the network that learned them.
    pub(super) fn stfpm(
        &mut self,
        teacher: &[FeatureMap],
        student: &[FeatureMap],
        (height, width): (i64, i64),
    ) -> Result<()> {
        let mut product: Option<String> = None;
        for (number, (of_teacher, of_student)) in teacher.iter().zip(student).enumerate() {
            let [a, b] = [("teacher", of_teacher), ("student", of_student)]
                .map(|(who, map)| self.unit_rows(&map.name, &format!("{who}_unit{number}")));
            let apart = self.node("Sub", &[&a?, &b?], &format!("apart{number}"), Vec::new());
            let over = vec![Attribute::ints("axes", &[1]), Attribute::int("keepdims", 1)];
            let square = self.node("ReduceSumSquare", &[&apart], &format!("apart_square{number}"), over);
            let half = self.scalar("half", 0.5)?;
            let small = self.node("Mul", &[&square, &half], &format!("discrepancy{number}"), Vec::new());
            let large = self.enlarged(&small, of_teacher.size, (height, width), 0.0, &format!("large{number}"))?;
            product = Some(match product {
                Some(product) => self.node("Mul", &[&product, &large], &format!("product{number}"), Vec::new()),
                None => large,
            });
        }
        let product = product.ok_or_else(|| Error::invalid("there is no feature map to compare"))?;
        let shape = self.integers("map_shape", &[-1, height, width], &[3]);
        self.node("Reshape", &[&product, &shape], "map", Vec::new());
        let over = vec![Attribute::ints("axes", &[1, 2]), Attribute::int("keepdims", 0)];
        self.node("ReduceMax", &["map"], "score", over);
        Ok(())
    }
}
