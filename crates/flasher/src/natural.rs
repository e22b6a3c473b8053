//! The order in which people count: `COM7` stands before `COM10`.

use std::cmp::Ordering;

/// Compares two names, runs of digits by their value and everything else by its bytes. Total: names that differ only
/// in leading zeros are told apart by their bytes.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a.as_bytes(), b.as_bytes());
    while let (Some(&byte_a), Some(&byte_b)) = (rest_a.first(), rest_b.first()) {
        let order = if byte_a.is_ascii_digit() && byte_b.is_ascii_digit() {
            let (digits_a, digits_b) = (digits(&mut rest_a), digits(&mut rest_b));
            // Without leading zeros the longer number is the greater, however many digits it has.
            digits_a
                .len()
                .cmp(&digits_b.len())
                .then_with(|| digits_a.cmp(digits_b))
        } else {
            rest_a = &rest_a[1..];
            rest_b = &rest_b[1..];
            byte_a.cmp(&byte_b)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    rest_a.len().cmp(&rest_b.len()).then_with(|| a.cmp(b))
}

/// Takes the leading digits off `rest` and returns them without their leading zeros.
fn digits<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, after) = rest.split_at(count);
    *rest = after;
    let zeros = number.iter().take_while(|&&byte| byte == b'0').count();
    &number[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_as_people_do() {
        let ascending = [
            "",
            "/dev/ttyACM0",
            "/dev/ttyUSB",
            "/dev/ttyUSB0",
            "/dev/ttyUSB2",
            "/dev/ttyUSB10",
            "/dev/ttyUSB10a",
            "/dev/ttyUSB010b",
            "/dev/ttyUSB99999999999999999999999998",
            "/dev/ttyUSB99999999999999999999999999",
            "COM7",
            "COM10",
        ];
        for (at, a) in ascending.iter().enumerate() {
            for (bt, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a, b), at.cmp(&bt), "{a:?} against {b:?}");
            }
        }
    }

    #[test]
    fn tells_leading_zeros_apart() {
        assert_eq!(compare("COM7", "COM7"), Ordering::Equal);
        assert_ne!(compare("COM07", "COM7"), Ordering::Equal);
        assert_eq!(compare("COM07", "COM7"), compare("COM7", "COM07").reverse());
    }
}
