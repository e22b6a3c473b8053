//! The C functions under test, and safe wrappers that own what C borrows.

#![expect(unsafe_code, reason = "the functions under test are written in C")]

use std::{
    ffi::{CStr, c_char},
    marker::PhantomData,
};

pub(crate) const KEY_BYTES: usize = 32;
pub(crate) const MESSAGE_1_BYTES: usize = 48;
pub(crate) const TAG_BYTES: usize = 16;
pub(crate) const PREFIX_BYTES: usize = 2;

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) payload_bytes: u16,
    pub(crate) correlation: u32,
    pub(crate) source: u32,
    pub(crate) destination: u32,
}

#[repr(C)]
struct Frame {
    header: Header,
    payload: *const u8,
}

#[repr(C)]
struct FrameReaderState {
    buffer: *mut u8,
    capacity: usize,
    held: usize,
    wanted: usize,
    fault: u32,
}

#[repr(C)]
struct Span {
    bytes: *const u8,
    length: usize,
}

#[repr(C)]
struct Ephemeral {
    secret: [u8; KEY_BYTES],
    public_key: [u8; KEY_BYTES],
    ready: bool,
}

#[repr(C)]
struct HandshakeState {
    chaining_key: [u8; 64],
    hash: [u8; 64],
    key: [u8; KEY_BYTES],
    role: u8,
    step: u8,
    remote: [u8; KEY_BYTES],
    pair: Ephemeral,
}

#[repr(C)]
#[derive(Clone)]
pub(crate) struct Cipher {
    key: [u8; KEY_BYTES],
    next: u64,
}

#[repr(C)]
struct RecordReaderState {
    cipher: *mut Cipher,
    buffer: *mut u8,
    record_bytes_max: usize,
    held: usize,
    body_bytes: usize,
    frames_bytes: usize,
    taken: usize,
    fault: u32,
}

unsafe extern "C" {
    fn fw_code_name(code: u32) -> *const c_char;
    fn fw_kind_name(kind: u8) -> *const c_char;
    fn fw_frame_fault_name(fault: u32) -> *const c_char;
    fn fw_frame_fault_code(fault: u32) -> u32;
    fn fw_frame_header_encode(header: *const Header, out: *mut u8);
    fn fw_frame_reader_init(reader: *mut FrameReaderState, buffer: *mut u8, capacity: usize);
    fn fw_frame_reader_push(
        reader: *mut FrameReaderState,
        bytes: *const u8,
        length: usize,
        used: *mut usize,
        frame: *mut Frame,
    ) -> u32;
    fn fw_cbor_check(bytes: *const u8, length: usize) -> u32;
    fn fw_cbor_fault_name(fault: u32) -> *const c_char;
    fn fw_name_valid(name: Span) -> bool;
    fn fw_title_valid(title: Span) -> bool;
    fn fw_noise_fault_name(fault: u32) -> *const c_char;
    fn fw_noise_ephemeral_prepare(pair: *mut Ephemeral, random: *const u8);
    fn fw_noise_start(
        handshake: *mut HandshakeState,
        role: u32,
        psk: *const u8,
        prologue: *const u8,
        prologue_bytes: usize,
        pair: *mut Ephemeral,
    ) -> u32;
    fn fw_noise_write_message_1(handshake: *mut HandshakeState, out: *mut u8) -> u32;
    fn fw_noise_read_message_1(
        handshake: *mut HandshakeState,
        message: *const u8,
        length: usize,
    ) -> u32;
    fn fw_noise_read_message_2_key(
        handshake: *mut HandshakeState,
        message: *const u8,
        length: usize,
    ) -> u32;
    fn fw_noise_agree(handshake: *mut HandshakeState) -> u32;
    fn fw_noise_write_message_2(
        handshake: *mut HandshakeState,
        payload: *const u8,
        payload_bytes: usize,
        out: *mut u8,
        capacity: usize,
        message_bytes: *mut usize,
    ) -> u32;
    fn fw_noise_read_message_2(
        handshake: *mut HandshakeState,
        message: *const u8,
        length: usize,
        payload: *mut u8,
        capacity: usize,
        payload_bytes: *mut usize,
    ) -> u32;
    fn fw_noise_split(
        handshake: *mut HandshakeState,
        sending: *mut Cipher,
        receiving: *mut Cipher,
    ) -> u32;
    fn fw_record_fault_name(fault: u32) -> *const c_char;
    fn fw_record_seal(
        cipher: *mut Cipher,
        buffer: *mut u8,
        capacity: usize,
        frames_bytes: usize,
        record_bytes_max: usize,
        record_bytes: *mut usize,
    ) -> u32;
    fn fw_record_reader_init(
        reader: *mut RecordReaderState,
        cipher: *mut Cipher,
        buffer: *mut u8,
        capacity: usize,
        record_bytes_max: usize,
    );
    fn fw_record_reader_push(
        reader: *mut RecordReaderState,
        bytes: *const u8,
        length: usize,
        used: *mut usize,
    ) -> u32;
}

fn text(name: *const c_char) -> &'static str {
    // SAFETY: every name function returns a string literal of C: never null, closed, for ever.
    unsafe { CStr::from_ptr(name) }
        .to_str()
        .expect("names are ASCII")
}

pub(crate) fn code_name(code: u32) -> &'static str {
    // SAFETY: takes a number, returns a literal.
    text(unsafe { fw_code_name(code) })
}

pub(crate) fn kind_name(kind: u8) -> &'static str {
    // SAFETY: takes a number, returns a literal.
    text(unsafe { fw_kind_name(kind) })
}

pub(crate) fn cbor_check(payload: &[u8]) -> &'static str {
    // SAFETY: reads `payload.len()` bytes from the slice.
    text(unsafe { fw_cbor_fault_name(fw_cbor_check(payload.as_ptr(), payload.len())) })
}

pub(crate) fn header_encode(header: &Header) -> [u8; 16] {
    let mut out = [0; 16];
    // SAFETY: writes exactly 16 bytes.
    unsafe { fw_frame_header_encode(header, out.as_mut_ptr()) };
    out
}

fn span(text: &str) -> Span {
    Span {
        bytes: text.as_ptr(),
        length: text.len(),
    }
}

pub(crate) fn name_valid(name: &str) -> bool {
    // SAFETY: reads the string's bytes.
    unsafe { fw_name_valid(span(name)) }
}

pub(crate) fn title_valid(title: &str) -> bool {
    // SAFETY: reads the string's bytes.
    unsafe { fw_title_valid(span(title)) }
}

/// The C frame reader with its buffer.
pub(crate) struct FrameReader {
    state: FrameReaderState,
    _buffer: Box<[u8]>,
}

/// What a push came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    Frame(Header, Vec<u8>),
    Incomplete,
    Refused {
        fault: &'static str,
        code: &'static str,
    },
}

impl FrameReader {
    pub(crate) fn new(capacity: usize) -> Self {
        let mut buffer = vec![0; capacity].into_boxed_slice();
        let mut state = FrameReaderState {
            buffer: std::ptr::null_mut(),
            capacity: 0,
            held: 0,
            wanted: 0,
            fault: 0,
        };
        // SAFETY: the boxed buffer keeps its place when the box moves, and lives with the state.
        unsafe { fw_frame_reader_init(&raw mut state, buffer.as_mut_ptr(), capacity) };
        FrameReader {
            state,
            _buffer: buffer,
        }
    }

    /// Pushes once; gives what it came to and how much was consumed.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> (Pushed, usize) {
        let mut used = 0;
        let mut frame = Frame {
            header: Header::default(),
            payload: std::ptr::null(),
        };
        // SAFETY: state and buffer are whole, the slice has its length, both results are ours.
        let fault = unsafe {
            fw_frame_reader_push(
                &raw mut self.state,
                bytes.as_ptr(),
                bytes.len(),
                &raw mut used,
                &raw mut frame,
            )
        };
        assert!(used <= bytes.len(), "more consumed than given");
        let pushed = match fault {
            0 => {
                let length = usize::from(frame.header.payload_bytes);
                // SAFETY: on success the payload lies in the reader's buffer until the next push.
                let payload = unsafe { std::slice::from_raw_parts(frame.payload, length) };
                Pushed::Frame(frame.header, payload.to_vec())
            }
            1 => Pushed::Incomplete,
            // SAFETY: both take a number and return a literal or a number.
            _ => unsafe {
                Pushed::Refused {
                    fault: text(fw_frame_fault_name(fault)),
                    code: code_name(fw_frame_fault_code(fault)),
                }
            },
        };
        (pushed, used)
    }
}

/// The role played by C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Initiator = 0,
    Responder = 1,
}

/// A handshake in C. Errors are the fault's name.
pub(crate) struct Handshake(Box<HandshakeState>);

fn judge(fault: u32) -> Result<(), &'static str> {
    match fault {
        0 => Ok(()),
        // SAFETY: takes a number, returns a literal.
        _ => Err(text(unsafe { fw_noise_fault_name(fault) })),
    }
}

impl Handshake {
    pub(crate) fn start(
        role: Role,
        psk: &[u8; KEY_BYTES],
        prologue: &[u8],
        random: &[u8; KEY_BYTES],
    ) -> Self {
        let mut pair = Ephemeral {
            secret: [0; KEY_BYTES],
            public_key: [0; KEY_BYTES],
            ready: false,
        };
        let mut state = Box::new(HandshakeState {
            chaining_key: [0; 64],
            hash: [0; 64],
            key: [0; KEY_BYTES],
            role: 0,
            step: 0,
            remote: [0; KEY_BYTES],
            pair: Ephemeral {
                secret: [0; KEY_BYTES],
                public_key: [0; KEY_BYTES],
                ready: false,
            },
        });
        // SAFETY: all pointers are to whole values of ours, slices with their length.
        let fault = unsafe {
            fw_noise_ephemeral_prepare(&raw mut pair, random.as_ptr());
            fw_noise_start(
                &raw mut *state,
                role as u32,
                psk.as_ptr(),
                prologue.as_ptr(),
                prologue.len(),
                &raw mut pair,
            )
        };
        judge(fault).expect("a prepared pair starts a handshake");
        Handshake(state)
    }

    pub(crate) fn hash(&self) -> &[u8] {
        &self.0.hash
    }

    pub(crate) fn write_1(&mut self) -> Vec<u8> {
        let mut out = vec![0; MESSAGE_1_BYTES];
        // SAFETY: writes exactly 48 bytes.
        judge(unsafe { fw_noise_write_message_1(&raw mut *self.0, out.as_mut_ptr()) })
            .expect("message 1 comes first");
        out
    }

    pub(crate) fn read_1(&mut self, message: &[u8]) -> Result<(), &'static str> {
        // SAFETY: reads the slice.
        judge(unsafe { fw_noise_read_message_1(&raw mut *self.0, message.as_ptr(), message.len()) })
    }

    pub(crate) fn write_2(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 48 + payload.len()];
        let mut length = 0;
        // SAFETY: reads the payload, writes at most the capacity it is told.
        judge(unsafe {
            fw_noise_agree(&raw mut *self.0);
            fw_noise_write_message_2(
                &raw mut *self.0,
                payload.as_ptr(),
                payload.len(),
                out.as_mut_ptr(),
                out.len(),
                &raw mut length,
            )
        })
        .expect("message 2 follows message 1");
        assert_eq!(length, out.len());
        out
    }

    pub(crate) fn read_2(&mut self, message: &[u8]) -> Result<Vec<u8>, &'static str> {
        let mut payload = vec![0; message.len().saturating_sub(48)];
        let mut length = 0;
        // SAFETY: reads the message, writes at most the capacity it is told.
        unsafe {
            judge(fw_noise_read_message_2_key(
                &raw mut *self.0,
                message.as_ptr(),
                message.len(),
            ))?;
            judge(fw_noise_agree(&raw mut *self.0))?;
            judge(fw_noise_read_message_2(
                &raw mut *self.0,
                message.as_ptr(),
                message.len(),
                payload.as_mut_ptr(),
                payload.len(),
                &raw mut length,
            ))?;
        }
        payload.truncate(length);
        Ok(payload)
    }

    /// The ciphers: sending, receiving.
    pub(crate) fn split(mut self) -> (Cipher, Cipher) {
        let mut sending = Cipher {
            key: [0; KEY_BYTES],
            next: 0,
        };
        let mut receiving = sending.clone();
        // SAFETY: fills both ciphers.
        judge(unsafe { fw_noise_split(&raw mut *self.0, &raw mut sending, &raw mut receiving) })
            .expect("the handshake is done");
        (sending, receiving)
    }
}

/// Seals frames into a record, length prefix and all.
pub(crate) fn record_seal(cipher: &mut Cipher, frames: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; PREFIX_BYTES + frames.len() + TAG_BYTES];
    buffer[PREFIX_BYTES..][..frames.len()].copy_from_slice(frames);
    let mut length = 0;
    // SAFETY: works in the buffer, whose size it is told.
    let fault = unsafe {
        fw_record_seal(
            cipher,
            buffer.as_mut_ptr(),
            buffer.len(),
            frames.len(),
            65_535,
            &raw mut length,
        )
    };
    assert_eq!((fault, length), (0, buffer.len()));
    buffer
}

/// A record reader in C over a cipher of its own user.
pub(crate) struct RecordReader<'a> {
    state: RecordReaderState,
    buffer: Box<[u8]>,
    _cipher: PhantomData<&'a mut Cipher>,
}

impl<'a> RecordReader<'a> {
    pub(crate) fn new(cipher: &'a mut Cipher, record_bytes_max: usize) -> Self {
        let mut buffer = vec![0; record_bytes_max].into_boxed_slice();
        let mut state = RecordReaderState {
            cipher: std::ptr::null_mut(),
            buffer: std::ptr::null_mut(),
            record_bytes_max: 0,
            held: 0,
            body_bytes: 0,
            frames_bytes: 0,
            taken: 0,
            fault: 0,
        };
        // SAFETY: the cipher is borrowed for as long as the reader lives, the buffer is boxed.
        unsafe {
            fw_record_reader_init(
                &raw mut state,
                cipher,
                buffer.as_mut_ptr(),
                buffer.len(),
                record_bytes_max,
            );
        }
        RecordReader {
            state,
            buffer,
            _cipher: PhantomData,
        }
    }

    /// Pushes all of `bytes`: the plain bytes of the records that opened, then how it ended.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> (Vec<Vec<u8>>, &'static str) {
        let mut opened = Vec::new();
        loop {
            let mut used = 0;
            // SAFETY: state, cipher and buffer are whole, the slice has its length.
            let fault = unsafe {
                fw_record_reader_push(
                    &raw mut self.state,
                    bytes.as_ptr(),
                    bytes.len(),
                    &raw mut used,
                )
            };
            bytes = &bytes[used..];
            if fault != 0 {
                // SAFETY: takes a number, returns a literal.
                return (opened, text(unsafe { fw_record_fault_name(fault) }));
            }
            opened.push(self.buffer[..self.state.frames_bytes].to_vec());
        }
    }
}
