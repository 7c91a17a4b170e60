//! Arbitrary bytes as a capture file, whose frames go the whole way to calls: nothing may panic, how
//! the file arrives makes no difference, and in the end nothing is held.
#![no_main]

use std::io::{self, Read};

use libfuzzer_sys::fuzz_target;
use remora_dissect::engine::{Engine, FlowIds};
use remora_dissect::file::{CaptureFile, Frame};
use remora_dissect::{Limits, Problem, Sink};
use remora_model::{Call, CaptureSource, FlowRow};

/// Counts what the engine finds.
#[derive(Default)]
struct Counts {
    calls: u64,
    flows: u64,
    problems: u64,
}

impl Sink for Counts {
    fn call(&mut self, _: &Call<'_>) {
        self.calls += 1;
    }
    fn flow(&mut self, _: &FlowRow<'_>) {
        self.flows += 1;
    }
    fn problem(&mut self, _: Problem, _: u64) {
        self.problems += 1;
    }
}

/// Gives a few bytes at a time.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.0.len().min(buf.len()).min(7);
        let (now, later) = self.0.split_at(n);
        buf[..n].copy_from_slice(now);
        self.0 = later;
        Ok(n)
    }
}

/// Shows every frame to `f`; the fault at the end, in words.
fn read(file: impl Read, mut f: impl FnMut(Frame<'_>)) -> Option<String> {
    let mut file = match CaptureFile::new(file) {
        Ok(file) => file,
        Err(e) => return Some(e.to_string()),
    };
    let fault = loop {
        match file.next_frame() {
            Ok(Some(frame)) => f(frame),
            Ok(None) => break None,
            Err(e) => break Some(e.to_string()),
        }
    };
    assert!(matches!(file.next_frame(), Ok(None)), "the end is final");
    fault
}

fuzz_target!(|data: &[u8]| {
    let limits = Limits { payload: 256, pending: 4, flows: 16, ..Limits::default() };
    let mut engine = Engine::new(limits, CaptureSource::File, FlowIds::new(1, 1));
    let (mut found, mut frames) = (Counts::default(), 0_usize);
    let fault = read(data, |f| {
        assert!(f.wire_len as usize >= f.bytes.len());
        engine.frame(f.ts, f.link, f.bytes, f.wire_len, &mut found);
        frames += 1;
    });
    engine.finish(&mut found);
    let left = engine.stats();
    assert_eq!((left.flows, left.bytes, left.fragments), (0, 0, 0));

    let mut again = 0;
    assert_eq!(read(Trickle(data), |_| again += 1), fault);
    assert_eq!(again, frames);
});
