//! Views a second of one core: each image file is read, decoded and made into an augmented view, as a thread of the loader
//! does it, with no frame kept. The counterpart is `views_torchvision.py`.

mod program;

use std::path::PathBuf;
use std::time::Instant;

use program::{number, text};
use seed::data::random::{Purpose, generator, permutation};
use seed::data::render::render;
use seed::data::{Dataset, Input, Scratch, ViewConfig, ViewParams};

/// Views before the clock counts.
const WARM_UP: usize = 20;

fn main() -> seed::Result<()> {
    let size = number("--size", 224)?;
    let config = ViewConfig::from(Input { width: size, height: size, ..Input::default() });
    let dataset = Dataset::from_folder(&PathBuf::from(text("--data", "")))?;
    dataset.set_cache_bytes(0);
    let order = permutation(0, 0, dataset.len());
    let mut view = vec![0f32; config.input.view_len()];
    let mut scratch = Scratch::new();
    let count = number("--views", 1000usize)?.max(1);
    let mut start = Instant::now();
    for (n, &index) in order.iter().cycle().take(WARM_UP + count).enumerate() {
        if n == WARM_UP {
            start = Instant::now();
        }
        let frame = dataset.load(index)?;
        let mut random = generator(0, (n / order.len()) as u64, index as u64, Purpose::View);
        let params = ViewParams::sample(&config, frame.width(), frame.height(), &mut random);
        render(&frame, &params, &config, &mut view, &mut scratch)?;
    }
    println!("{{\"views_per_s\": {:.2}}}", count as f64 / start.elapsed().as_secs_f64());
    Ok(())
}
