//! Repeated measurements of the same thing.

/// Values of one quantity, one per turn.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample(Vec<f64>);

impl Sample {
    pub(super) fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(super) fn values(&self) -> &[f64] {
        &self.0
    }

    /// The middle value; the mean of the two in the middle of an even number; 0 of none.
    pub(super) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let half = sorted.len() / 2;
        match sorted.len() {
            0 => 0.0,
            n if n % 2 == 1 => sorted[half],
            _ => f64::midpoint(sorted[half - 1], sorted[half]),
        }
    }

    pub(super) fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(super) fn max(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// Turn by turn, this divided by `base`: load that comes and goes on the machine falls on
    /// neighbouring turns alike, and cancels out.
    pub(super) fn over(&self, base: &Self) -> Self {
        Self(self.0.iter().zip(&base.0).filter(|(_, b)| **b > 0.0).map(|(a, b)| a / b).collect())
    }

    /// `median (min to max)` with `digits` after the point.
    pub(super) fn spread(&self, digits: usize) -> String {
        if self.0.is_empty() {
            return "not measured".to_owned();
        }
        format!("{:.digits$} ({:.digits$} to {:.digits$})", self.median(), self.min(), self.max())
    }
}

/// `123456.7` as `123,457`.
pub(super) fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value <= -0.5 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::{Sample, grouped};

    #[test]
    fn medians_and_ratios() {
        let odd = Sample(vec![3.0, 1.0, 2.0]);
        assert!((odd.median() - 2.0).abs() < 1e-9);
        let even = Sample(vec![4.0, 1.0, 2.0, 3.0]);
        assert!((even.median() - 2.5).abs() < 1e-9);
        assert!(Sample::default().median().abs() < 1e-9);
        // The second turn had half the machine; the ratio does not show it.
        let ratio = Sample(vec![80.0, 40.0]).over(&Sample(vec![100.0, 50.0]));
        assert_eq!(ratio.spread(2), "0.80 (0.80 to 0.80)");
        assert_eq!(Sample::default().spread(2), "not measured");
    }

    #[test]
    fn thousands_are_grouped() {
        let texts = [7.4, 999.0, 1_000.0, 123_456.7, -1_234_567.0].map(grouped);
        assert_eq!(texts, ["7", "999", "1,000", "123,457", "-1,234,567"]);
    }
}
