//! The host's commands: active open (RFC 9293 section 3.10.1), and options of a connection ([`ConnectionOption`]). Record: ports, address, and one word of
//! owner, option and value. An open has no option, but may ask for ECN, and its value is a DSCP ([`open`]).
//!
//! An option is set by the application that owns the connection, from the time that it was opened, or its SYN came, until TIME-WAIT; it lasts as long as the connection. (Before it is told of a passive one it may be lost: where a cookie's ACK takes the place of the half-open connection.) All else is refused
//! and counted `ConnectRefused`: no connection of that tuple, one that is over or in TIME-WAIT, another application's, an option that there isn't, a value that is too large.
//!
//! A command takes 73 cycles at most; while options are set the common segment takes none more, a tail 2, the first retransmission of a loss up to 20 (under a user timeout). Without [`ToeConfig::complete`] there are no options: then every command is an open.
use super::handshake::no_peer;
use super::marks::*;
use super::words::*;
use super::{constant, flags, none, state, timer, zero};
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::tcp::asm::{flags::*, k, operands::*, Asm};
use crate::tcp::isa::cmd;

/// What an application may set for a connection of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionOption {
    /// Nagle's algorithm is off (RFC 9293 section 3.7.4): text goes at once if the windows allow, whatever is on its way. What waits goes with the command.
    NoDelay(bool),
    /// After so many seconds of silence the peer is asked whether it lives (RFC 9293 section 3.8.4), if nothing is outstanding; then every 4 s, and after
    /// [`constant::KEEPALIVE_PROBES`] without an answer the connection is given up. 0: never, as a connection begins. 1: after [`constant::KEEPALIVE_IDLE`]. Silence
    /// is counted from the command on, and in whole intervals of 4 s: so the first probe goes up to two intervals later.
    Keepalive(u16),
    /// So many seconds, at most [`constant::USER_TIMEOUT_MOST`], text or FIN may stay unacknowledged (RFC 9293 section 3.10.8, RFC 5482 section 3) in place of
    /// [`constant::DATA_TRIES`] retransmissions, counted from when it was sent, or something was acknowledged last (on a connection with SACK, from the probe of
    /// the tail if there was one); twice RTO if that is more. 0: as a connection begins. While something is being sent again, from the command on. A SYN has its own.
    UserTimeout(u16),
    /// Congestion control is NewReno's (RFC 5681, RFC 6582) in place of CUBIC's (RFC 9438), from the command on. Refused where CUBIC is not built ([`ToeConfig::cubic`]).
    NewReno(bool),
    /// RFC 5482 section 3: the user timeout option is sent, with so many seconds (ADV_UTO), at most [`constant::USER_TIMEOUT_MOST`], and the peer's is heard: it is reported ([`crate::tcp::isa::report::USER_TIMEOUT`]), and the connection's own timeout adjusted
    /// to both (section 3.1), unless [`ConnectionOption::UserTimeout`] is set. 0: neither, as a connection begins; a timeout that was adjusted stays. Refused where it is not built ([`ToeConfig::user_timeout_option`]).
    TimeoutOption(u16),
    /// What is sent has this DSCP from the command on (RFC 9293 section 3.9.2.1, RFC 2474), at most [`DSCP_MOST`], but RST, SYN-ACK and what TIME-WAIT answers, which have 0. A connection begins with 0, or with what its [`open`] says.
    Diffserv(u8),
}

impl ConnectionOption {
    /// The option's number, and from bit 8 on its value, as the port `command_option` takes them.
    pub const fn word(self) -> u32 {
        match self {
            Self::NoDelay(on) => NO_DELAY | (on as u32) << 8,
            Self::Keepalive(seconds) => KEEPALIVE | (seconds as u32) << 8,
            Self::UserTimeout(seconds) => USER_TIMEOUT_NUMBER | (seconds as u32) << 8,
            Self::NewReno(on) => NEW_RENO | (on as u32) << 8,
            Self::TimeoutOption(seconds) => TIMEOUT_OPTION | (seconds as u32) << 8,
            Self::Diffserv(class) => DIFFSERV | (class as u32) << 8,
        }
    }
}

/// Six bits.
pub const DSCP_MOST: u8 = 63;

/// What the port `command_option` has for an active open: whether it asks for ECN ([`super::ecn`]), and the DSCP of all that it sends, its SYN too. Zero is an open with neither. A DSCP above [`DSCP_MOST`] is refused, and so is ECN without [`ToeConfig::ecn`], as no option of that number.
pub const fn open(ecn: bool, dscp: u8) -> u32 {
    (OPEN_WITH_ECN * ecn as u32) | ((dscp as u32) << 8)
}

/// The state word `flags` is made from it by the shift that makes it from the owner.
const OPEN_WITH_ECN: u32 = flags::ECN >> 16;

/// Numbers of options.
const NO_DELAY: u32 = 1;
const KEEPALIVE: u32 = 2;
const USER_TIMEOUT_NUMBER: u32 = 3;
const NEW_RENO: u32 = 4;
const DIFFSERV: u32 = 5;
const TIMEOUT_OPTION: u32 = 6;

pub(super) fn command(a: &mut Asm, config: &ToeConfig) {
    a.label("command");
    if config.complete() {
        a.shr8(SEG_CTL).acc().not_zero(A);
        a.when(A).br("option");
        a.label("command.open");
    }
    if config.hardened() {
        a.note("MUST-46: an OPEN to an address that no peer has");
        no_peer(a, config);
        a.when(B).br(".bad_address");
        a.ld(SEG_IP);
    }
    a.cmd_a(cmd::LOOKUP, SEG_PORTS);
    a.when(OK).br(".refused");
    a.cmd_a(cmd::ALLOC, SEG_PORTS);
    a.unless(OK).br(".refused");
    a.ld(RESULT2).zero(A);
    a.cmd_a(cmd::SETCONN, RESULT);
    a.unless(A).count(Cause::Recycled.number());
    a.call("new_connection");
    a.shl8(SEG_CTL).st(FLAGS);
    a.ldi(state::SYN_SENT).st(STATE);
    a.note("while ARP does not answer it is asked again each eighth of RTO, which each time is doubled");
    a.ldi(8 * constant::ARP_RETRY).st(RTO);
    zero(a, RCV_NXT);
    if config.complete() {
        super::cookies::not_short(a, config);
        a.timer_clear(timer::KEEPALIVE);
    }
    a.ldi(flags::APP).or(FLAGS).to(FLAGS);
    a.cmd_a(cmd::RX_INIT, k(0));
    if config.complete() {
        a.cmd_a(cmd::DIFFSERV, SEG_CTL);
    }
    if config.ethernet {
        none(a, MAC_HI);
        route(a, config);
    } else {
        a.ldi(constant::RTO_INITIAL).st(RTO);
        a.br("send_first_syn");
        a.label("connect_route");
        a.count(Cause::Retransmit.number());
        a.br("send_first_syn");
    }
    a.label("command.refused");
    a.note("no slot, or the tuple is in use; COUNT clears OK");
    a.ldi(1);
    if config.syn_cookies {
        a.or(SHORT);
    }
    a.unless(OK).st(SHORT);
    if config.hardened() {
        a.label("command.bad_address");
    }
    a.count(Cause::ConnectRefused.number());
    a.done();
    if config.complete() {
        option(a, config);
    }
}

/// An option of a connection.
fn option(a: &mut Asm, config: &ToeConfig) {
    a.label("option")
        .note("its number, and (acc) its value")
        .st(T1);
    a.shr16(SEG_CTL).st(T0);
    a.ldi(0xFF).and(T1).st(T1);
    a.note("or an open that asks for ECN, or has a DSCP (not b)");
    a.ldi(u32::from(DSCP_MOST)).sub(T0).sign(B);
    let asks = if config.ecn { OPEN_WITH_ECN } else { 0 };
    a.ldi(0xFF & !asks).and(T1).zero(A);
    a.when(B).clear(A);
    a.when(A).br("command.open");
    a.ld(SEG_IP);
    a.cmd_a(cmd::LOOKUP, SEG_PORTS);
    a.unless(OK).br("command.bad_address");
    a.cmd_a(cmd::SETCONN, RESULT);
    a.note("its application's, and not over")
        .ldi(state::TIME_WAIT)
        .xor(STATE)
        .zero(A);
    a.ld(STATE).or_zero(A);
    a.shr8(FLAGS).xor(SEG_CTL).st(T2);
    a.ldi(NO_DELAY).xor(T1).zero(B);
    a.ldi(KEEPALIVE).xor(T1).zero(C);
    a.ldi(0xFF).and(T2).or_not_zero(A);
    a.when(A).br("command.bad_address");
    a.ld(k(constant::BIT_16)).st(T2);
    a.when(B).br(".set");
    a.when(C).br(".keepalive");
    if config.cubic {
        a.ldi(NEW_RENO).xor(T1).zero(B);
        a.when(B).br("new_reno");
    }
    a.ldi(DIFFSERV).xor(T1).zero(B);
    a.when(B).br(".diffserv");
    if config.user_timeout_option {
        a.ldi(TIMEOUT_OPTION).xor(T1).zero(C);
    }
    a.ldi(USER_TIMEOUT_NUMBER).xor(T1).not_zero(A);
    if config.user_timeout_option {
        a.when(C).clear(A);
    }
    a.shr3(k(constant::BIT_16)).rsb(T0).or_not_sign(A);
    a.when(A).br("command.bad_address");
    if config.user_timeout_option {
        a.when(C).br("timeout_option");
    }
    a.note("1,000 ticks a second: 1,024 less 3 times 8");
    a.shl3(T0).st(T1);
    a.shl1(k(constant::BIT_16)).st(T2);
    a.ld(TRIES).not_zero(B);
    a.label("option.timed");
    a.shl8(T1).st(T_CTL);
    a.ld(T0).zero(A);
    a.when(A).clear(B);
    a.shr1(T_CTL).sub(T1).sub(T1).sub(T1).st(T1);
    a.st(USER_TIMEOUT);
    if config.user_timeout_option {
        a.when(C).br("timeout_since");
        a.label(".since");
    }
    a.note("what is being sent again has all of it from now on")
        .when(B)
        .timer_set(timer::TIME_WAIT, T1);
    a.label(".set");
    a.ld(T0).zero(A);
    a.ld(T2).or(FLAGS);
    a.when(A).xor(T2);
    a.st(FLAGS);
    a.note("what Nagle held").cmd(cmd::POST);
    a.done();

    a.label(".diffserv");
    a.ldi(u32::from(DSCP_MOST)).sub(T0).sign(A);
    a.when(A).br("command.bad_address");
    a.note("the builder knows it").cmd_a(cmd::DIFFSERV, SEG_CTL);
    a.done();

    a.label(".keepalive")
        .note("whole intervals, and no fewer seconds; 1 stands for the default");
    a.shl1(T0).st(T1);
    a.ldi(1).xor(T0).zero(A);
    a.ldi(0).st(IDLE);
    a.ldi(6).add(T1).st(T1);
    a.shl3(k(constant::BIT_16)).st(T2);
    a.shr3(T1);
    a.when(A)
        .ldi(constant::KEEPALIVE_IDLE * 1000 / constant::KEEPALIVE_INTERVAL);
    a.st(KEEP);
    a.br(".set");
}

/// Where the SYN goes, by ARP.
fn route(a: &mut Asm, config: &ToeConfig) {
    let own = u32::from_be_bytes(config.ip);
    let mask = u32::from_be_bytes(config.netmask);
    let gateway = u32::from_be_bytes(config.gateway);

    a.label("connect_route")
        .note("RFC 1122 section 3.3.1.1: the peer itself on the own net, else the gateway");
    if gateway == 0 {
        a.cmd_a(cmd::ARP, IP);
    } else {
        a.ld(IP).xor(k(own)).and(k(mask)).zero(A);
        a.when(A).cmd_a(cmd::ARP, IP);
        a.unless(A).cmd_a(cmd::ARP, k(gateway));
    }
    a.unless(OK).br(".wait");
    a.ld(RESULT).to(MAC_LO);
    a.ld(RESULT2).to(T1);
    if config.vlan {
        a.note("a tag may have the sign: all ones are no answer's")
            .ldi(1);
        a.add(MAC_HI).not_zero(A);
    } else {
        a.ld(MAC_HI).not_sign(A);
    }
    a.when(A).count(Cause::Retransmit.number());
    a.when(A).br(".send");
    a.note("the first SYN leaves now: tries, RTO and the round trip begin here");
    zero(a, TRIES);
    a.ld(TICK).to(TIMED_AT);
    a.ldi(constant::RTO_INITIAL).st(RTO);
    a.label(".send");
    a.ld(T1).to(MAC_HI);
    a.br("send_first_syn");
    a.label(".wait");
    a.shr3(RTO).st(T0);
    a.count(Cause::ArpWait.number());
    a.timer_set(timer::RETRANSMIT, T0);
    a.done();
}

#[cfg(test)]
mod tests {
    use super::super::script::*;
    use super::super::words::*;
    use super::ConnectionOption;
    use crate::config::{Owner, ToeConfig};
    use crate::counters::Cause;

    const FAR: [u8; 4] = [10, 9, 8, 7];

    #[test]
    fn it_waits_for_arp_and_then_sends_the_syn() {
        let mut s = Script::new();
        let known = std::mem::take(&mut s.toe.blocks.neighbours);
        s.toe
            .connect(HOST_PORT, ([192, 168, 69, 1], PEER_PORT), Owner::Host);
        s.settle()
            .silence()
            .state("SYN-SENT")
            .counted(Cause::ArpWait, 1);
        assert_eq!(s.toe.blocks.arp_requests, [0xC0A8_4501]);
        s.toe.blocks.neighbours = known;
        s.ticks(99).silence().ticks(1);
        let syn = s.next().expect("SYN");
        assert_eq!(syn.flags, SYN);
        assert_eq!((s.word(TRIES), s.word(RTO)), (0, 1000));
        s.silence().slots(1);
    }

    #[test]
    fn a_neighbour_that_never_answers_is_given_up() {
        let mut s = Script::new();
        s.toe.blocks.neighbours.clear();
        s.toe
            .connect(HOST_PORT, ([192, 168, 69, 1], PEER_PORT), Owner::Host);
        // 100 + 200 + ... + 6,400, and an eighth of the longest RTO
        s.settle().ticks(20_891).silence().state("SYN-SENT");
        s.ticks(1).silence().state("CLOSED");
        s.counted(Cause::GaveUp, 1)
            .counted(Cause::ArpWait, 8)
            .slots(0);
    }

    #[test]
    fn a_neighbour_that_takes_seconds_to_answer_is_waited_for() {
        let mut s = Script::new();
        let known = std::mem::take(&mut s.toe.blocks.neighbours);
        s.toe
            .connect(HOST_PORT, ([192, 168, 69, 1], PEER_PORT), Owner::Host);
        // 100 + 200 + 400 + 800 + 1,600 = 3,100
        s.settle().ticks(3_000).silence().state("SYN-SENT");
        s.toe.blocks.neighbours = known;
        s.ticks(99).silence().ticks(1);
        let syn = s.next().expect("SYN");
        assert_eq!(syn.flags, SYN);
        assert_eq!((s.word(TRIES), s.word(RTO)), (0, 1000));
        s.silence().slots(1);
    }

    #[test]
    fn other_nets_are_reached_through_the_gateway() {
        for (gateway, hop) in [([192, 168, 69, 1], 0xC0A8_4501), ([0; 4], 0x0A09_0807)] {
            let mut s = Script::with(ToeConfig {
                gateway,
                ..config()
            });
            s.toe.blocks.neighbours.clear();
            s.toe.connect(HOST_PORT, (FAR, 9), Owner::Host);
            s.settle();
            assert_eq!(s.toe.blocks.arp_requests, [hop]);
        }
    }

    #[test]
    fn a_tuple_in_use_and_a_full_table_are_refused() {
        let mut s = Script::established();
        s.toe
            .connect(HOST_PORT, ([192, 168, 69, 1], PEER_PORT), Owner::Host);
        s.settle()
            .silence()
            .counted(Cause::ConnectRefused, 1)
            .state("ESTABLISHED");
        for port in 0..4 {
            s.toe
                .connect(1000 + port, ([192, 168, 69, 1], PEER_PORT), Owner::Host);
        }
        s.settle().counted(Cause::ConnectRefused, 2).slots(4);
    }

    #[test]
    fn closing_and_aborting_a_syn_sent_just_ends_it() {
        for abort in [false, true] {
            let mut s = Script::new();
            s.toe
                .connect(HOST_PORT, ([192, 168, 69, 1], PEER_PORT), Owner::Host);
            s.settle();
            s.expect(SYN, 0, 0, 0);
            s.model_only("an application has no offer before the connection is open");
            if abort {
                s.abort();
            } else {
                s.close();
            }
            s.silence().state("CLOSED").slots(0);
        }
    }

    /// The engine's next event alone, which may take so many cycles.
    #[track_caller]
    fn bound(s: &mut Script, what: &str, most: u64) {
        s.toe.step().expect("no fault");
        let cycles = s.toe.cost.cycles;
        println!("{what:44} {cycles:4} cycles of {most}");
        assert!(cycles <= most, "{what}: {cycles} cycles");
        s.settle();
    }

    #[test]
    fn what_options_cost() {
        for option in [
            ConnectionOption::NoDelay(true),
            ConnectionOption::Keepalive(100),
            ConnectionOption::UserTimeout(100),
            ConnectionOption::NewReno(true),
            ConnectionOption::Diffserv(1),
            ConnectionOption::TimeoutOption(100),
        ] {
            let c = ToeConfig {
                user_timeout_option: true,
                ..config()
            };
            let mut s = Script::established_with(c, seg(SYN, 0, 0).mss(1000));
            let peer = ([192, 168, 69, 1], PEER_PORT);
            s.toe.set_option(HOST_PORT, peer, Owner::Host, option);
            bound(&mut s, &format!("{option:?}"), 120);
        }
        // The retransmission of an event of at most 170 cycles, and what the timeout takes, once in a loss.
        let mut s = Script::established();
        s.option(ConnectionOption::UserTimeout(100));
        s.write(&[2; 2000]);
        let rto = s.word(RTO);
        for _ in 0..rto {
            s.toe.tick();
        }
        bound(&mut s, "first retransmission under a user timeout", 190);
        let mut s = Script::established();
        s.option(ConnectionOption::Keepalive(4));
        for n in 0..3 {
            let ticks = s.toe.blocks.timers.next().expect("the interval");
            for _ in 0..ticks {
                s.toe.tick();
            }
            bound(&mut s, &format!("silent interval {n}, keepalive"), 130);
        }
        assert_eq!(s.next().map(|probe| probe.flags), Some(ACK));
    }
}
