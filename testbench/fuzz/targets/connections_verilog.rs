#![no_main]
// An input of nothing first: the board may have to be compiled, for which no input has the time.
libfuzzer_sys::fuzz_target!(init: toe_testbench::fuzzing::connections_verilog(&[]), |input: &[u8]| {
    toe_testbench::fuzzing::connections_verilog(input)
});
