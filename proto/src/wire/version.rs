//! Everything in which MQTT 3.1.1 differs from MQTT 5 on the wire.

use super::property::PropertyContext;
use super::reader::Reader;
use super::writer::Writer;
use super::{EncodeError, PacketType, Properties, ReasonCode, Version, WireError};

/// The return codes of a 3.1.1 CONNACK, from 1 on (3.1.1, table 3.1).
const CONNACK_CODES: [ReasonCode; 5] = [
    ReasonCode::UNSUPPORTED_PROTOCOL_VERSION,
    ReasonCode::CLIENT_IDENTIFIER_NOT_VALID,
    ReasonCode::SERVER_UNAVAILABLE,
    ReasonCode::BAD_USER_NAME_OR_PASSWORD,
    ReasonCode::NOT_AUTHORIZED,
];

impl Version {
    /// The Protocol Level in CONNECT: 4 or 5.
    pub const fn level(self) -> u8 {
        match self {
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }

    pub(super) fn from_level(level: u8) -> Result<Self, WireError> {
        match level {
            4 => Ok(Self::V311),
            5 => Ok(Self::V5),
            _ => Err(WireError::UnsupportedVersion),
        }
    }

    #[inline]
    fn is_v5(self) -> bool {
        // With one version only there is nothing to ask.
        cfg!(feature = "v5") && (!cfg!(feature = "v311") || self == Self::V5)
    }

    pub(super) fn check_type(self, kind: PacketType) -> Result<(), WireError> {
        if kind == PacketType::Auth && !self.is_v5() {
            Err(WireError::BadPacketType)
        } else {
            Ok(())
        }
    }

    /// [MQTT-3.1.2-22] of 3.1.1: no password without a user name; MQTT 5 lifted it.
    pub(super) fn password_needs_user_name(self) -> bool {
        !self.is_v5()
    }

    // Properties: 3.1.1 has none, those given are left out.

    #[inline]
    pub(super) fn read_properties<'a>(
        self,
        r: &mut Reader<'a>,
        context: PropertyContext,
    ) -> Result<Properties<'a>, WireError> {
        if self.is_v5() { Properties::read(r, context) } else { Ok(Properties::EMPTY) }
    }

    #[inline]
    pub(super) fn check_properties(
        self,
        props: &Properties<'_>,
        context: PropertyContext,
    ) -> Result<(), EncodeError> {
        if self.is_v5() { props.validate(context) } else { Ok(()) }
    }

    #[inline]
    pub(super) fn properties_len(self, props: &Properties<'_>) -> usize {
        if self.is_v5() { props.field_len() } else { 0 }
    }

    #[inline]
    pub(super) fn write_properties(self, props: &Properties<'_>, w: &mut Writer<'_>) {
        if self.is_v5() {
            props.write(w);
        }
    }

    #[inline]
    pub(super) fn topic_alias(self, props: &Properties<'_>) -> Option<u16> {
        if self.is_v5() { props.topic_alias() } else { None }
    }

    // Reason Code and properties at the end of the four acknowledgements, DISCONNECT and AUTH:
    // nothing in 3.1.1, and as short as can be in 5 (3.4.2.1, 3.14.2.1, 3.15.2.1).

    pub(super) fn read_outcome<'a>(
        self,
        r: &mut Reader<'a>,
        context: PropertyContext,
    ) -> Result<(ReasonCode, Properties<'a>), WireError> {
        if r.is_empty() {
            return Ok((ReasonCode::SUCCESS, Properties::EMPTY));
        }
        if !self.is_v5() {
            // Brokers exist (mqtt5 0.49 for one) that answer a PUBREL they do not know in the way of
            // MQTT 5, also on a 3.1.1 connection. To close it would be right ([MQTT-4.8.0-1] of 3.1.1)
            // and help nobody: the exchange is resumed, and the same answer comes, for ever.
            return match context {
                PropertyContext::Disconnect => Err(WireError::TrailingBytes),
                _ => Ok((ReasonCode::SUCCESS, Properties::EMPTY)),
            };
        }
        let reason = ReasonCode(r.u8()?).check(context)?;
        let props = if r.is_empty() { Properties::EMPTY } else { Properties::read(r, context)? };
        r.end()?;
        Ok((reason, props))
    }

    pub(super) fn check_outcome(
        self,
        reason: ReasonCode,
        props: &Properties<'_>,
        context: PropertyContext,
    ) -> Result<(), EncodeError> {
        if self.is_v5() {
            reason.check(context)?;
            props.validate(context)?;
        }
        Ok(())
    }

    pub(super) fn outcome_len(self, reason: ReasonCode, props: &Properties<'_>) -> usize {
        if !self.is_v5() {
            0
        } else if !props.is_empty() {
            props.field_len().saturating_add(1)
        } else {
            usize::from(reason != ReasonCode::SUCCESS)
        }
    }

    pub(super) fn write_outcome(
        self,
        reason: ReasonCode,
        props: &Properties<'_>,
        w: &mut Writer<'_>,
    ) {
        if self.outcome_len(reason, props) > 0 {
            w.u8(reason.0);
            if !props.is_empty() {
                props.write(w);
            }
        }
    }

    // The codes of CONNACK, SUBACK, UNSUBACK.

    pub(super) fn connack_reason(self, code: u8) -> Result<ReasonCode, WireError> {
        match (self, code) {
            (Self::V5, _) => ReasonCode(code).check(PropertyContext::ConnAck),
            (Self::V311, 0) => Ok(ReasonCode::SUCCESS),
            (Self::V311, _) => {
                CONNACK_CODES.get(usize::from(code) - 1).copied().ok_or(WireError::BadReasonCode)
            }
        }
    }

    /// # Errors
    /// For a refusal that 3.1.1 has no return code for: a server then closes the connection without
    /// a CONNACK ([MQTT-3.2.2-6] of 3.1.1).
    pub(super) fn connack_code(self, reason: ReasonCode) -> Result<u8, WireError> {
        if self.is_v5() || reason == ReasonCode::SUCCESS {
            return Ok(reason.check(PropertyContext::ConnAck)?.0);
        }
        let nearest = match reason {
            ReasonCode::SERVER_BUSY
            | ReasonCode::SERVER_SHUTTING_DOWN
            | ReasonCode::QUOTA_EXCEEDED
            | ReasonCode::CONNECTION_RATE_EXCEEDED => ReasonCode::SERVER_UNAVAILABLE,
            ReasonCode::BANNED | ReasonCode::BAD_AUTHENTICATION_METHOD => {
                ReasonCode::NOT_AUTHORIZED
            }
            _ => reason,
        };
        let at = CONNACK_CODES.iter().position(|code| *code == nearest);
        at.map(|at| at as u8 + 1).ok_or(WireError::BadReasonCode)
    }

    /// Whether a SUBACK may have `code`. The one failure of 3.1.1 is the Unspecified error of 5.
    pub(super) fn check_suback_code(self, code: u8) -> Result<(), WireError> {
        if !self.is_v5() && code > 0x80 {
            return Err(WireError::BadReasonCode);
        }
        ReasonCode(code).check(PropertyContext::SubAck).map(drop)
    }

    pub(super) fn suback_code(self, code: u8) -> u8 {
        if self.is_v5() || code < 0x80 { code } else { 0x80 }
    }

    pub(super) fn unsuback_has_codes(self) -> bool {
        self.is_v5()
    }

    /// The bits of Subscription Options that are not reserved [MQTT-3.8.3-5].
    pub(super) fn subscribe_options_mask(self) -> u8 {
        if self.is_v5() { 0x3F } else { 0x03 }
    }
}
