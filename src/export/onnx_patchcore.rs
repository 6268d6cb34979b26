//! PatchCore's patches, distances and score as ONNX nodes: the formulas of [`crate::infer::anomaly`].
//!
//! | step | nodes |
//! |---|---|
//! | patches | AveragePool 3×3 of each map, enlarged to the first, Concat, Reshape, Transpose: (B, N, D) |
//! | nearest of the memory | Gemm ‖m‖² − 2·p·m, ArgMin |
//! | its distance | Gather, Sub, ReduceSumSquare, Sqrt: (B, N) |
//! | weight of the score | the memory's rows nearest to m* by Gemm and TopK, then exactly; Softmax of their distances to p* |
//! | heat map | the distances enlarged and blurred |
//!
//! The sum by Gemm loses digits where both rows are close, so it chooses rows only. Every distance is taken anew from the difference of
//! two rows and is never the root of a number below 0.

use tch::{Kind, Tensor};

use super::detector::FeatureMap;
use crate::error::{Error, Result};
use crate::infer::anomaly::Settings;
use crate::onnx::Writer;
use crate::onnx::proto::Attribute;

/// Numbers of one block of distances for one image: 32 MiB of float32.
const BLOCK: i64 = 8 << 20;

impl Writer {
    /// Makes "score" (B) and "map" (B, H, W) of feature maps and a memory (M, D).
    pub(super) fn patchcore(
        &mut self,
        maps: &[FeatureMap],
        memory: &Tensor,
        settings: &Settings,
        size: (i64, i64),
    ) -> Result<()> {
        let first = maps.first().ok_or_else(|| Error::invalid("patches need at least one feature map"))?;
        let (height, width) = first.size;
        let (held, dim) = memory.size2()?;
        let patches = self.patches_of(maps, (height, width), dim)?;
        let rows = Rows {
            squares: {
                let squares = memory.f_mul(memory)?.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?;
                self.weights("memory_squares".to_owned(), &squares, &[held])?
            },
            memory: self.weights("memory".to_owned(), memory, &[held, dim])?,
            held,
            dim,
        };
        let (distances, numbers) = self.nearest(&patches, height * width, &rows)?;
        self.patch_score(&patches, &distances, &numbers, &rows, i64::from(settings.neighbours))?;
        let grid = self.integers("grid", &[-1, height, width], &[3]);
        let grid = self.node("Reshape", &[&distances, &grid], "distance_map", Vec::new());
        let heat = self.enlarged(&grid, (height, width), size, settings.blur_sigma, "heat")?;
        self.node("Identity", &[&heat], "map", Vec::new());
        Ok(())
    }

    /// Locally aware patch features (B, h·w, D).
    fn patches_of(&mut self, maps: &[FeatureMap], size: (i64, i64), dim: i64) -> Result<String> {
        let mut levels = Vec::with_capacity(maps.len());
        for (number, map) in maps.iter().enumerate() {
            let around = vec![
                Attribute::int("count_include_pad", 1),
                Attribute::ints("kernel_shape", &[3, 3]),
                Attribute::ints("pads", &[1; 4]),
                Attribute::ints("strides", &[1, 1]),
            ];
            let smooth = self.node("AveragePool", &[&map.name], &format!("smooth{number}"), around);
            levels.push(self.enlarged(&smooth, map.size, size, 0.0, &format!("level{number}"))?);
        }
        debug_assert_eq!(maps.iter().map(|map| map.channels).sum::<i64>(), dim);
        let levels: Vec<&str> = levels.iter().map(String::as_str).collect();
        let planes = self.node("Concat", &levels, "patch_planes", vec![Attribute::int("axis", 1)]);
        let flat = self.integers("patch_shape", &[-1, dim, size.0 * size.1], &[3]);
        let flat = self.node("Reshape", &[&planes, &flat], "patch_columns", Vec::new());
        Ok(self.node("Transpose", &[&flat], "patches", vec![Attribute::ints("perm", &[0, 2, 1])]))
    }

    /// For each of the patches (B, N, D) the distance to its nearest row of the memory, and that row's number: both (B, N).
    fn nearest(&mut self, patches: &str, count: i64, rows: &Rows) -> Result<(String, String)> {
        let length = (BLOCK / rows.held.max(1)).clamp(1, count.max(1));
        let (mut squares, mut numbers) = (Vec::new(), Vec::new());
        for start in (0..count).step_by(length as usize) {
            let own = length.min(count - start);
            let name = |what: &str| if own == count { what.to_owned() } else { format!("{what}{start}") };
            let mut block = patches.to_owned();
            if own < count {
                let [from, to] = [start, start + own].map(|place| self.integers(&format!("at{place}"), &[place], &[1]));
                let axis = self.integers("axis1", &[1], &[1]);
                block = self.node("Slice", &[&block, &from, &to, &axis], &name("patch_block"), Vec::new());
            }
            let shape = self.integers("patch_rows_shape", &[-1, rows.dim], &[2]);
            let block = self.node("Reshape", &[&block, &shape], &name("patch_rows"), Vec::new()); // (B·n, D)
            let rest = self.unshifted(&block, rows, &name("patch_rest"));
            let along = vec![Attribute::int("axis", 1), Attribute::int("keepdims", 0)];
            let number = self.node("ArgMin", &[&rest], &name("nearest_of_rows"), along);
            let held = self.node("Gather", &[&rows.memory, &number], &name("nearest_rows"), Vec::new());
            let square = self.square(&block, &held, 1, &name("nearest_square"));
            let shape = self.integers(&format!("block_of{own}"), &[-1, own], &[2]);
            squares.push(self.node("Reshape", &[&square, &shape], &name("patch_squares"), Vec::new()));
            numbers.push(self.node("Reshape", &[&number, &shape], &name("patch_numbers"), Vec::new()));
        }
        let mut joined = |parts: &[String], output: &str| {
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            self.node("Concat", &parts, output, vec![Attribute::int("axis", 1)])
        };
        let (squares, numbers) = (joined(&squares, "squares"), joined(&numbers, "numbers"));
        Ok((self.node("Sqrt", &[&squares], "distances", Vec::new()), numbers))
    }

    /// ‖a − m‖² − ‖a‖² of rows a (n, D) and each row m of the memory: (n, M).
    fn unshifted(&mut self, a: &str, rows: &Rows, output: &str) -> String {
        let attributes = vec![Attribute::float("alpha", -2.0), Attribute::int("transB", 1)];
        self.node("Gemm", &[a, &rows.memory, &rows.squares], output, attributes)
    }

    /// ‖a − b‖² over the axis `axis`.
    fn square(&mut self, a: &str, b: &str, axis: i64, output: &str) -> String {
        let apart = self.node("Sub", &[a, b], &format!("{output}_apart"), Vec::new());
        let attributes = vec![Attribute::ints("axes", &[axis]), Attribute::int("keepdims", 0)];
        self.node("ReduceSumSquare", &[&apart], output, attributes)
    }

    /// "score" (B): the highest distance, weighted by how far the neighbourhood of its row lies.
    fn patch_score(
        &mut self,
        patches: &str,
        distances: &str,
        numbers: &str,
        rows: &Rows,
        neighbours: i64,
    ) -> Result<()> {
        let neighbours = neighbours.min(rows.held);
        let highest = vec![Attribute::ints("axes", &[1]), Attribute::int("keepdims", 0)];
        if neighbours < 2 {
            self.node("ReduceMax", &[distances], "score", highest);
            return Ok(());
        }
        let highest = self.node("ReduceMax", &[distances], "highest", highest); // (B)
        let along = vec![Attribute::int("axis", 1), Attribute::int("keepdims", 1)];
        let place = self.node("ArgMax", &[distances], "place", along); // (B, 1)
        let batched = || vec![Attribute::int("batch_dims", 1)];
        let patch = self.node("GatherND", &[patches, &place], "patch", batched()); // p*, (B, D)
        let number = self.node("GatherND", &[numbers, &place], "number", batched()); // (B)
        let centre = self.node("Gather", &[&rows.memory, &number], "centre", Vec::new()); // m*, (B, D)
        // More than are needed, of which the exact distances choose.
        let candidates = (2 * neighbours + 8).min(rows.held);
        let rest = self.unshifted(&centre, rows, "centre_rest");
        let near = self.smallest(&rest, candidates, "candidates");
        let near = self.node("Gather", &[&rows.memory, &near], "candidate_rows", Vec::new()); // (B, c, D)
        let one = self.integers("one_row", &[-1, 1, rows.dim], &[3]);
        let centre = self.node("Reshape", &[&centre, &one], "centre_row", Vec::new());
        let patch = self.node("Reshape", &[&patch, &one], "patch_row", Vec::new());
        let from_centre = self.square(&near, &centre, 2, "from_centre"); // (B, c)
        let away = self.square(&near, &patch, 2, "away_square");
        let away = self.node("Sqrt", &[&away], "away", Vec::new());
        // m* comes first, at distance 0 of itself.
        let chosen = self.smallest(&from_centre, neighbours, "neighbours"); // (B, b)
        let away = self.node("GatherElements", &[&away, &chosen], "away_chosen", vec![Attribute::int("axis", 1)]);
        let shares = self.node("Softmax", &[&away], "shares", vec![Attribute::int("axis", 1)]);
        let zero = self.integers("number0", &[0], &[]);
        let share = self.node("Gather", &[&shares, &zero], "share", vec![Attribute::int("axis", 1)]);
        let one = self.scalar("one", 1.0)?;
        let weight = self.node("Sub", &[&one, &share], "weight", Vec::new());
        self.node("Mul", &[&weight, &highest], "score", Vec::new());
        Ok(())
    }

    /// The places of the `count` smallest numbers of each row, the smallest first.
    fn smallest(&mut self, rows: &str, count: i64, output: &str) -> String {
        let many = self.integers(&format!("many{count}"), &[count], &[1]);
        let attributes = vec![Attribute::int("axis", 1), Attribute::int("largest", 0), Attribute::int("sorted", 1)];
        self.node_of("TopK", &[rows, &many], &[&format!("{output}_values"), output], attributes);
        output.to_owned()
    }
}

/// A memory (M, D) in the graph.
struct Rows {
    memory: String,
    /// ‖m‖² of each row, (M).
    squares: String,
    held: i64,
    dim: i64,
}
