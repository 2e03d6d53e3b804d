//! What holds for every schedule, and what schedules say when they are wrong.

#![expect(clippy::unwrap_used, reason = "a broken schedule ends the test")]

use std::time::{Duration, Instant};

use go_cron::{Schedule, ScheduleError};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn refused(expr: &str, time_zone: Option<&str>) -> String {
    Schedule::parse(expr, time_zone).unwrap_err().to_string()
}

#[test]
fn errors_say_what_is_allowed() {
    insta::assert_snapshot!(refused("", None), @"the schedule is empty: it needs five fields, minute hour day-of-month month day-of-week");
    insta::assert_snapshot!(refused("@daily", None), @r#""@daily" is not supported: write five fields, such as "0 9 * * 1-5""#);
    insta::assert_snapshot!(refused("0 0 9 * * 1", None), @r#""0 0 9 * * 1" has 6 fields: a schedule has exactly five, minute hour day-of-month month day-of-week"#);
    insta::assert_snapshot!(refused("0 9 * * 7", None), @r#"day-of-week "7": 7 is above 6; allowed are 0-6, sun-sat, *, ?, ranges a-b, steps /n, lists a,b"#);
    insta::assert_snapshot!(refused("*/0 * * * *", None), @r#"minute "*/0": the step of "*/0" must be positive; allowed are 0-59, *, ?, ranges a-b, steps /n, lists a,b"#);
    insta::assert_snapshot!(refused("0 0 1 january *", None), @r#"month "january": "january" is not a number; allowed are 1-12, jan-dec, *, ?, ranges a-b, steps /n, lists a,b"#);
    insta::assert_snapshot!(refused("0 17-9 * * *", None), @r#"hour "17-9": "17-9" begins after its end; allowed are 0-23, *, ?, ranges a-b, steps /n, lists a,b"#);
    insta::assert_snapshot!(refused("0 9 * * *", Some("Berlin")), @r#""Berlin" is not a time zone: use a name of the IANA database, such as Europe/Berlin, or UTC"#);
    insta::assert_snapshot!(refused("TZ=UTC", None), @r#""TZ=UTC" names a time zone only: write a space and five fields after it"#);
    insta::assert_snapshot!(refused("TZ=UTC 0 9 * * *", Some("Europe/Berlin")), @r#"the schedule names the time zone "UTC", and "Europe/Berlin" is given beside it: give one of them"#);
}

#[test]
fn the_zone_beside_the_schedule_means_the_same_as_the_one_in_it() {
    let from = at("2026-03-27T20:00:00Z");
    let beside = Schedule::parse("30 2 * * *", Some("Europe/Berlin")).unwrap();
    let inside = Schedule::parse("CRON_TZ=Europe/Berlin 30 2 * * *", None).unwrap();
    let mut time = from;
    for _ in 0..10 {
        assert_eq!(beside.next_after(time), inside.next_after(time));
        time = beside.next_after(time).unwrap();
    }
}

#[test]
fn a_schedule_that_never_matches_ends_at_once() {
    for expr in [
        "0 0 30 2 *",
        "0 0 31 2,4,6,9,11 ?",
        ", * * * *",
        "* , * * *",
        "* * * , *",
        "0 0 , * ,",
        "0 0 29 2 ,",
    ] {
        let start = Instant::now();
        let schedule = Schedule::parse(expr, Some("America/New_York")).unwrap();
        let next = schedule.next_after(at("2096-03-01T00:00:00Z"));
        assert_eq!(next, None, "{expr}");
        assert!(start.elapsed() < Duration::from_secs(1), "{expr}");
    }
    // 2100 is no leap year: more than five years to the next 29 February.
    let schedule = Schedule::parse("0 0 29 2 *", None).unwrap();
    assert_eq!(schedule.next_after(at("2097-01-01T00:00:00Z")), None);
}

#[test]
fn the_ends_of_time_are_no_match() {
    let schedule = Schedule::parse("* * * * *", Some("Asia/Kathmandu")).unwrap();
    assert_eq!(schedule.next_after(Timestamp::MAX), None);
    assert!(schedule.next_after(Timestamp::MIN).is_some());
}

#[test]
fn a_swallowed_day_ends_the_search() {
    // Samoa skipped 30 December 2011; the original never comes back from that.
    let schedule = Schedule::parse("45 0-3 15 * *", Some("Pacific/Apia")).unwrap();
    let start = Instant::now();
    let _ = schedule.next_after(at("2011-12-29T12:00:12Z"));
    assert!(start.elapsed() < Duration::from_secs(1));
}

fn field(least: u8, most: u8) -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("*".to_owned()),
        1 => Just("?".to_owned()),
        2 => (1u8..40).prop_map(|step| format!("*/{step}")),
        3 => (least..=most).prop_map(|value| value.to_string()),
        2 => (least..=most, least..=most).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => prop::collection::vec(least..=most, 1..4)
            .prop_map(|values| values.iter().map(u8::to_string).collect::<Vec<_>>().join(",")),
    ]
}

fn zone() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "UTC",
        "America/New_York",
        "America/Santiago",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Africa/Cairo",
        "Pacific/Chatham",
        "Antarctica/Troll",
        "America/St_Johns",
        "Asia/Beirut",
        "Pacific/Apia",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in any::<String>(), zone in proptest::option::of(any::<String>())) {
        let _ = Schedule::parse(&text, zone.as_deref());
    }

    #[test]
    fn any_fields_are_answered(text in "(TZ=UTC )?[0-9*?/,+a-zL#-]{1,6}( [0-9*?/,+a-zL#-]{1,6}){4}", seconds in -60_000_000_000i64..200_000_000_000) {
        match Schedule::parse(&text, None) {
            Ok(schedule) => {
                let from = Timestamp::from_second(seconds).unwrap();
                prop_assert!(schedule.next_after(from).is_none_or(|next| next > from));
            }
            Err(ScheduleError::Field(error)) => prop_assert!(text.contains(&error.text)),
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    #[test]
    fn ticks_are_whole_minutes_after_their_start(
        fields in (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)),
        zone in zone(),
        seconds in 0i64..4_000_000_000,
        nanos in 0i32..1_000_000_000,
    ) {
        let expr = format!("{} {} {} {} {}", fields.0, fields.1, fields.2, fields.3, fields.4);
        let schedule = Schedule::parse(&expr, Some(zone)).unwrap();
        let from = Timestamp::new(seconds, nanos).unwrap();
        if let Some(next) = schedule.next_after(from) {
            prop_assert!(next > from);
            prop_assert_eq!(next.to_zoned(TimeZone::get(zone).unwrap()).second(), 0);
            // Nothing is left out: from a second earlier, the same tick comes.
            let before = Timestamp::from_second(next.as_second() - 1).unwrap();
            if before >= from {
                prop_assert_eq!(schedule.next_after(before), Some(next));
            }
        }
    }
}
