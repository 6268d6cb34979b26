//! What the evaluation found, in the file `evaluation.json`: the exchange and the report go by it.

use serde::{Deserialize, Serialize};

use super::Work;
use super::about::night_of;
use super::distil::DIVERGED;
use super::files::read_json;
use super::folder::Folder;
use crate::data::EncodedImage;
use crate::eval::{Fidelity, Judgement};
use crate::gate::Criterion;
use crate::{Error, ErrorKind, Result};

/// What was found. Fields that came later are absent in the file of an earlier version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Evaluation {
    /// SHA-256 of the candidate; empty where there is none.
    pub student: String,
    /// Why the candidate cannot even be compared; the rest is empty then.
    pub unfit: Option<String>,
    /// What the gate says.
    pub gate: Option<Gate>,
    /// Of the live classifier on the reference, where it knows the same classes.
    pub old_classifier: Option<Judgement>,
    /// Of the new one.
    pub new_classifier: Option<Judgement>,
    /// Why the night's classifier does not go live, though the student may; none where it may or there is none.
    #[serde(default)]
    pub classifier_left_out: Option<String>,
    /// Frames with their neighbours by teacher and new student.
    pub sheet: Vec<Nearest>,
    /// The candidate is live already, and what was found can no longer be read.
    #[serde(skip)]
    pub went_live: bool,
}

/// The verdict; recall is absent where there is no reference, the classifier where there are not two that know the same classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gate {
    pub passes: bool,
    pub kl: Criterion,
    pub overlap: Criterion,
    pub recall: Option<Criterion>,
    pub recall_decides: bool,
    #[serde(default)]
    pub classifier: Option<Criterion>,
    #[serde(default)]
    pub classifier_decides: bool,
    pub latency: Criterion,
    /// Whether the machine was too busy to time the students.
    #[serde(default)]
    pub latency_unclear: bool,
    pub frames: usize,
    pub reference: usize,
    pub old: Fidelity,
    pub new: Fidelity,
}

/// A frame and its nearest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nearest {
    pub frame: EncodedImage,
    pub by_teacher: Vec<EncodedImage>,
    pub by_student: Vec<EncodedImage>,
}

impl Gate {
    /// The name of the one that fails only where the new one is shown to be worse.
    pub const CLASSIFIER: &str = "classifier recall";
    /// The name of the one that a busy machine can leave unclear.
    pub const LATENCY: &str = "latency";

    /// Each criterion with its name and whether it decides.
    pub fn criteria(&self) -> Vec<(&'static str, Criterion, bool)> {
        let all = [
            ("KL", Some(self.kl), true),
            ("overlap", Some(self.overlap), true),
            ("kNN recall", self.recall, self.recall_decides),
            (Self::CLASSIFIER, self.classifier, self.classifier_decides),
            (Self::LATENCY, Some(self.latency), true),
        ];
        all.into_iter().filter_map(|(name, criterion, decides)| Some((name, criterion?, decides))).collect()
    }

    /// Whether nothing speaks against the new student but that the machine was too busy to time it.
    pub fn lost_to_load(&self) -> bool {
        let others = self.criteria().into_iter().filter(|(name, ..)| *name != Self::LATENCY);
        self.latency_unclear && others.into_iter().all(|(_, one, _)| one.holds)
    }
}

impl Evaluation {
    pub fn unfit(reason: String) -> Self {
        Self { unfit: Some(reason), ..Self::default() }
    }

    /// The same where its file can be read again: JSON knows no NaN.
    pub fn or_unfit(self) -> Result<Self> {
        let text = serde_json::to_string(&self).map_err(|error| Error::internal("the evaluation", error))?;
        Ok(match serde_json::from_str::<Self>(&text) {
            Ok(_) => self,
            Err(_) => Self::unfit("a figure of the comparison is no finite number".to_owned()),
        })
    }

    /// That of the night.
    ///
    /// # Errors
    /// `Format` where it is missing, damaged or of another version.
    pub fn read(folder: &Folder) -> Result<Self> {
        let path = folder.evaluation();
        let found: Self = read_json(&path)?.ok_or_else(|| Error::format(&path, "it is missing"))?;
        let sound = |judgement: &Option<Judgement>| judgement.as_ref().is_none_or(|one| one.confusion.is_sound());
        if !sound(&found.old_classifier) || !sound(&found.new_classifier) {
            return Err(Error::format(&path, "a confusion matrix has not as many counts as its classes ask for"));
        }
        Ok(found)
    }

    /// That of the night, or what is known without it: once the exchange has begun, the night ends well without its figures.
    pub fn settled(work: &Work<'_>) -> Result<Self> {
        match Self::read(work.folder) {
            Err(error) if error.kind() == ErrorKind::Format => {
                log::warn!("night {} goes on without its figures: {error}", work.begun.number);
                let live = work.folder.live();
                if night_of(&live)? != Some(work.begun.number) {
                    return Ok(Self::unfit(format!("what was found can no longer be read: {}", error.message())));
                }
                Ok(Self { student: live.student_hash()?, went_live: true, ..Self::default() })
            }
            found => found,
        }
    }

    /// Whether the candidate is to become live.
    pub fn passes(&self) -> bool {
        self.went_live || self.gate.as_ref().is_some_and(|gate| gate.passes)
    }
}

/// Why the distillation failed for good, where it did.
pub(super) fn diverged(work: &Work<'_>) -> Result<Option<String>> {
    read_json(&work.folder.work().join(DIVERGED))
}
