//! SGD with momentum and weight decay, fused over all parameters, as torch.optim.SGD computes it:
//! v ← μ·v + g + λ·p (first step: v ← g + λ·p), p ← p − lr·v.

use tch::Tensor;

use super::lars;
use crate::torch::{self, SgdStep};
use crate::{Error, Result};

/// The optimiser of a fixed list of parameters. Its state, the velocities, can be read and put back.
#[derive(Debug)]
pub struct Sgd {
    names: Vec<String>,
    parameters: Vec<Tensor>,
    velocities: Vec<Tensor>,
    momentum: f64,
    weight_decay: f64,
    /// Whether [`lars`] scales the gradients first.
    lars: bool,
    steps: u64,
}

impl Sgd {
    /// Over named `parameters`; SEED uses momentum .9 and weight decay 1e-4 (Fang et al., 2021, §4.1).
    pub fn new(parameters: Vec<(String, Tensor)>, momentum: f64, weight_decay: f64) -> Result<Self> {
        let _no_grad = tch::no_grad_guard();
        let velocities =
            parameters.iter().map(|(_, p)| p.f_zeros_like()).collect::<std::result::Result<Vec<_>, _>>()?;
        let (names, parameters) = parameters.into_iter().unzip();
        Ok(Self { names, parameters, velocities, momentum, weight_decay, lars: false, steps: 0 })
    }

    /// As [`new`](Sgd::new), with each gradient scaled as [`lars`] has it.
    pub fn lars(parameters: Vec<(String, Tensor)>, momentum: f64, weight_decay: f64) -> Result<Self> {
        Ok(Self { lars: true, ..Self::new(parameters, momentum, weight_decay)? })
    }

    /// One step with the gradients that the last backward pass left; they are dropped.
    pub fn step(&mut self, learning_rate: f64) -> Result<()> {
        let mut weight_decay = self.weight_decay;
        if self.lars {
            lars::adapt(&self.parameters, weight_decay)?;
            weight_decay = 0.0;
        }
        let hyper = SgdStep { learning_rate, weight_decay, momentum: self.momentum, first: self.steps == 0 };
        torch::fused_sgd(&self.parameters, &self.velocities, hyper)?;
        self.steps += 1;
        Ok(())
    }

    /// Scales the gradients so that their common L2 norm is at most `max_norm` (torch.nn.utils.clip_grad_norm_). Gives the
    /// norm before, 0-dim, unread.
    pub fn clip_gradients(&self, max_norm: f64) -> Result<Tensor> {
        torch::clip_gradients(&self.parameters, max_norm)
    }

    /// The parameters that this optimiser updates, in the order of [`velocities`](Sgd::velocities).
    pub fn parameters(&self) -> &[Tensor] {
        &self.parameters
    }

    /// Forgets the gradients, after a step that could not be finished.
    pub fn drop_gradients(&self) -> Result<()> {
        torch::drop_gradients(&self.parameters)
    }

    /// Steps made so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The velocities by the name of their parameter, same shapes.
    pub fn velocities(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.names.iter().map(String::as_str).zip(&self.velocities)
    }

    /// Puts back what [`Sgd::velocities`] and [`Sgd::steps`] gave. Nothing is changed when a name is missing or a shape
    /// is another.
    pub fn restore(&mut self, steps: u64, mut velocity: impl FnMut(&str) -> Result<Option<Tensor>>) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let mut found = Vec::with_capacity(self.names.len());
        for (name, own) in self.names.iter().zip(&self.velocities) {
            let stored = velocity(name)?
                .ok_or_else(|| Error::mismatch(format!("the optimiser's state lacks the velocity of {name}")))?;
            if stored.size() != own.size() {
                return Err(Error::mismatch(format!(
                    "the velocity of {name} is {:?} in the file, expected {:?}",
                    stored.size(),
                    own.size()
                )));
            }
            found.push(stored);
        }
        for (own, stored) in self.velocities.iter_mut().zip(&found) {
            own.f_copy_(stored)?;
        }
        self.steps = steps;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn follows_the_formula() {
        let p = Tensor::from_slice(&[1.0f32, -2.0, 3.0]).set_requires_grad(true);
        let unused = Tensor::ones([2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let list = vec![("p".to_owned(), p.shallow_clone()), ("unused".to_owned(), unused.shallow_clone())];
        let mut sgd = Sgd::new(list, 0.9, 0.1).unwrap();
        let (mut value, mut velocity) = ([1.0f64, -2.0, 3.0], [0.0f64; 3]);
        for step in 0..4 {
            (&p * &p).sum(Kind::Float).backward(); // g = 2p
            sgd.step(0.05).unwrap();
            for i in 0..3 {
                let gradient = 2.0 * value[i] + 0.1 * value[i];
                velocity[i] = if step == 0 { gradient } else { 0.9 * velocity[i] + gradient };
                value[i] -= 0.05 * velocity[i];
            }
            let found: Vec<f32> = Vec::try_from(p.detach()).unwrap();
            assert!(found.iter().zip(value).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5), "{found:?} {value:?}");
        }
        assert!(!p.grad().defined());
        assert_eq!(Vec::<f32>::try_from(unused.detach()).unwrap(), [1.0, 1.0], "no gradient, no weight decay");
    }

    #[test]
    fn clipping_scales_all_gradients_alike() {
        let parameter = |values: &[f32]| Tensor::from_slice(values).set_requires_grad(true);
        let (a, b) = (parameter(&[3.0, 0.0]), parameter(&[4.0]));
        let list = vec![("a".to_owned(), a.shallow_clone()), ("b".to_owned(), b.shallow_clone())];
        let sgd = Sgd::new(list, 0.0, 0.0).unwrap();
        // The gradients are (3, 0) and (4): norm 5.
        ((&a * &a).sum(Kind::Float) * 0.5 + (&b * &b).sum(Kind::Float) * 0.5).backward();
        assert!((sgd.clip_gradients(10.0).unwrap().double_value(&[]) - 5.0).abs() < 1e-6);
        assert_eq!(a.grad().double_value(&[0]), 3.0, "below the limit nothing changes");
        let _norm = sgd.clip_gradients(1.0).unwrap();
        let found = [a.grad().double_value(&[0]), a.grad().double_value(&[1]), b.grad().double_value(&[0])];
        assert!(found.iter().zip([0.6, 0.0, 0.8]).all(|(x, y)| (x - y).abs() < 1e-5), "{found:?}");
    }

    #[test]
    fn a_wrong_state_changes_nothing() {
        let p = Tensor::ones([2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let mut sgd = Sgd::new(vec![("p".to_owned(), p)], 0.9, 0.0).unwrap();
        assert!(sgd.restore(3, |_| Ok(None)).is_err());
        assert!(sgd.restore(3, |_| Ok(Some(Tensor::ones([3], (Kind::Float, Device::Cpu))))).is_err());
        assert_eq!(sgd.steps(), 0);
    }
}
