//! What is around a controller's core: flash, and what is kept there.

#![expect(unsafe_code, reason = "the C core is called through raw pointers")]

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    ffi::{CStr, CString, c_void},
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    ptr::NonNull,
    time::Duration,
};

use switchyard_protocol::message::ResetReason;

use crate::{
    ffi::{
        self, FwBoard, FwController, FwHostApi, FwHostChip, FwHostDevice, FwPin, FwPort, FwSettings,
    },
    script::Board,
    serial::Network,
    serial_host::SerialHost,
};

/// `FW_HOST_FLASH_BYTES` and `FW_SECTOR_BYTES`.
const FLASH_BYTES: usize = 0x10_0000;
const SECTOR_BYTES: usize = 0x1000;

/// A chip of flash that somebody else simulates, with what goes wrong with it. Addresses are in bytes.
pub trait FlashChip: Send {
    /// Reads.
    fn read(&self, address: u32, into: &mut [u8]);
    /// Programs bytes: clears bits, where all is well.
    fn program(&mut self, address: u32, bytes: &[u8]);
    /// Erases the sector of 4 KiB at this address.
    fn erase_sector(&mut self, address: u32);
}

/// A megabyte of flash, as a chip has it. Cut off from its controller it is what a board in a drawer
/// has in it.
pub struct Flash {
    words: Box<[u32]>,
    file: Option<File>,
    /// On the heap: C keeps a pointer to it. Where there is one, `words` are a copy of it.
    chip: Option<Box<Box<dyn FlashChip>>>,
    /// Likewise.
    update_key: Option<Box<[u8; 32]>>,
}

impl Flash {
    /// A blank one, which is gone when it is dropped.
    pub fn blank() -> Self {
        Self {
            words: vec![u32::MAX; FLASH_BYTES / 4].into_boxed_slice(),
            file: None,
            chip: None,
            update_key: None,
        }
    }

    /// The first megabyte of a chip. What is programmed and erased is done there at once, and what it has made of
    /// it is read back; what else becomes of it is seen at the controller's next start.
    pub fn on_chip(chip: Box<dyn FlashChip>) -> Self {
        let mut words = vec![0; FLASH_BYTES / 4].into_boxed_slice();
        chip.read(0, bytes_in(&mut words));
        Self {
            words,
            file: None,
            chip: Some(Box::new(chip)),
            update_key: None,
        }
    }

    /// One whose firmware takes updates that the owner of this public key has signed (Ed25519). Without one it
    /// takes none.
    #[must_use]
    pub fn with_update_key(mut self, key: [u8; 32]) -> Self {
        self.update_key = Some(Box::new(key));
        self
    }

    /// One that is kept in a file. A file that does not exist is made, and blank.
    ///
    /// # Errors
    /// When the file cannot be read or made, or is no megabyte.
    pub fn in_file(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut bytes = Vec::with_capacity(FLASH_BYTES);
        file.read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            bytes = vec![0xFF; FLASH_BYTES];
            file.write_all(&bytes)?;
        }
        if bytes.len() != FLASH_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "expected {FLASH_BYTES} bytes of flash and found {}",
                    bytes.len()
                ),
            ));
        }
        Ok(Self {
            words: bytes.chunks_exact(4).map(word_of).collect(),
            file: Some(file),
            chip: None,
            update_key: None,
        })
    }
}

/// Of four bytes, as this machine has a word.
fn word_of(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(u32::MAX, u32::from_ne_bytes)
}

fn bytes_of(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// The same bytes in place.
fn bytes_in(words: &mut [u32]) -> &mut [u8] {
    // SAFETY: a byte may lie anywhere and be anything, and so may a word of four of them.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size_of_val(words)) }
}

/// What a chip holds from an address on becomes `count` words.
///
/// # Safety
/// They must be there, and nobody else's meanwhile.
unsafe fn read_back(chip: &dyn FlashChip, address: u32, result: *mut u32, count: usize) {
    // SAFETY: by the caller's promise.
    chip.read(
        address,
        bytes_in(unsafe { std::slice::from_raw_parts_mut(result, count) }),
    );
}

extern "C" fn chip_program(
    ctx: *mut c_void,
    address: u32,
    words: *const u32,
    count: usize,
    result: *mut u32,
) {
    // SAFETY: `ctx` is the chip that `Device::start` gave, which is used by nobody else; C gives as many words as it
    // says. They may lie where the result does, and are not looked at any more when that is written.
    unsafe {
        let chip = &mut *ctx.cast::<Box<dyn FlashChip>>();
        let bytes = bytes_of(std::slice::from_raw_parts(words, count));
        chip.program(address, &bytes);
        read_back(chip.as_ref(), address, result, count);
    }
}

extern "C" fn chip_erase(ctx: *mut c_void, address: u32, result: *mut u32) {
    // SAFETY: as in `chip_program`; C gives a sector of words.
    unsafe {
        let chip = &mut *ctx.cast::<Box<dyn FlashChip>>();
        chip.erase_sector(address);
        read_back(chip.as_ref(), address, result, SECTOR_BYTES / 4);
    }
}

impl fmt::Debug for Flash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Flash")
            .field("is_kept", &self.file.is_some())
            .finish_non_exhaustive()
    }
}

/// `fw_host_device_t` and all that it points to.
pub(crate) struct Device {
    host: NonNull<FwHostDevice>,
    settings: Box<FwSettings>,
    port: *const FwPort,
    board: Box<FwBoard>,
    source: Box<[u8]>,
    flash: Flash,
    serial: Option<SerialHost>,
    _pins: Box<[FwPin]>,
    _board: Board,
}

impl Device {
    /// Starts one for this reason, with a number of its hardware's own if it has one; `None` if C did not take the
    /// settings.
    ///
    /// # Safety
    /// The port, and what the settings point to, must outlive it.
    pub(crate) unsafe fn start(
        settings: FwSettings,
        port: *const FwPort,
        flash: Flash,
        source: &[u8],
        reset: ResetReason,
        hardware: Option<[u8; 6]>,
    ) -> Option<Self> {
        let names = Board::of_virtual_controllers();
        let pins = names.in_core().into_boxed_slice();
        let board = Box::new(FwBoard {
            pins: pins.as_ptr(),
            count: u8::try_from(pins.len()).unwrap_or(u8::MAX),
        });
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc_zeroed(layout()) };
        let Some(host) = NonNull::new(memory.cast()) else {
            handle_alloc_error(layout())
        };
        let mut device = Self {
            host,
            settings: Box::new(settings),
            port,
            board,
            source: source.into(),
            flash,
            serial: None,
            _pins: pins,
            _board: names,
        };
        if let Some(chip) = &mut device.flash.chip {
            let chip = FwHostChip {
                ctx: (&raw mut **chip).cast(),
                program: chip_program,
                erase: chip_erase,
            };
            // SAFETY: the memory has the size and alignment that C asks for; the chip is on the heap and lives as long
            // as this value.
            unsafe { ffi::fw_host_device_set_chip(device.host.as_ptr(), chip) };
        }
        if let Some(hardware) = hardware {
            // SAFETY: as above; C copies the bytes.
            unsafe { ffi::fw_host_device_set_hardware(device.host.as_ptr(), hardware.as_ptr()) };
        }
        device.boot(reset.number()).then_some(device)
    }

    fn boot(&mut self, reset: u8) -> bool {
        // SAFETY: the memory has the size and alignment that C asks for; all that is pointed to is on
        // the heap and lives as long as this value, or by `start`'s promise longer.
        unsafe {
            ffi::fw_host_device_init(
                self.host.as_ptr(),
                &raw const *self.settings,
                self.port,
                &raw const *self.board,
                self.flash.words.as_mut_ptr(),
                self.source.as_ptr(),
                self.source.len(),
                self.flash
                    .update_key
                    .as_ref()
                    .map_or(std::ptr::null(), |key| key.as_ptr()),
                reset,
            )
        }
    }

    /// Begins anew over what is in flash; so does its serial line, which greets again.
    pub(crate) fn restart(&mut self, now: Duration) {
        // What was taken once is taken again.
        let taken = self.boot(ResetReason::Commanded.number());
        debug_assert!(taken, "the settings were good before");
        let api = self.api();
        if let Some(serial) = &mut self.serial {
            // SAFETY: as in `add_serial`.
            unsafe { serial.restart(api, now) };
        }
    }

    /// Gives it a serial line.
    pub(crate) fn add_serial(&mut self, now: Duration) {
        // SAFETY: the line calls only into what is on this value's heap, and only by methods that borrow this
        // value, which drops it.
        self.serial = Some(unsafe { SerialHost::new(self.api(), now) });
    }

    pub(crate) fn serial(&mut self) -> Option<&mut SerialHost> {
        self.serial.as_mut()
    }

    pub(crate) fn controller(&self) -> NonNull<FwController> {
        // SAFETY: `start` initialised the host. A part of what is not null is not null.
        unsafe { NonNull::new_unchecked(ffi::fw_host_device_controller(self.host.as_ptr())) }
    }

    pub(crate) fn api(&self) -> *const FwHostApi {
        // SAFETY: as in `controller`.
        unsafe { ffi::fw_host_device_api(self.host.as_ptr()) }
    }

    pub(crate) fn poll(&mut self) -> u32 {
        // SAFETY: as in `controller`; C calls the port, to which no reference is held.
        unsafe { ffi::fw_host_device_poll(self.host.as_ptr()) }
    }

    pub(crate) fn wants_restart(&mut self) -> bool {
        // SAFETY: as in `controller`.
        unsafe { ffi::fw_host_device_wants_restart(self.host.as_ptr()) }
    }

    /// Gives it a radio, and these networks around it. False: there are too many, or a text is none.
    pub(crate) fn add_radio(&mut self, networks: &[Network]) -> bool {
        // SAFETY: as in `controller`; C copies the texts.
        unsafe { ffi::fw_host_device_add_radio(self.host.as_ptr()) };
        networks.iter().all(|Network { name, password }| {
            let texts = (CString::new(name.as_str()), CString::new(password.as_str()));
            let (Ok(name), Ok(password)) = texts else {
                return false;
            };
            // SAFETY: as above.
            unsafe {
                ffi::fw_host_device_add_network(
                    self.host.as_ptr(),
                    name.as_ptr(),
                    password.as_ptr(),
                )
            }
        })
    }

    pub(crate) fn is_joined(&self) -> bool {
        // SAFETY: as in `controller`; C asks the port for the time, to which no reference is held.
        unsafe { ffi::fw_host_device_is_joined(self.host.as_ptr()) }
    }

    pub(crate) fn enrolled(&self) -> u32 {
        // SAFETY: as in `controller`.
        unsafe { ffi::fw_host_device_enrolled(self.host.as_ptr()) }
    }

    pub(crate) fn text(&self, number: u8) -> String {
        // SAFETY: as in `controller`; C gives a string that ends in the configuration.
        unsafe {
            CStr::from_ptr(ffi::fw_host_device_text(self.host.as_ptr(), number))
                .to_string_lossy()
                .into_owned()
        }
    }

    pub(crate) fn script_hash(&self) -> u32 {
        // SAFETY: as in `controller`.
        unsafe { ffi::fw_host_device_script_hash(self.host.as_ptr()) }
    }

    /// Writes changed sectors into the file.
    pub(crate) fn save(&mut self) -> io::Result<()> {
        let mut sector = 0;
        loop {
            // SAFETY: as in `controller`.
            sector = unsafe { ffi::fw_host_device_changed(self.host.as_ptr(), sector) };
            let Ok(index) = usize::try_from(sector) else {
                return Ok(());
            };
            let words = index * SECTOR_BYTES / 4;
            let Some(words) = self.flash.words.get(words..words + SECTOR_BYTES / 4) else {
                return Ok(());
            };
            if let Some(file) = &mut self.flash.file {
                file.seek(SeekFrom::Start((index * SECTOR_BYTES) as u64))?;
                file.write_all(&bytes_of(words))?;
            }
            sector += 1;
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: made by `start` with this layout, and not used again.
        unsafe { dealloc(self.host.as_ptr().cast(), layout()) }
    }
}

fn layout() -> Layout {
    // SAFETY: both take nothing and return constants.
    let (bytes, align) = unsafe { (ffi::fw_host_device_bytes(), ffi::fw_host_device_align()) };
    Layout::from_size_align(bytes, align).unwrap_or_else(|_| unreachable!("C gave a real layout"))
}
