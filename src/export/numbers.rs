//! Numbers of a TorchScript module as its attributes instead of its text.
//!
//! libtorch writes a module's code through C++ streams, which take the process's C++ locale: where an application has set one that
//! groups digits or has a decimal comma, 1280 becomes "1.280" and 0.5 "0,5", and nobody can read the module. The locale is the
//! application's and holds for all its threads, so it is left alone. Attributes are pickled, not printed.

use crate::torch::compile::Number;

/// `source` with `self.kN` where a number of two digits or more, or with a fraction, stood; and the numbers. Digits in names stay.
pub(super) fn hoisted(source: &str) -> (String, Vec<(String, Number)>) {
    let (mut text, mut numbers) = (String::with_capacity(source.len()), Vec::new());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let word = rest.len() - rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').len();
        if word == 0 {
            text.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let length = if first.is_ascii_digit() { number_length(rest) } else { word };
        let token = &rest[..length];
        let number = match first.is_ascii_digit() && token.len() > 1 {
            true => token.parse().map(Number::Int).or_else(|_| token.parse().map(Number::Float)).ok(),
            false => None,
        };
        match number {
            Some(number) => {
                let known = numbers.iter().position(|&(_, other)| other == number);
                let index = known.unwrap_or(numbers.len());
                let name = format!("k{index}");
                text += &format!("self.{name}");
                if known.is_none() {
                    numbers.push((name, number));
                }
            }
            None => text += token,
        }
        rest = &rest[length..];
    }
    (text, numbers)
}

/// How long the number is that `text` begins with: digits, a fraction, an exponent.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let after = digits(end + 1 + sign);
        if after > end + 1 + sign {
            end = after;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_and_names_stay() {
        let source = "def f(self, x12: Tensor):\n    x3 = torch.clamp_min(x12, 1e-12) + self.w1280\n    \
                      return torch.hardtanh(x3, 0., 6.) * 1280 // 3 + 1.5e+3 - 1280 + parts[0]\n";
        let (text, numbers) = hoisted(source);
        assert_eq!(
            text,
            "def f(self, x12: Tensor):\n    x3 = torch.clamp_min(x12, self.k0) + self.w1280\n    \
             return torch.hardtanh(x3, self.k1, self.k2) * self.k3 // 3 + self.k4 - self.k3 + parts[0]\n"
        );
        let values: Vec<Number> = numbers.iter().map(|&(_, number)| number).collect();
        let float = Number::Float;
        assert_eq!(values, [float(1e-12), float(0.0), float(6.0), Number::Int(1280), float(1500.0)]);
    }
}
