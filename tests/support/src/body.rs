//! The bodies of callbacks: the published samples, and the ways a row names or changes one.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

/// A callback's body, kept byte for byte in `tests/vectors/samples/`, whose README says where each is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sample {
    /// Session monitoring: a connection was created.
    Session,
    /// Session monitoring: a stream was created.
    Stream,
    /// An archive became available.
    Archive,
    /// A SIP call ended.
    Sip,
    /// An Experience Composer stopped.
    Composer,
    /// A live streaming broadcast started.
    Broadcast,
    /// Live captions started.
    Captions,
    /// Voice API: a call has ended.
    VoiceEvent,
    /// Voice API: a call comes in, and its `answer_url` is asked by `POST`.
    VoiceAnswer,
    /// Messages API: a message came in.
    MessageInbound,
    /// Messages API: what became of a message.
    MessageStatus,
    /// Verify API v2: a step of a verification.
    VerifyEvent,
    /// Verify API v2: what became of it.
    VerifySummary,
    /// Dispatch API: what became of a message of a workflow.
    Dispatch,
}

/// The bytes of a callback's body.
#[must_use]
pub fn sample(sample: Sample) -> &'static [u8] {
    match sample {
        Sample::Session => include_bytes!("../../vectors/samples/session.json"),
        Sample::Stream => include_bytes!("../../vectors/samples/stream.json"),
        Sample::Archive => include_bytes!("../../vectors/samples/archive.json"),
        Sample::Sip => include_bytes!("../../vectors/samples/sip.json"),
        Sample::Composer => include_bytes!("../../vectors/samples/composer.json"),
        Sample::Broadcast => include_bytes!("../../vectors/samples/broadcast.json"),
        Sample::Captions => include_bytes!("../../vectors/samples/captions.json"),
        Sample::VoiceEvent => include_bytes!("../../vectors/samples/voice_event.json"),
        Sample::VoiceAnswer => include_bytes!("../../vectors/samples/voice_answer.json"),
        Sample::MessageInbound => include_bytes!("../../vectors/samples/message_inbound.json"),
        Sample::MessageStatus => include_bytes!("../../vectors/samples/message_status.json"),
        Sample::VerifyEvent => include_bytes!("../../vectors/samples/verify_event.json"),
        Sample::VerifySummary => include_bytes!("../../vectors/samples/verify_summary.json"),
        Sample::Dispatch => include_bytes!("../../vectors/samples/dispatch.json"),
    }
}

/// A body as a row writes it: the text itself, or one of the forms of `Made`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Body {
    /// These bytes.
    Text(String),
    /// Bytes too long, too binary or too well known to be written out.
    Made(Made),
}

/// One source of bytes, then the changes to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Made {
    /// A sample.
    pub sample: Option<Sample>,
    /// A text, `times` times.
    pub repeat: Option<String>,
    /// How often `repeat` is repeated.
    pub times: usize,
    /// Bytes that are no text, in standard base64.
    pub base64: Option<String>,
    /// The first occurrence of one text becomes another; the first has to occur.
    pub replace: Option<(String, String)>,
    /// How many bytes the end loses.
    pub drop_last: usize,
    /// Added at the end, after that loss.
    pub append: String,
}

impl Default for Body {
    fn default() -> Self {
        Self::Made(Made { sample: Some(Sample::Session), ..Made::default() })
    }
}

impl Body {
    /// The bytes.
    ///
    /// # Errors
    /// What is wrong with the row's description of them.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::Text(text) => Ok(text.as_bytes().to_vec()),
            Self::Made(made) => made.bytes(),
        }
    }
}

impl Made {
    fn bytes(&self) -> Result<Vec<u8>, String> {
        let mut bytes = match (&self.sample, &self.repeat, &self.base64) {
            (Some(name), None, None) => sample(*name).to_vec(),
            (None, Some(text), None) => text.repeat(self.times).into_bytes(),
            (None, None, Some(text)) => STANDARD.decode(text).map_err(|error| format!("body.base64: {error}"))?,
            _ => return Err("body: exactly one of sample, repeat and base64 is needed".into()),
        };
        if let Some((from, to)) = &self.replace {
            let text = String::from_utf8(bytes).map_err(|error| format!("body.replace: {error}"))?;
            if !text.contains(from) {
                return Err(format!("body.replace: {from:?} does not occur"));
            }
            bytes = text.replacen(from, to, 1).into_bytes();
        }
        let kept = bytes.len().checked_sub(self.drop_last).ok_or("body.drop_last: longer than the body")?;
        bytes.truncate(kept);
        bytes.extend_from_slice(self.append.as_bytes());
        Ok(bytes)
    }
}
