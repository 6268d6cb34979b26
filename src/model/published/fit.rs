//! Where in a file a network lies and whose names it has there.
//!
//! Trainers and parallel containers put prefixes before names (`module.encoder_q.`, `student.backbone.`). A tensor
//! counts for a layout and a prefix if what follows the prefix is, in that layout, a name of the network, and
//! counts double if the shape is the network's too. The pair with the highest count has the network.

use std::collections::{BTreeMap, BTreeSet};

use super::beside::{Beside, beside, is_contrastive, projection};
use super::layout::Layout;
use super::outline::{Outline, Shapes, is_counter};
use super::target::Target;
use crate::error::Result;
use crate::model::vit::square_grid;
use crate::model::weights::Side;
use crate::model::{Architecture, Head, Network};

/// Parts of a name that may be a prefix. Real ones have up to four (`model.module.module.module.`).
const DEEPEST_PREFIX: usize = 8;

/// Files with more tensors than this are not compared with every architecture; the largest networks have about 1,000.
pub(super) const MOST_TENSORS: usize = 50_000;

/// A place in a file where tensors of a network lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fit {
    pub architecture: Architecture,
    pub layout: Layout,
    /// Empty or ending in a dot.
    pub prefix: String,
    /// Tensors of the network that are there with the right shape, the batch norms' counters aside.
    pub fitting: usize,
    /// Tensors that the network needs.
    pub needed: usize,
    /// Tensors below the prefix that are neither the network's nor a head's.
    pub strange: usize,
    /// The head that goes with it.
    pub head: Head,
    /// What its layout is called.
    pub layout_name: &'static str,
}

impl Fit {
    /// Whether the tensors below the prefix are this network's, all of them and no others.
    pub fn is_whole(&self) -> bool {
        self.fitting == self.needed && self.strange == 0
    }

    /// Our name of a tensor of MoCo-v1's head, which has the place of the classifier; None for others.
    pub(super) fn head_of_moco_v1(&self, outline: &Outline, target: &Target) -> Option<String> {
        let leaf = target.name.rsplit('.').next()?;
        let is_head = is_contrastive(&self.prefix) && is_classifier(outline, target);
        is_head.then(|| format!("projection.0.{leaf}"))
    }

    /// Whether the file has such a head.
    pub(super) fn is_moco_v1(&self, outline: &Outline, shapes: &Shapes<'_>) -> bool {
        shapes.keys().any(|name| {
            let target = name.strip_prefix(&*self.prefix).and_then(|rest| self.layout.target(outline, rest));
            target.is_some_and(|target| self.head_of_moco_v1(outline, &target).is_some())
        })
    }

    /// Whether `name`, at whatever place in the file, is a tensor of such a network or one that training keeps beside it: another
    /// network's (MoCo's key encoder, the other of teacher and student), a head's, a queue.
    pub(super) fn knows(&self, outline: &Outline, name: &str) -> bool {
        let starts = std::iter::once(0).chain(name.match_indices('.').map(|(dot, _)| dot + 1));
        starts.map(|start| &name[start..]).any(|rest| {
            let target = self.layout.target(outline, rest);
            target.is_some_and(|target| outline.has(&target.name) || is_classifier(outline, &target))
                || rest.starts_with("projection.")
                || beside(outline.family, rest).is_some()
        })
    }
}

/// The best place for the network; of equal ones that of the wanted side, MoCo's query encoder, then the shortest prefix.
/// `None` where no tensor has a name of the network.
pub(super) fn best(outline: &Outline, shapes: &Shapes<'_>, side: Side) -> Option<Fit> {
    let mut counts: BTreeMap<(&str, Layout), (usize, usize)> = BTreeMap::new();
    for (&name, &shape) in shapes {
        let starts = std::iter::once(0).chain(name.match_indices('.').map(|(dot, _)| dot + 1));
        for start in starts.take(DEEPEST_PREFIX) {
            let (prefix, rest) = name.split_at(start);
            for &layout in Layout::of(outline.family) {
                let Some(target) = layout.target(outline, rest) else { continue };
                let Some(expected) = outline.shape(&target.name) else { continue };
                // A third counts as a tensor only once.
                if target.third.is_some_and(|third| third != 0) || is_counter(&target.name) {
                    continue;
                }
                let (fitting, named) = counts.entry((prefix, layout)).or_default();
                *fitting += usize::from(fits(&target, shape, expected));
                *named += 1;
            }
        }
    }
    let rank = |prefix: &str, layout: Layout, (fitting, named): (usize, usize)| {
        let (turn, length) = (std::cmp::Reverse(layout), std::cmp::Reverse(prefix.len()));
        (fitting + named, turn, preference(prefix, side), length)
    };
    let ((prefix, layout), (fitting, _)) =
        counts.into_iter().max_by_key(|&((prefix, layout), count)| rank(prefix, layout, count))?;
    let below = shapes.keys().filter_map(|name| name.strip_prefix(prefix));
    let known = |rest: &str| {
        layout.target(outline, rest).is_some_and(|target| outline.has(&target.name) || is_classifier(outline, &target))
            || beside(outline.family, rest).is_some()
    };
    let strange = below.filter(|rest| !known(rest)).count();
    let (architecture, needed) = (outline.architecture, outline.needed());
    let layout_name = layout.name(outline.family);
    let prefix = prefix.to_owned();
    let mut fit = Fit { architecture, layout, prefix, fitting, needed, strange, head: Head::None, layout_name };
    fit.head = head(outline, &fit, shapes);
    Some(fit)
}

fn is_classifier(outline: &Outline, target: &Target) -> bool {
    let rest = target.name.strip_prefix(outline.architecture.family().classifier_key);
    rest.is_some_and(|rest| matches!(rest, ".weight" | ".bias"))
}

/// How much a place that is as good as another is wanted: 3 for the side's own network, 0 for the other side's.
fn preference(prefix: &str, side: Side) -> u32 {
    let part = |names: &[&str]| prefix.split('.').any(|part| names.contains(&part));
    let (own, other) = match side {
        Side::Teacher => ("teacher", "student"),
        Side::Student => ("student", "teacher"),
    };
    if part(&[own]) {
        3
    } else if part(&[other]) {
        0
    } else if part(&["encoder_q", "base_encoder", "online_encoder"]) {
        // What MoCo publishes and evaluates, not its moving average.
        2
    } else {
        1
    }
}

/// Whether a file's tensor has the shape that becomes `expected`.
pub(super) fn fits(target: &Target, found: &[usize], expected: &[usize]) -> bool {
    if target.third.is_some() {
        return match (found, expected) {
            ([rows, found @ ..], [all, expected @ ..]) => rows.checked_mul(3) == Some(*all) && found == expected,
            _ => false,
        };
    }
    if target.name == "pos_embed"
        && let (&[1, count, width], &[1, _, wanted]) = (found, expected)
    {
        // Positions of any square grid; see positions.rs.
        return width == wanted && square_grid(count).is_some();
    }
    found == expected || matrix(found) == matrix(expected)
}

/// A linear layer's shape also where it is written as a 1×1 convolution; other shapes are their own.
fn matrix(shape: &[usize]) -> &[usize] {
    match shape {
        [_, _, 1, 1] => &shape[..2],
        _ => shape,
    }
}

/// The head that goes with a network in the file: a projection that can be built, MoCo-v1's, or the classifier.
fn head(outline: &Outline, fit: &Fit, shapes: &Shapes<'_>) -> Head {
    let below = || shapes.iter().filter_map(|(name, &shape)| Some((name.strip_prefix(&*fit.prefix)?, shape)));
    let layers = below().filter_map(|(rest, shape)| match beside(outline.family, rest)? {
        Beside::Projection(_) => Some((rest.split_once('.')?.1, shape)),
        Beside::Aside => None,
    });
    if let Some(head) = projection(&layers.collect(), outline.architecture.feature_dim()) {
        return head;
    }
    let key = format!("{}.weight", outline.architecture.family().classifier_key);
    let weight = below().find(|(rest, _)| fit.layout.target(outline, rest).is_some_and(|target| target.name == key));
    match weight {
        Some((_, &[dim, input])) if is_contrastive(&fit.prefix) => match (i64::try_from(dim), i64::try_from(input)) {
            (Ok(dim), Ok(input)) if input == outline.architecture.feature_dim() => Head::LinearProjection { dim },
            _ => Head::None,
        },
        Some((_, &[classes, _])) => i64::try_from(classes).map_or(Head::None, |classes| Head::Classifier { classes }),
        _ => Head::None,
    }
}

/// Every network that lies whole in the file, on either side, smallest first. Empty too where there are too many tensors to
/// compare.
pub(crate) fn whole_networks(shapes: &Shapes<'_>) -> Result<Vec<Fit>> {
    let mut found: Vec<Fit> = every_best(shapes)?.into_iter().filter(Fit::is_whole).collect();
    found.sort_by_key(|fit| fit.needed);
    Ok(found)
}

/// Of each architecture its best places in the file, one for each side where these differ.
pub(crate) fn every_best(shapes: &Shapes<'_>) -> Result<Vec<Fit>> {
    let mut found: Vec<Fit> = Vec::new();
    if shapes.len() > MOST_TENSORS {
        return Ok(found);
    }
    for &architecture in Architecture::all() {
        let outline = Outline::of(&Network::shape_only(architecture, Head::None, 3)?);
        let mut places = BTreeSet::new();
        for side in [Side::Student, Side::Teacher] {
            if let Some(fit) = best(&outline, shapes, side)
                && places.insert(fit.prefix.clone())
            {
                found.push(fit);
            }
        }
    }
    Ok(found)
}

/// "the weights are those of a resnet34 (under …)", for a file that does not fit what was asked for.
pub(super) fn hint(asked: Architecture, shapes: &Shapes<'_>) -> Result<Option<String>> {
    let others = whole_networks(shapes)?;
    let mut names: Vec<String> = Vec::new();
    for fit in others.iter().filter(|fit| fit.architecture != asked) {
        let under = if fit.prefix.is_empty() { String::new() } else { format!(" under \"{}\"", fit.prefix) };
        names.push(format!("{}{under}", fit.architecture));
    }
    Ok((!names.is_empty()).then(|| format!("the weights are those of {}", names.join(" or of "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wanted_side_comes_first_and_moco_gives_its_query_encoder() {
        assert!(preference("module.student.", Side::Student) > preference("module.teacher.", Side::Student));
        assert!(preference("module.student.", Side::Teacher) < preference("module.teacher.", Side::Teacher));
        assert!(preference("module.encoder_q.", Side::Teacher) > preference("module.encoder_k.", Side::Teacher));
        assert!(preference("module.", Side::Student) > preference("teacher.backbone.", Side::Student));
    }

    #[test]
    fn shapes_fit_as_thirds_and_as_convolutions_of_one_pixel() {
        let target = |name: &str, third| Target { name: name.to_owned(), third };
        assert!(fits(&target("a", Some(1)), &[4, 4], &[12, 4]) && !fits(&target("a", Some(1)), &[12, 4], &[12, 4]));
        assert!(fits(&target("a", None), &[8, 4, 1, 1], &[8, 4]) && !fits(&target("a", None), &[8, 4], &[4, 8]));
        assert!(!fits(&target("a", None), &[8, 4, 3, 3], &[8, 4]));
        for count in [4, 5, 9, 10, 577] {
            assert!(fits(&target("pos_embed", None), &[1, count, 8], &[1, 5, 8]), "{count}");
        }
        for count in [0, 1, 3, 6, 578] {
            assert!(!fits(&target("pos_embed", None), &[1, count, 8], &[1, 5, 8]), "{count}");
        }
        assert!(!fits(&target("pos_embed", None), &[1, 5, 9], &[1, 5, 8]));
    }
}
