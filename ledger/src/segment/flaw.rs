//! What can be wrong with bytes of a segment file.

/// What is wrong with bytes of a segment file. Each names the first rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The file ends inside of a header or record.
    #[error("the file ends inside of it")]
    Short,
    /// The file does not begin as a segment file does.
    #[error("no segment file's magic")]
    FileMagic,
    /// The file header is damaged.
    #[error("the file header's CRC is wrong")]
    FileCrc,
    /// The file header's last four bytes are not zero.
    #[error("the file header does not end in zeros")]
    FileZeros,
    /// A record does not begin here.
    #[error("no record's magic")]
    Magic,
    /// The head is damaged.
    #[error("the record head's CRC is wrong")]
    HeadCrc,
    /// The three bytes after the type are not zero.
    #[error("the record head's spare bytes are not zero")]
    HeadZeros,
    /// A type that format 0 does not have.
    #[error("the record has an unknown type")]
    Type,
    /// A length that this type cannot have.
    #[error("the record has a length that its type cannot have")]
    Length,
    /// The payload is damaged.
    #[error("the payload's CRC is wrong")]
    PayloadCrc,
    /// The bytes up to the next multiple of 8 are not zero.
    #[error("the padding is not zero")]
    Padding,
    /// Not the position that is next.
    #[error("the record is not of the next position")]
    Position,
    /// A frame header, or a frame's sizes, outside of section 2.
    #[error("the frame header is not one of format 0")]
    FrameHeader,
    /// A frame of another ledger.
    #[error("the frame is another ledger's")]
    Ledger,
    /// Position 0 is something else.
    #[error("position 0 is not the genesis frame")]
    Genesis,
    /// The segment is full without this frame.
    #[error("the frame belongs into the next segment")]
    Full,
    /// The segment before had room for this frame.
    #[error("the segment before had room for this frame")]
    Early,
    /// Another frame of the segment starts at the same place of the same stream.
    #[error("two frames stand at one place of a stream")]
    Twice,
    /// A header that is not the one before its stream's next frame.
    #[error("the frame header is not the one that its stream's next frame names")]
    Unlinked,
    /// A summary that is not its header's.
    #[error("the summary is not the one that the frame header names")]
    Summary,
    /// A footer's figures or tables contradict the file.
    #[error("the footer is wrong: {0}")]
    Footer(&'static str),
}
