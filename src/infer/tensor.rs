//! Embeddings of images that are a tensor already, on any device, without a way through main memory.

use tch::{Device, Kind, Tensor};

use super::Session;
use crate::data::render::padding;
use crate::data::{Input, Placement, Roi};
use crate::error::{Error, Result};
use crate::{finite, torch};

impl Session {
    /// Rows (B, [`dim`](Session::dim)), float32, on the session's device, of a batch of
    /// - bytes (B, H, W, C), C 1 or 3 (red, green, blue): resized and normalised as frames are, on their device; or
    /// - floating-point numbers (B, 3, height, width) of the session's size, (B, 1, height, width) where its network is grey:
    ///   taken as they are, normalised already.
    ///
    /// # Errors
    /// `InvalidArgument` for another type or shape; `Mismatch` where the network gives NaN or infinity; `OutOfMemory` or `Torch` from libtorch.
    pub fn embed_tensor(&self, images: &Tensor) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        let (height, width) = (i64::from(self.input.height), i64::from(self.input.width));
        let channels = i64::from(self.input.channels);
        let size = images.size();
        let images = match (images.kind(), size.as_slice()) {
            (Kind::Uint8, &[batch, h, w, c]) if batch > 0 && h > 0 && w > 0 && (c == 1 || c == 3) => {
                seen(images, &self.input)?
            }
            (Kind::Float | Kind::Half | Kind::BFloat16, &[batch, c, h, w])
                if batch > 0 && (c, h, w) == (channels, height, width) =>
            {
                images.f_to_kind(Kind::Float)?
            }
            (kind, _) => {
                return Err(Error::invalid(format!(
                    "the images are {kind:?} {size:?}, expected Uint8 (B, H, W, 1 or 3) or Float, Half or BFloat16 (B, {channels}, \
                     {height}, {width})"
                )));
            }
        };
        let images = if images.device() == self.plan.device() || images.device() == Device::Cpu {
            images
        } else {
            torch::copy_to(&images, self.plan.device())?
        };
        let names = |row: usize| format!("image {row} of the tensor");
        let rows = self.plan.run(&images, self.dim, &names)?;
        finite::check_entries(&rows, || self.who(), &names)?;
        Ok(rows)
    }
}

/// Byte images (B, H, W, C) as normalised views (B, 3, height, width), or grey (B, 1, height, width): what `render_frame` draws, on
/// any device.
fn seen(images: &Tensor, input: &Input) -> Result<Tensor> {
    let cut;
    let mut images = images;
    if !input.roi.is_none() {
        let (_, h, w, _) = images.size4()?;
        let side = |side: i64| u32::try_from(side).map_err(|_| Error::invalid(format!("{side} is too large a side")));
        let part = input.roi.within(side(w)?, side(h)?)?;
        let [left, top, width, height] = [part.left, part.top, part.width, part.height].map(i64::from);
        cut = images.f_narrow(1, top, height)?.f_narrow(2, left, width)?;
        images = &cut;
    }
    let (_, h, w, _) = images.size4()?;
    let side = |side: i64| u32::try_from(side).map_err(|_| Error::invalid(format!("{side} is too large a side")));
    let Placement { source: [left, top, across, down], target: [to_left, to_top, to_w, to_h] } =
        Input { roi: Roi::NONE, ..*input }.placement(side(w)?, side(h)?)?;
    // The whole pixels around the part, with as many beside it as the filter reaches over.
    let reach = |part: f64, to: u32| (part / f64::from(to)).max(1.0).ceil() as i64 + 1;
    let (reach_x, reach_y) = (reach(across, to_w), reach(down, to_h));
    let start_x = (left.floor() as i64 - reach_x).max(0);
    let start_y = (top.floor() as i64 - reach_y).max(0);
    let end_x = ((left + across).ceil() as i64 + reach_x).min(w);
    let end_y = ((top + down).ceil() as i64 + reach_y).min(h);
    let _exact = torch::ExactFloat32::enter()?; // whole levels must come out as whole levels
    let part = images.f_narrow(1, start_y, end_y - start_y)?.f_narrow(2, start_x, end_x - start_x)?;
    let weights = |start: f64, length: f64, from: i64, source: i64, to: u32| {
        filter(start - from as f64, length, source, i64::from(to), images.device())
    };
    let rows = weights(top, down, start_y, end_y - start_y, to_h)?; // (height, h)
    let columns = weights(left, across, start_x, end_x - start_x, to_w)?; // (width, w)
    let levels = part.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?; // (B, C, h, w)
    // Whole levels after each direction, as resizing in bytes has them; across first.
    let levels = levels.f_matmul(&columns.f_tr()?)?.f_round()?;
    let levels = rows.f_matmul(&levels)?.f_round()?.f_clamp(0.0, 255.0)?;
    let levels = if input.channels == 1 { grey(&levels)? } else { levels };
    let levels = if (to_w, to_h) == (input.width, input.height) {
        levels
    } else {
        // A grey image gets the padding's colours.
        let padding: Vec<f32> = padding(input).into_iter().map(f32::from).collect();
        let sides = [images.size()[0], padding.len() as i64, i64::from(input.height), i64::from(input.width)];
        let padding = torch::copy_to(&Tensor::f_from_slice(&padding)?.f_view([1, -1, 1, 1])?, images.device())?;
        let padded = padding.f_expand(sides, false)?.f_contiguous()?;
        let mut inside =
            padded.f_narrow(2, i64::from(to_top), i64::from(to_h))?.f_narrow(3, i64::from(to_left), i64::from(to_w))?;
        inside.f_copy_(&levels)?;
        padded
    };
    if input.channels == 1 {
        let (mean, std) = input.grey_normal();
        return Ok(levels.f_div_scalar(255.0)?.f_sub_scalar(mean)?.f_div_scalar(std)?);
    }
    let number = |values: [f64; 3]| {
        torch::copy_to(&Tensor::f_from_slice(&values.map(|v| v as f32))?.f_view([1, 3, 1, 1])?, images.device())
    };
    Ok(levels.f_div_scalar(255.0)?.f_sub(&number(input.mean)?)?.f_div(&number(input.std)?)?)
}

/// (B, 3, h, w) levels → (B, 1, h, w): ITU-R 601's grey in 16-bit fixed point, as the loader's; one channel is its own.
fn grey(levels: &Tensor) -> Result<Tensor> {
    if levels.size()[1] == 1 {
        return Ok(levels.shallow_clone());
    }
    let weighted = |c: i64, weight: f64| levels.f_narrow(1, c, 1)?.f_mul_scalar(weight);
    let sum = weighted(0, 19_595.0)?.f_add(&weighted(1, 38_470.0)?)?.f_add(&weighted(2, 7_471.0)?)?;
    Ok(sum.f_add_scalar(32_768.0)?.f_mul_scalar(1.0 / 65_536.0)?.f_floor()?)
}

/// (to, from): the triangle filter that turns `from` pixels into `to`, which show [start, start + length) of them; wide
/// enough that every pixel counts when it shrinks, as PIL's bilinear.
fn filter(start: f64, length: f64, from: i64, to: i64, device: Device) -> Result<Tensor> {
    let scale = length / to as f64;
    let support = scale.max(1.0);
    let options = (Kind::Double, Device::Cpu);
    let middles = Tensor::f_arange(to, options)?.f_add_scalar(0.5)?.f_mul_scalar(scale)?.f_add_scalar(start)?;
    let pixels = Tensor::f_arange(from, options)?.f_add_scalar(0.5)?;
    let away = middles.f_view([to, 1])?.f_sub(&pixels.f_view([1, from])?)?.f_abs()?.f_div_scalar(support)?;
    let weights = away.f_neg()?.f_add_scalar(1.0)?.f_clamp_min(0.0)?;
    let weights = weights.f_div(&weights.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Double)?)?;
    torch::copy_to(&weights.f_to_kind(Kind::Float)?, device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::render::render_frame;
    use crate::data::{Frame, FrameView, PixelFormat, Resize, Scratch};
    use crate::infer::{Output, SessionOptions};
    use crate::model::{Architecture, Head, Network};

    fn pattern(width: i64, height: i64, channels: i64) -> Vec<u8> {
        (0..width * height * channels).map(|i| ((i * 37 % 251) ^ (i / 97 % 64)) as u8).collect()
    }

    #[test]
    fn bytes_are_drawn_as_frames_are() {
        for resize in [Resize::Whole, Resize::Letterbox, Resize::Centre] {
            let view = Input { width: 48, height: 40, resize, ..Input::default() };
            for (width, height, channels) in [(200, 130, 3), (61, 90, 1), (30, 20, 3), (48, 40, 3), (1000, 47, 1)] {
                for grey in [1, 3] {
                    let view = Input { channels: grey, ..view };
                    let pixels = pattern(width, height, channels);
                    let frame = Frame::new(width as u32, height as u32, channels as u8, pixels.clone()).unwrap();
                    let mut drawn = vec![0f32; view.view_len()];
                    render_frame(&frame, &view, &mut drawn, &mut Scratch::new()).unwrap();
                    let drawn = Tensor::from_slice(&drawn).view([1, 40, 48, i64::from(grey)]).permute([0, 3, 1, 2]);
                    let images = Tensor::from_slice(&pixels).view([1, height, width, channels]);
                    let apart = (seen(&images, &view).unwrap() - drawn).abs().max().double_value(&[]);
                    // Less than two levels of 255, with the smallest deviation.
                    assert!(apart < 2.0 / 255.0 / 0.224, "{resize:?} {width}×{height}×{channels}: {apart}");
                }
            }
        }
    }

    #[test]
    fn both_forms_give_the_frames_rows() {
        let head = Head::Projection { hidden: 0, dim: 16 };
        let network = Network::new(Architecture::ResNet18, head, 7, Device::Cpu).unwrap();
        let view = Input { width: 32, height: 32, ..Input::default() };
        let session = Session::new(&network, &view, SessionOptions { output: Output::Features, ..Default::default() });
        let session = session.unwrap();
        let pixels = pattern(50, 60, 3);
        let frame = FrameView::new(&pixels, 50, 60, 150, PixelFormat::Rgb8).unwrap();
        let row = Tensor::from_slice(&session.embed(&[frame]).unwrap());
        let bytes = Tensor::from_slice(&pixels).view([1, 60, 50, 3]);
        let twice = Tensor::cat(&[&bytes, &bytes], 0);
        let numbers = seen(&bytes, &view).unwrap();
        for images in [bytes, twice, numbers] {
            let found = session.embed_tensor(&images).unwrap();
            assert_eq!(found.size(), [images.size()[0], session.dim() as i64]);
            let cosine = Tensor::cosine_similarity(&found.select(0, 0), &row, 0, 1e-12).double_value(&[]);
            assert!(cosine > 0.9999, "{cosine}");
        }
        for wrong in [Tensor::zeros([1, 3, 33, 32], (Kind::Float, Device::Cpu)), Tensor::from_slice(&[1u8, 2])] {
            assert_eq!(session.embed_tensor(&wrong).unwrap_err().kind(), crate::ErrorKind::InvalidArgument);
        }
    }
}
