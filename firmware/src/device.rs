//! What is around a controller's core: flash, and what is kept there.

#![expect(unsafe_code, reason = "the C core is called through raw pointers")]

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    ffi::{CStr, CString},
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    ptr::NonNull,
};

use crate::{
    ffi::{self, FwBoard, FwController, FwHostApi, FwHostDevice, FwPin, FwPort, FwSettings},
    script::Board,
};

/// `FW_HOST_FLASH_BYTES` and `FW_SECTOR_BYTES`.
const FLASH_BYTES: usize = 0x10_0000;
const SECTOR_BYTES: usize = 0x1000;

/// A megabyte of flash, as a chip has it. Cut off from its controller it is what a board in a drawer
/// has in it.
pub struct Flash {
    words: Box<[u32]>,
    file: Option<File>,
    /// On the heap: C keeps a pointer to it.
    update_key: Option<Box<[u8; 32]>>,
}

impl Flash {
    /// A blank one, which is gone when it is dropped.
    pub fn blank() -> Self {
        Self {
            words: vec![u32::MAX; FLASH_BYTES / 4].into_boxed_slice(),
            file: None,
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
        let word = |bytes: &[u8]| u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        Ok(Self {
            words: bytes.chunks_exact(4).map(word).collect(),
            file: Some(file),
            update_key: None,
        })
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
    _pins: Box<[FwPin]>,
    _board: Board,
}

impl Device {
    /// Starts one; `None` if C did not take the settings.
    ///
    /// # Safety
    /// The port, and what the settings point to, must outlive it.
    pub(crate) unsafe fn start(
        settings: FwSettings,
        port: *const FwPort,
        flash: Flash,
        source: &[u8],
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
            _pins: pins,
            _board: names,
        };
        device.boot(RESET_POWER).then_some(device)
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

    /// Begins anew over what is in flash.
    pub(crate) fn restart(&mut self) {
        // What was taken once is taken again.
        let taken = self.boot(RESET_COMMANDED);
        debug_assert!(taken, "the settings were good before");
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

    /// Gives it a radio, and these networks around it: name and password. False: there are too many, or a
    /// text is none.
    pub(crate) fn add_radio(&mut self, networks: &[(String, String)]) -> bool {
        // SAFETY: as in `controller`; C copies the texts.
        unsafe { ffi::fw_host_device_add_radio(self.host.as_ptr()) };
        networks.iter().all(|(name, password)| {
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

    pub(crate) fn gateway(&self, index: u8) -> Option<String> {
        // SAFETY: as in `controller`; C gives a string that ends in the configuration.
        let text = unsafe {
            CStr::from_ptr(ffi::fw_host_device_gateway(self.host.as_ptr(), index))
                .to_string_lossy()
                .into_owned()
        };
        (!text.is_empty()).then_some(text)
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
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
                file.seek(SeekFrom::Start((index * SECTOR_BYTES) as u64))?;
                file.write_all(&bytes)?;
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

/// `fw_reset_t`.
const RESET_POWER: u8 = 0;
const RESET_COMMANDED: u8 = 3;

fn layout() -> Layout {
    // SAFETY: both take nothing and return constants.
    let (bytes, align) = unsafe { (ffi::fw_host_device_bytes(), ffi::fw_host_device_align()) };
    Layout::from_size_align(bytes, align).unwrap_or_else(|_| unreachable!("C gave a real layout"))
}
