//! Takes Espressif's stub for the chip's memory out of the npm package `esptool-js`, which the page's folder declares.
//! Where it is not installed the flasher is built without, and the ROM alone does the work.

use std::{env, error::Error, fs, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;

const IN_PACKAGE: &str = "esptool-js/lib/targets/stub_flasher/esp8266.json";

fn main() -> Result<(), Box<dyn Error>> {
    let root = env::var("CARGO_MANIFEST_DIR")?;
    let path = Path::new(&root)
        .join("../../ui/node_modules")
        .join(IN_PACKAGE);
    println!("cargo::rerun-if-changed={}", path.display());
    let out = env::var("OUT_DIR")?;
    let mut code = String::from("None");
    if path.exists() {
        let stub: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        let part = |name: &str| -> Result<Vec<u8>, Box<dyn Error>> {
            let text = stub[name].as_str().ok_or("expected the stub's parts")?;
            Ok(BASE64_STANDARD.decode(text)?)
        };
        let number = |name: &str| stub[name].as_u64().ok_or("expected the stub's addresses");
        code = format!(
            "Some(Stub {{ text: vec!{:?}, text_address: {}, data: vec!{:?}, data_address: {}, entry: {} }})",
            part("text")?,
            number("text_start")?,
            part("data")?,
            number("data_start")?,
            number("entry")?
        );
    }
    fs::write(Path::new(&out).join("stub.rs"), code)?;
    Ok(())
}
