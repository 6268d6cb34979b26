//! `night.json`: whose folder it is, what has been seen, and how far the night under way has come.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::about::About;
use super::files::{read_json, write_json};
use super::folder::{Folder, Place};
use super::progress::NightStage;
use super::{Night, history};
use crate::{Error, Result};

const FORMAT: &str = "libseed.night.1";

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    format: String,
    /// The teacher's identity: students of another teacher cannot be compared with those here.
    teacher: String,
    /// Which frames are held out depends on it, so it is that of the first night for ever.
    pub seed: u64,
    /// Nights that were done.
    pub nights: u64,
    /// The last frame of the last night that was done.
    pub seen: i64,
    /// The night under way.
    pub begun: Option<Begun>,
}

/// A night that was begun.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Begun {
    /// From 1 on.
    pub number: u64,
    /// SHA-256 over what shapes its numbers.
    pub settings: String,
    /// SHA-256 of the student that it starts from.
    pub from: String,
    /// The last frame that was there.
    pub last: i64,
    /// When, in microseconds since 1970.
    pub began_us: i64,
    /// What is to be done next.
    pub stage: NightStage,
}

impl State {
    /// That of the folder, or of a new one.
    ///
    /// # Errors
    /// `Format` where the file is something else, `Mismatch` where it is another version's or another teacher's.
    pub fn of(folder: &Folder, night: &Night<'_>) -> Result<Self> {
        let teacher = night.teacher.identity()?;
        let Some(state) = Self::read(folder)? else {
            let format = FORMAT.to_owned();
            let state = Self { format, teacher, seed: night.config.seed, nights: 0, seen: i64::MIN, begun: None };
            write_json(&folder.state(), &state)?;
            return Ok(state);
        };
        if state.teacher != teacher {
            return Err(Error::mismatch(format!(
                "the students in {} follow the teacher {}, this one is {teacher}: take another folder",
                folder.path().display(),
                state.teacher
            )));
        }
        Ok(state)
    }

    pub fn read(folder: &Folder) -> Result<Option<Self>> {
        let path = folder.state();
        let Some(value) = read_json::<serde_json::Value>(&path)? else { return Ok(None) };
        let format = value.get("format").and_then(|format| format.as_str()).unwrap_or("none");
        if format != FORMAT {
            return Err(Error::mismatch(format!("{}: the format is {format:?}, expected {FORMAT:?}", path.display())));
        }
        serde_json::from_value(value).map(Some).map_err(|error| Error::format(&path, error))
    }

    /// Notes that a night was begun.
    pub fn begin(&mut self, folder: &Folder, begun: Begun) -> Result<()> {
        self.become_state(folder, Self { begun: Some(begun), ..self.clone() })
    }

    /// Notes that the stage is done.
    pub fn advance(&mut self, folder: &Folder) -> Result<()> {
        let begun = self.begun.clone().map(|begun| Begun { stage: begun.stage.next(), ..begun });
        self.become_state(folder, Self { begun, ..self.clone() })
    }

    /// Notes that the night is done; `counts`: its frames have been seen, and are not new to the next one.
    pub fn end(&mut self, folder: &Folder, begun: &Begun, counts: bool) -> Result<()> {
        let seen = if counts { begun.last.max(self.seen) } else { self.seen };
        self.become_state(folder, Self { nights: begun.number, seen, begun: None, ..self.clone() })
    }

    /// Notes that no night is under way; its frames are new again.
    pub fn drop_night(&mut self, folder: &Folder) -> Result<()> {
        self.become_state(folder, Self { begun: None, ..self.clone() })
    }

    fn become_state(&mut self, folder: &Folder, next: Self) -> Result<()> {
        write_json(&folder.state(), &next)?;
        *self = next;
        Ok(())
    }
}

/// How things stand in a folder, as a JSON object: `nights` done, `live` and `previous` (`night`, the one that made the
/// student, and `classifier`, the one that made its classifier, where that is known; or null), `begun` (number and stage of the night under way, or null) and `last` (the last line of the history, or null). Works at
/// any time, also while a night runs.
///
/// # Errors
/// `Io` where there is no such folder, `InvalidArgument` where it is no station's, `Format` or `Mismatch`.
pub fn describe(path: &Path) -> Result<String> {
    std::fs::metadata(path).map_err(|error| Error::io("open", path, &error))?;
    let folder = Folder::known(path);
    let state = State::read(&folder)?
        .ok_or_else(|| Error::invalid(format!("{} is no station's folder: it has no night.json", path.display())))?;
    let night = |place: Place| -> Result<serde_json::Value> {
        Ok(read_json::<About>(&place.about())?.map_or(serde_json::Value::Null, |about| json!(about)))
    };
    let begun = state.begun.map(|begun| json!({ "night": begun.number, "stage": begun.stage }));
    let value = json!({
        "nights": state.nights,
        "live": night(folder.live())?,
        "previous": night(folder.previous())?,
        "begun": begun,
        "last": history::last(path)?,
    });
    Ok(value.to_string())
}
