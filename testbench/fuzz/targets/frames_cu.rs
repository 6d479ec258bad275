#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| toe_testbench::fuzzing::frames_cu(input));
