//! What a run notes in its student's provenance, so that every file of the student says where it comes from.
//!
//! ```json
//! "distillation": {"method": "SEED", "teacher": {"identity": "…", "architecture": "resnet50"}, "images": 2624,
//!                  "skipped_images": 0, "step": 1312, "total_steps": 1312, "loss": 5.1, "settings": {…}}
//! ```
//!
//! The settings are those that shape the numbers; paths, devices and times stay out.

use serde_json::{Map, Value, json};

use super::distill::Distillation;
use crate::config::{FREE_SETTINGS, MethodName};
use crate::distill::Targets;
use crate::model::provenance::SharedProvenance;
use crate::{Error, Result};

/// Where a run notes what it did.
pub(super) struct Record {
    provenance: SharedProvenance,
    /// Made at the first note: a teacher's identity is a hash over all of its weights.
    teacher: Option<Value>,
    pub(super) loss: Option<f64>,
}

impl Distillation {
    /// The same run, which notes teacher, images, steps, loss and settings in `provenance` at each report and when it ends.
    #[must_use]
    pub fn recorded_in(mut self, provenance: SharedProvenance) -> Self {
        self.record = Some(Record { provenance, teacher: None, loss: None });
        self
    }

    /// Notes how far the run is; `loss` None keeps the last one.
    pub(super) fn note(&mut self, loss: Option<f64>) -> Result<()> {
        let Some(record) = &self.record else { return Ok(()) };
        let teacher = match &record.teacher {
            Some(teacher) => teacher.clone(),
            None => teacher_of(&self.targets)?,
        };
        let loss = loss.or(record.loss);
        let settings =
            serde_json::to_value(&self.config).map_err(|error| Error::internal("the configuration", error))?;
        let settings: Map<String, Value> = match settings {
            Value::Object(all) => all.into_iter().filter(|(key, _)| !FREE_SETTINGS.contains(&key.as_str())).collect(),
            _ => Map::new(),
        };
        let method = match self.config.method {
            MethodName::Seed => "SEED",
            other => other.word(),
        };
        let mut about = json!({
            "method": method,
            "teacher": teacher,
            "images": self.dataset.as_ref().map(|dataset| dataset.len()),
            "skipped_images": self.dataset.as_ref().map(|dataset| dataset.skipped().len()),
            "step": self.step,
            "total_steps": self.total_steps(),
            "loss": loss,
            "probe": self.looks(),
            "settings": settings,
        });
        let warnings = self.warnings.list();
        if !warnings.is_empty() {
            about["warnings"] = json!(warnings);
        }
        record.provenance.set_distillation(about)?;
        if let Some(record) = &mut self.record {
            (record.teacher, record.loss) = (Some(teacher), loss);
        }
        Ok(())
    }
}

fn teacher_of(targets: &Targets) -> Result<Value> {
    Ok(match targets {
        Targets::Teacher(teacher) => json!({
            "identity": teacher.identity()?,
            "architecture": teacher.name(),
        }),
        Targets::Bank(bank) => {
            let teacher = &bank.header().teacher;
            json!({
                "identity": teacher.identity,
                "architecture": teacher.architecture,
                "bank": { "precision": teacher.precision },
            })
        }
        Targets::Images(_) => json!({ "identity": targets.identity()? }),
        Targets::Own { .. } => Value::Null,
    })
}
