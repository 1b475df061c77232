//! Times as people read them.
//!
//! Not here: a clock. Whoever asks says what time it is, and how far local time is from UTC.

const DAY: i64 = 24 * 60;
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

/// A moment on a local clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// Minutes since 1970, local.
    minutes: i64,
}

impl Local {
    /// From milliseconds since 1970, and the minutes that local time is ahead of UTC.
    pub fn new(at: u64, ahead: i32) -> Local {
        // A hub's clock may say anything: the year 10,000 is as good an end as any.
        let minutes = i64::try_from(at / 60_000).unwrap_or(i64::MAX).min(253_402_300_799 / 60);
        Local { minutes: minutes + i64::from(ahead) }
    }

    /// Its day, counted since 1970.
    pub fn day(self) -> i64 {
        self.minutes.div_euclid(DAY)
    }

    /// `14:05`
    pub fn time(self) -> String {
        let minute = self.minutes.rem_euclid(DAY);
        format!("{:02}:{:02}", minute / 60, minute % 60)
    }

    /// `Today`, `Yesterday`, or `Monday, 23 November 2026`.
    pub fn day_name(self, now: Local) -> String {
        match now.day() - self.day() {
            0 => "Today".into(),
            1 => "Yesterday".into(),
            _ => {
                let (year, month, day) = civil(self.day());
                format!("{}, {day} {} {year}", self.weekday(), MONTHS[month - 1])
            }
        }
    }

    /// As short as it is clear in a list: `14:05`, `Yesterday`, `Monday`, `23 Nov`, `23 Nov 2025`.
    pub fn short(self, now: Local) -> String {
        let ((year, month, day), (this_year, ..)) = (civil(self.day()), civil(now.day()));
        let month = &MONTHS[month - 1][..3];
        match now.day() - self.day() {
            0 => self.time(),
            1 => "Yesterday".into(),
            2..7 => self.weekday().into(),
            _ if year == this_year => format!("{day} {month}"),
            _ => format!("{day} {month} {year}"),
        }
    }

    fn weekday(self) -> &'static str {
        // 1 January 1970 was a Thursday.
        WEEKDAYS[(self.day() + 3).rem_euclid(7) as usize]
    }
}

/// Year, month and day of a day since 1970 (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, usize, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month as usize, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 23 November 2026, 13:04:27 UTC, a Monday.
    const NOW: u64 = 1_795_439_067_000;

    #[test]
    fn days_and_times() {
        let now = Local::new(NOW, 0);
        assert_eq!((now.time(), now.day_name(now)), ("13:04".into(), "Today".into()));
        let ago = |minutes: u64| Local::new(NOW - minutes * 60_000, 0);
        assert_eq!(ago(24 * 60).day_name(now), "Yesterday");
        assert_eq!(ago(2 * 24 * 60).day_name(now), "Saturday, 21 November 2026");
        assert_eq!(Local::new(0, 0).day_name(now), "Thursday, 1 January 1970");
        assert_eq!(Local::new(951_782_400_000, 0).day_name(now), "Tuesday, 29 February 2000");
        let short = |days: u64| ago(days * 24 * 60).short(now);
        assert_eq!([short(0), short(1), short(6), short(7), short(400)], ["13:04", "Yesterday", "Tuesday", "16 Nov", "19 Oct 2025"]);
    }

    #[test]
    fn the_local_day_is_what_counts() {
        let late = Local::new(NOW, 11 * 60);
        assert_eq!((late.time(), late.day()), ("00:04".into(), Local::new(NOW, 0).day() + 1));
        assert_eq!(Local::new(0, -60).time(), "23:00");
        assert!(!Local::new(u64::MAX, 840).day_name(late).is_empty(), "any clock can be shown");
    }
}
