#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| toe_testbench::fuzzing::connections_cu(input));
