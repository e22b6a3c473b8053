//! The chip's instruction set, by QEMU.

use std::{path::Path, process::Command};

/// The controller's image among the programs.
pub const LX106_CONTROLLER: &str = "switchyard-lx106.elf";

/// The command that runs an image of `firmware/port/qemu`, which gets the words as its arguments. Its
/// descriptors 0 to 2 are those of QEMU.
pub fn lx106_command(image: &Path, words: &[&str]) -> Command {
    let mut settings = String::from("enable=on,target=native,arg=firmware");
    for word in words {
        settings.push_str(",arg=");
        settings.push_str(word);
    }
    let mut qemu = Command::new("qemu-system-xtensa");
    qemu.args(["-machine", "sim", "-cpu", "lx106", "-display", "none"])
        .args(["-serial", "none", "-monitor", "none"])
        .args(["-semihosting-config", &settings, "-kernel"])
        .arg(image);
    qemu
}
