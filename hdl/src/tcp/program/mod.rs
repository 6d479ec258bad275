//! TCP as a program for the engine: RFC 9293 in a thousand words, hardened in a quarter more, or nearly three thousand with all there is, a file a topic.
//!
//! | file | topic |
//! |---|---|
//! | [`receive`] | a segment arrives: tuple, acceptability, RST and SYN in a connection, text, FIN (RFC 9293 section 3.10.7.4) |
//! | [`handshake`] | LISTEN, SYN-SENT, SYN-RECEIVED (sections 3.5, 3.10.7.2 to 3.10.7.4) |
//! | [`isn`] | first sequence numbers (RFC 6528) |
//! | [`acknowledge`] | SEG.ACK, the send window (section 3.10.7.4, fifth check), round-trip times (RFC 6298) |
//! | [`transmit`] | what may be sent now, and every segment's header (sections 3.7, 3.8.6) |
//! | [`congestion`] | slow start, congestion avoidance, fast recovery (RFC 5681, RFC 6582, RFC 3042) |
//! | [`cubic`] | CUBIC (RFC 9438) |
//! | [`retransmit`] | the retransmission timer, back-off, zero-window probes, giving up (RFC 6298, sections 3.8.1, 3.8.6.1) |
//! | [`sack`] | what was lost by the peer's SACK blocks and what goes again (RFC 6675), and our own blocks (RFC 2018, RFC 2883) |
//! | [`probe`] | the probe for a loss of the tail (RFC 8985 section 7) |
//! | [`path`] | ICMP errors, path MTU (RFC 5927, RFC 1191) |
//! | [`cookies`] | SYN cookies (RFC 4987 section 3.6), the limit on the connections of one address |
//! | [`ecn`] | explicit congestion notification (RFC 3168) |
//! | [`stamps`] | timestamps, protection against wrapped sequence numbers (RFC 7323) |
//! | [`user_timeout`] | the user timeout option (RFC 5482) |
//! | [`urgent`] | urgent text is told of (section 3.8.5) |
//! | [`scale`] | the window scale (RFC 7323 section 2) |
//! | [`close`] | FIN, TIME-WAIT, RST in both directions (sections 3.5.2, 3.6) |
//! | [`timers`] | pending events: timers and the application's wishes |
//! | [`host`] | the host's commands: active open (section 3.10.1), options of a connection |
//!
//! **Flow.** Every event ends in `output`, which sends at most one segment: the next data that the peer's window takes, else a FIN that is due, else the ACK
//! that the event asked for (flag `ack_now`); after data it posts `again`, so that other connections have their turn before its next segment. While the line
//! is taken for longer than an event lasts (flag `busy`), all is left to a later event (`again`), so that it says the latest, and an ACK finds data to leave with (`ack_due`).
//! The common segment (ESTABLISHED, in order, plain ACK) falls through from the vector to `output`; whatever else there is sets `uncommon` once and branches once.
//!
//! **Every segment that reaches the engine is counted under exactly one of** `Accepted`, `Unacceptable`, `BadAck`, `NoAck`, `Refused`, `NoSlot`, `SourceLimit`, `Stray`, `BadSource`, `StaleRecord`,
//! `ResetIn`; every ICMP error under one of `IcmpStray`, `IcmpOutside`, `IcmpSoft`, `IcmpRefused`, `MtuLowered`, `MtuIgnored`. Other causes count what happened besides.
//!
//! **A peer that vanishes** costs its slot for a bounded time only: see [`constant::KEEPALIVE_INTERVAL`]. Sending again, probing a shut window, SYNs and TIME-WAIT end by timers of their own.
//!
//! **A slot's life.** `ALLOC` gives it, `FREE` ends it. Between them the application may know the connection ([`flags::APP`]); then it is told the end once
//! ([`flags::TOLD`], `NOTIFY CLOSED` or `RESET`) and the entry is freed only when its switch has answered with event `released`
//! *and* TCP is done (CLOSED, or TIME-WAIT). In TIME-WAIT tuple and numbers then move to an entry of the table that has no buffers, and the slot is free. After an orderly end the application is told `CLOSED` as soon as it
//! has read everything that came before the peer's FIN, and at the latest after [`constant::UNREAD`]: what it has not read by then is dropped.
use super::asm::{k, Asm, Flag, Operand, Program};
use super::isa::vector;
use crate::config::ToeConfig;

pub mod acknowledge;
pub mod close;
#[cfg(test)]
mod conformance;
pub mod congestion;
pub mod cookies;
pub mod cubic;
pub mod ecn;
pub mod handshake;
pub mod host;
pub mod isn;
#[cfg(test)]
mod mirror;
pub mod path;
pub mod probe;
pub mod receive;
pub mod retransmit;
pub mod sack;
pub mod scale;
#[cfg(test)]
mod script;
pub mod stamps;
pub mod timers;
pub mod transmit;
pub mod urgent;
pub mod user_timeout;

/// States of RFC 9293 section 3.3.2, numbered so that each question is one bit: bit 3, the peer's FIN has come; bit 2, our FIN has been sent;
/// bits 2 and 0, it has been acknowledged. LISTEN is no state: a listener has no connection yet.
pub mod state {
    pub const CLOSED: u32 = 0;
    pub const SYN_SENT: u32 = 1;
    pub const SYN_RECEIVED: u32 = 2;
    pub const ESTABLISHED: u32 = 3;
    pub const FIN_WAIT_1: u32 = 4;
    pub const FIN_WAIT_2: u32 = 5;
    pub const CLOSE_WAIT: u32 = PEER_FIN | ESTABLISHED;
    pub const CLOSING: u32 = PEER_FIN | FIN_WAIT_1;
    pub const TIME_WAIT: u32 = PEER_FIN | FIN_WAIT_2;
    pub const LAST_ACK: u32 = 14;
    /// The bit that the peer's FIN sets.
    pub const PEER_FIN: u32 = 8;
    /// The bit of every state whose FIN has been sent.
    pub const OWN_FIN: u32 = 4;

    /// A state's name as in the RFC.
    pub const fn name(state: u32) -> &'static str {
        match state {
            CLOSED => "CLOSED",
            SYN_SENT => "SYN-SENT",
            SYN_RECEIVED => "SYN-RECEIVED",
            ESTABLISHED => "ESTABLISHED",
            FIN_WAIT_1 => "FIN-WAIT-1",
            FIN_WAIT_2 => "FIN-WAIT-2",
            CLOSE_WAIT => "CLOSE-WAIT",
            CLOSING => "CLOSING",
            TIME_WAIT => "TIME-WAIT",
            LAST_ACK => "LAST-ACK",
            _ => "?",
        }
    }
}

/// The words of a connection's state.
pub mod words {
    use super::Operand;
    /// One of [`super::state`].
    pub const STATE: Operand = Operand::state(0, "state");
    /// remote port << 16, local port
    pub const PORTS: Operand = Operand::state(1, "ports");
    /// remote address
    pub const IP: Operand = Operand::state(2, "ip");
    pub const MAC_LO: Operand = Operand::state(3, "mac_lo");
    /// With `vlan` the tag ([`crate::net`]) is its upper half. All ones while ARP has not answered.
    pub const MAC_HI: Operand = Operand::state(4, "mac_hi");
    /// local port << 16, remote port: as sent
    pub const OUT_PORTS: Operand = Operand::state(5, "out_ports");
    /// RFC 9293 section 3.3.1. Idle: `snd_una = snd_nxt = snd_max`.
    pub const SND_UNA: Operand = Operand::state(6, "snd_una");
    /// The next sequence number to send, now or again: it goes back after a loss.
    pub const SND_NXT: Operand = Operand::state(7, "snd_nxt");
    /// The RFC's SND.NXT: one past all ever sent.
    pub const SND_MAX: Operand = Operand::state(8, "snd_max");
    pub const SND_WND: Operand = Operand::state(9, "snd_wnd");
    pub const SND_WL1: Operand = Operand::state(10, "snd_wl1");
    pub const SND_WL2: Operand = Operand::state(11, "snd_wl2");
    /// Counts the peer's FIN, unlike the receive ring's.
    pub const RCV_NXT: Operand = Operand::state(12, "rcv_nxt");
    /// Right edge of the window last advertised: RCV.NXT + RCV.WND.
    pub const RCV_ADV: Operand = Operand::state(13, "rcv_adv");
    /// Sequence number of the peer's FIN, if [`super::flags::FIN_SEEN`].
    pub const RCV_FIN: Operand = Operand::state(14, "rcv_fin");
    /// The descriptor that begins at `snd_nxt`, counted from the head of the send ring.
    pub const TX_INDEX: Operand = Operand::state(15, "tx_index");
    /// 8 · SRTT in ticks (RFC 6298 section 2).
    pub const SRTT: Operand = Operand::state(16, "srtt");
    /// 4 · RTTVAR in ticks.
    pub const RTTVAR: Operand = Operand::state(17, "rttvar");
    /// In ticks, back-off included.
    pub const RTO: Operand = Operand::state(18, "rto");
    /// Retransmissions since the last progress; while it is not zero only the timer and an ACK of something new send data.
    pub const TRIES: Operand = Operand::state(19, "tries");
    /// The segment being timed is acknowledged by this number or a later one. While none is: above `snd_max` if the override timeout runs.
    pub const TIMED_SEQ: Operand = Operand::state(20, "timed_seq");
    /// When it was sent; all ones: none is being timed (Karn's algorithm, RFC 6298 section 3).
    pub const TIMED_AT: Operand = Operand::state(21, "timed_at");
    /// Bits of [`super::flags`].
    pub const FLAGS: Operand = Operand::state(22, "flags");
    /// SMSS of RFC 5681 section 2: the most text that a segment to this peer holds.
    /// Until the send side is set up, what the record of the peer's SYN says of its options; below zero, what a cookie says ([`super::cookies`]).
    pub const MSS: Operand = Operand::state(23, "mss");
    /// [`super::dup`]: duplicate ACKs in a row (RFC 5681 section 2), fast recovery, and if `cwnd` may grow.
    pub const DUP_ACKS: Operand = Operand::state(24, "dup_acks");
    /// One past `snd_max` when sending last went back, or a later ACK: duplicates of ACKs below it say nothing of a new loss (RFC 6582 section 3.2).
    pub const RECOVER: Operand = Operand::state(25, "recover");
    /// [`super::due`]: an ACK is owed.
    pub const ACK_DUE: Operand = Operand::state(26, "ack_due");
    /// Keepalive intervals in a row that nothing acceptable came in, counted while connections are probed ([`super::constant::KEEPALIVE_PROBES`]); 1 while an application's keepalive waits for enough of them.
    pub const QUIET: Operand = Operand::state(27, "quiet");
    /// RFC 5681 section 2, in bytes. It grows no further once it is as large as the send ring, which limits the flight then.
    /// Zero in a connection whose send side was not yet set up ([`super::handshake`], `send_side`).
    pub const CWND: Operand = Operand::state(28, "cwnd");
    /// RFC 5681 section 2. With CUBIC built, less than nothing while it is still to be lowered: from what ([`super::cubic`]).
    pub const SSTHRESH: Operand = Operand::state(29, "ssthresh");
    /// Bytes acknowledged in congestion avoidance since `cwnd` last grew (RFC 5681 section 3.1: once a `cwnd` of them is acknowledged it grows by one segment).
    pub const GAIN: Operand = Operand::state(30, "gain");
    /// What the retransmission timer is set to: less than `rto` while a loss of the tail is to be probed for (RFC 8985 section 7.2). Only with SACK.
    pub const PTO: Operand = Operand::state(31, "pto");
    /// The largest `snd_wnd` of the peer's: of its SYN, or that held text back ([`super::constant::OVERRIDE`]).
    pub const MAX_WND: Operand = Operand::far_state(0, "max_wnd");
    /// What `pto` has more than two round trips and their variation: [`super::constant::PTO_MARGIN`], or [`super::constant::NO_PROBE`].
    pub const PTO_MORE: Operand = Operand::far_state(1, "pto_more");
    /// RFC 7323 section 4.3, TS.Recent: the peer's timestamp that is sent back.
    pub const TS_RECENT: Operand = Operand::far_state(2, "ts_recent");
    /// What our timestamps are ahead of the clock.
    pub const TS_OFFSET: Operand = Operand::far_state(3, "ts_offset");
    /// When `ts_recent` came (section 5.5).
    pub const TS_AGE: Operand = Operand::far_state(4, "ts_age");
    /// Last.ACK.sent (section 4.3). Kept with timestamps only.
    pub const LAST_ACK: Operand = Operand::far_state(5, "last_ack");
    /// Whole keepalive intervals of silence before the first probe, if [`super::flags::KEEPALIVE`].
    pub const KEEP: Operand = Operand::far_state(8, "keep");
    /// Whole intervals that nothing acceptable came in, counted for that.
    pub const IDLE: Operand = Operand::far_state(9, "idle");
    /// How long text may stay unacknowledged, in ticks, if [`super::flags::USER_TIMEOUT`].
    pub const USER_TIMEOUT: Operand = Operand::far_state(10, "user_timeout");
    /// RFC 5482 section 3, ADV_UTO: what the peer is told, in seconds, if [`super::flags::TIMEOUT_OPTION`]. Only with that option, as the next.
    pub const ADV_UTO: Operand = Operand::far_state(6, "adv_uto");
    /// REMOTE_UTO: the peer's option that came last, or 0, as the upper half ([`crate::tcp::isa::seg::USER_TIMEOUT`]).
    pub const REMOTE_UTO: Operand = Operand::far_state(7, "remote_uto");
    /// While something is sent again: since when it has been on its way (the long tick).
    pub const SENT_SINCE: Operand = Operand::far_state(27, "sent_since");
    // CUBIC's, in bytes unless it is said otherwise ([`super::cubic`]).
    /// RFC 9438 section 4.1.2, W_max: `cwnd` before it was lowered last, or less (section 4.7); 0: none, the plateau is where congestion avoidance begins. All ones: NewReno is chosen.
    pub const W_MAX: Operand = Operand::far_state(11, "w_max");
    /// cwnd_prior: `cwnd` before it was lowered last.
    pub const CWND_PRIOR: Operand = Operand::far_state(12, "cwnd_prior");
    /// W_est: what Reno's `cwnd` would be.
    pub const W_EST: Operand = Operand::far_state(13, "w_est");
    /// 256 W_cubic at `cubic_at`; while K is looked for, what of W_max - cwnd_epoch is still to be reached.
    pub const W_CUBIC: Operand = Operand::far_state(14, "w_cubic");
    /// Its differences: the first, second and third.
    pub const CUBIC_1: Operand = Operand::far_state(15, "cubic_1");
    pub const CUBIC_2: Operand = Operand::far_state(19, "cubic_2");
    pub const CUBIC_3: Operand = Operand::far_state(20, "cubic_3");
    /// The time, in ticks, for which `w_cubic` holds, less a round trip.
    pub const CUBIC_AT: Operand = Operand::far_state(21, "cubic_at");
    /// target - cwnd; 0 if that is less than a segment.
    pub const DELTA: Operand = Operand::far_state(22, "delta");
    /// So much of it for each ACK since `cwnd` last grew by it.
    pub const CREDIT: Operand = Operand::far_state(23, "credit");
    /// With [`super::dup::RESTED`]: since when.
    pub const RESTED_AT: Operand = Operand::far_state(24, "rested_at");
    /// `snd_max` when what is lost was sent again last: all from here on was sent after it. Only with SACK.
    pub const RESENT: Operand = Operand::far_state(16, "resent");
    /// `snd_una` when its segment, sent again, was found to be lost once more; another number says nothing. Only with SACK.
    pub const LOST_AGAIN: Operand = Operand::far_state(17, "lost_again");
    /// What the record of the peer's SYN says of its options: bit 24, it has a window scale. Only with that.
    pub const PEER_OPTIONS: Operand = Operand::far_state(28, "peer_options");
    /// `snd_max` when the timer last found nothing outstanding and nothing to send ([`super::retransmit`]). Only with SACK.
    pub const REST: Operand = Operand::far_state(18, "rest");
    /// `snd_una` when what is lost was sent again last, and the time. Only with SACK.
    pub const RESENT_UNA: Operand = Operand::far_state(29, "resent_una");
    pub const RESENT_AT: Operand = Operand::far_state(30, "resent_at");
    /// RFC 9293 section 3.8.5: one past the urgent text that was told of last. Only in the large program.
    pub const RCV_UP: Operand = Operand::far_state(31, "rcv_up");
    /// `snd_max` when an ACK's ECE lowered `cwnd` last, or a later `snd_una`: until what follows is acknowledged no other does (RFC 3168 section 6.1.2). Only with ECN.
    pub const ECN_RECOVER: Operand = Operand::far_state(25, "ecn_recover");
    /// What was on its way as the ACK came for which [`super::dup::ECE`] is set.
    pub const ECN_FLIGHT: Operand = Operand::far_state(26, "ecn_flight");
    /// Words used of the 32.
    pub const USED: usize = 32;

    /// Scratch of one event, shared by all connections.
    pub const T_SEQ: Operand = Operand::shared(0, "t_seq");
    pub const T_CTL: Operand = Operand::shared(1, "t_ctl");
    pub const T_LEN: Operand = Operand::shared(2, "t_len");
    pub const T_SUM: Operand = Operand::shared(3, "t_sum");
    pub const T0: Operand = Operand::shared(4, "t0");
    pub const T1: Operand = Operand::shared(5, "t1");
    /// When the challenge ACK sent last was due at [`super::constant::CHALLENGE_INTERVAL`]: ahead of the clock while more were sent than that allows.
    pub const CHALLENGE: Operand = Operand::far_shared(0, "challenge");
    /// What of them moves into TIME-WAIT.
    pub const T_RECENT: Operand = Operand::far_shared(1, "t_recent");
    pub const T_OFFSET: Operand = Operand::far_shared(2, "t_offset");
    /// What a segment's ACK acknowledges anew, in bytes. The same word as `t_len`: the ACK is dealt with before anything is sent.
    pub const T_ACKED: Operand = Operand::shared(2, "t_len");
    /// The same word as `t_sum`: never both in one event's way.
    pub const T2: Operand = Operand::shared(3, "t2");
    /// Not zero from the time that a newcomer finds no slot until the next one gets in. With SYN cookies that is bit 0, and the upper half that of the tick when one was sent last.
    pub const SHORT: Operand = Operand::shared(6, "short");
}

/// Bits of the state word `flags`.
pub mod flags {
    /// The application has closed its half; a FIN goes out behind the last byte.
    pub const CLOSE: u32 = 1;
    /// The application knows of this connection.
    pub const APP: u32 = 2;
    /// It has been told that the connection is over.
    pub const TOLD: u32 = 4;
    /// Its switch has forgotten the connection.
    pub const RELEASED: u32 = 8;
    /// `srtt` and `rttvar` hold a measurement.
    pub const SAMPLED: u32 = 16;
    /// The peer's FIN has been seen, in order or not, at `rcv_fin`.
    pub const FIN_SEEN: u32 = 32;
    /// Text came ahead of a gap a short while ago: every segment is acknowledged at once (RFC 5681 section 4.2), until the end of the keepalive interval.
    pub const QUICK: u32 = 64;
    /// Both ends do SACK (RFC 2018).
    pub const SACK: u32 = 128;
    /// Both ends do timestamps (RFC 7323): the sign.
    pub const STAMPED: u32 = 1 << 31;
    /// The application stands from this bit on.
    pub const OWNER_SHIFT: u32 = 8;
    // Options of the connection ([`super::host`]), each made from one constant by one shift. All are clear when a connection begins.
    /// RFC 9293 section 3.7.4: Nagle's algorithm is off.
    pub const NO_DELAY: u32 = super::constant::BIT_16;
    /// [`super::words::USER_TIMEOUT`] stands for the number of tries. The application's own, which is even, or by the peer's option, which is odd.
    pub const USER_TIMEOUT: u32 = super::constant::BIT_16 << 1;
    /// The peer is probed after [`super::words::KEEP`] intervals of silence.
    pub const KEEPALIVE: u32 = super::constant::BIT_16 << 3;
    /// RFC 5482 section 3, ENABLED: the user timeout option is sent and heard.
    pub const TIMEOUT_OPTION: u32 = 1 << 20;
    /// It is to be sent, by an event of its own.
    pub const TIMEOUT_DUE: u32 = 1 << 23;
    /// In SYN-SENT: ECN is to be asked for; later: both ends do it (RFC 3168 section 6.1.1). See [`super::ecn`].
    pub const ECN: u32 = super::constant::BIT_16 << 5;
}

/// The state word `dup_acks`. Zero in the common case.
pub mod dup {
    /// The two bits of the number of duplicate ACKs, 0 to 2; the third begins fast recovery. In recovery without SACK, and on connections with it, which count none: an ACK went alone, and what it kept from leaving comes with the next event.
    pub const TWO: u32 = 2;
    /// In fast recovery.
    pub const RECOVERY: u32 = 8;
    /// The scoreboard says what is sent next ([`super::sack`]).
    pub const SCORE: u32 = 16;
    /// `cwnd` is smaller than the send ring, so that it matters and grows.
    pub const GROWS: u32 = 4;
    /// The last segment went again as a probe (RFC 8985 section 7.3), and what was sent before is not yet all acknowledged.
    pub const PROBED: u32 = 32;
    /// New text went as that probe.
    pub const PROBED_NEW: u32 = 64;
    // CUBIC's ([`super::cubic`]).
    /// The time of congestion avoidance runs (RFC 9438 section 4.2).
    pub const EPOCH: u32 = 128;
    /// It stands still: `cwnd` is not what limits.
    pub const RESTED: u32 = 256;
    /// K is looked for.
    pub const SEARCH: u32 = 512;
    /// There is something for an event of its own to do.
    pub const DUE: u32 = 1024;

    /// What a loss that lowers `cwnd` sets besides.
    pub(super) const fn lowers(config: &super::ToeConfig) -> u32 {
        if config.cubic {
            DUE
        } else {
            0
        }
    }
    /// `cwnd` is to be lowered by an event of its own ([`super::ecn`]).
    pub const ECE: u32 = 2048;
}

/// Values of the state word `ack_due`.
pub mod due {
    /// As soon as the line has room for it, with data if there are any.
    pub const NOW: u32 = 1;
    /// With data, with the next text or when the timer expires.
    pub const DELAYED: u32 = 2;
}

/// The flags of an event.
pub mod marks {
    use super::Flag;
    /// The segment is not the common case (sticky).
    pub const UNCOMMON: Flag = Flag::new(2, "uncommon");
    /// This event must send an ACK, alone or with data.
    pub const ACK_NOW: Flag = Flag::new(3, "ack_now");
    /// Send the head whatever the window and `tries` say.
    pub const FORCE: Flag = Flag::new(4, "force");
    /// Of a moment's use only.
    pub const A: Flag = Flag::new(5, "a");
    pub const B: Flag = Flag::new(6, "b");
    pub const C: Flag = Flag::new(7, "c");
    /// What was lost goes again now, before all else; comes with [`BUSY`]. (Cleared in odd segments; a close is done with before anything is sent.)
    pub const AGAIN: Flag = Flag::new(11, "again");
    /// An ACK that leaves is to tell of what is held ahead of a gap, and what leaves may need timestamps. (SYN's place: none gets this far. A pending event may begin with it, which does no harm.)
    pub const SACK_ACK: Flag = Flag::new(9, "sack_ack");
    /// And first of this segment, whose text had come before. (RST's place; of a pending event cleared where reading is dealt with.)
    pub const DUPLICATE: Flag = Flag::new(10, "duplicate");
    /// A segment may go out beyond `cwnd` (RFC 3042), and into a small window. (The hardware presets no URG; a release is done with before anything is sent.) Before that, of a segment: it has marks of ECN, to be looked at once it is found acceptable.
    pub const LIMITED: Flag = Flag::new(13, "limited");
    /// The line is taken for longer than an event lasts: data and ACK can wait. (What a segment's ECE bit would preset, and the pending mask's bit 6.)
    pub const BUSY: Flag = Flag::new(14, "busy");
    /// The receive ring did not place this segment's payload. (Shares its number with CWR, or what the parser says of ECN there: valid only in an uncommon segment.)
    pub const NOT_PLACED: Flag = Flag::new(15, "not_placed");
}

/// Constants of the protocol. A tick is a millisecond.
pub mod constant {
    /// ACK alone, no options: data offset 5.
    pub const CTL_ACK: u32 = 0x5010_0000;
    /// SYN and ACK with one word of options.
    pub const CTL_SYN_ACK: u32 = 0x6012_0000;
    /// SYN alone, likewise.
    pub const CTL_SYN: u32 = 0x6002_0000;
    /// The FIN bit of those words, and PSH where a descriptor says so.
    pub const BIT_16: u32 = 0x0001_0000;
    /// RFC 6298 section 2.1: RTO before the first measurement.
    pub const RTO_INITIAL: u32 = 1000;
    /// RFC 6298 section 2.4 asks for 1 s. Deviation: 200 ms, as Linux has it (`TCP_RTO_MIN`); the clock granularity it was meant for is 1 ms here.
    pub const RTO_MIN: u32 = 200;
    /// RFC 6298 section 2.5: at least 60 s. What backing off reaches at most, and what a round trip must stay below to be measured: so RTO is below 5 times as much.
    pub const RTO_MAX: u32 = BIT_16;
    /// RFC 6298 section 5.7: RTO after a handshake whose SYN had to be sent again.
    pub const RTO_AFTER_SYN_LOSS: u32 = 3000;
    /// R2 of RFC 9293 section 3.8.3 (at least 100 s): retransmissions of data before giving up; with RTO_MIN and doubling this is 102 s. An application may set a time in its place ([`super::host::ConnectionOption::UserTimeout`]).
    pub const DATA_TRIES: u32 = 8;
    /// R2 for a SYN of an active open (section 3.8.3, MUST-23: at least 3 minutes): 192.5 s. Only in the large program; in the small one nobody opens.
    pub const OPEN_TRIES: u32 = 7;
    /// And for the SYN-ACK of a passive one, which nobody waits for: 127 s. A peer that still wants the connection sends its SYN again.
    pub const SYN_TRIES: u32 = 6;
    /// RFC 9293 section 3.4.1 has MSL at 2 minutes, so 240 s. Deviation: 65.5 s (Linux: a minute, `TCP_TIMEWAIT_LEN`), and less if the table of TIME-WAIT is full: then the oldest
    /// gives way. A SYN above all that was sent, or with a later timestamp, opens anew (RFC 6191).
    pub const TIME_WAIT: u32 = BIT_16;
    /// How long an application may take to read what came before the peer's FIN, once both directions are over. Its connection keeps its slot until then; what is unread afterwards is lost.
    pub const UNREAD: u32 = BIT_16 / 2;
    /// How long an active open waits before it asks the ARP cache for the second time; then twice as long, and so on, [`OPEN_TRIES`] times: 20.9 s in all.
    pub const ARP_RETRY: u32 = 100;
    /// RFC 9293 section 3.8.4, RFC 1122 section 4.2.3.6: keepalive must be off unless asked for, and then wait two hours. Here no connection is probed but whose application asks for it ([`KEEPALIVE_IDLE`]), in FIN-WAIT-2, and
    /// while slots are short: from the time that a newcomer finds none until the next one gets in. Deviation, for that time: every connection that was silent for a whole
    /// interval is probed at the end of each further one, for a peer that has vanished must not keep a living one out.
    pub const KEEPALIVE_INTERVAL: u32 = 4000;
    /// Probes in a row without an answer (section 3.8.4 asks for more than one) before the connection is reset. Deviation from R2 (section 3.8.3): data on their way do not put it off.
    pub const KEEPALIVE_PROBES: u32 = 8;
    /// Ticks after which a peer that has vanished has lost its slot once a newcomer was refused: what is left of an interval, the silent one, one for each probe, one for the last answer.
    pub const KEEPALIVE_BOUND: u32 = (KEEPALIVE_PROBES + 2) * KEEPALIVE_INTERVAL;
    /// MUST-28: seconds of silence before the first probe of a connection whose application asks for keepalive and names no time.
    pub const KEEPALIVE_IDLE: u32 = 7200;
    /// Seconds that a user timeout may be at most: what a timer of 24 bits can be set to, and in whole 2^13.
    pub const USER_TIMEOUT_MOST: u32 = (BIT_16 >> 3) - 1;
    /// RFC 5482 section 3.1, L_LIMIT, in seconds: at least 100 s, "thereby complying with RFC 1122" (R2), and above any RTO but one of a peer that is more than 20 s away, of which twice RTO counts.
    pub const TIMEOUT_LEAST: u32 = 100;
    /// U_LIMIT: 2 hours and 16 minutes, about as long as a timer can run. A peer holds a slot no longer by its option, and while slots are short no longer than [`KEEPALIVE_BOUND`].
    pub const TIMEOUT_MOST: u32 = BIT_16 >> 3;
    /// RFC 9293 section 3.7.1: send MSS when the peer's SYN has no MSS option.
    pub const MSS_DEFAULT: u32 = 536;
    /// `ssthresh` before the first loss (RFC 5681 section 3.1: arbitrarily high): more than any window.
    pub const SSTHRESH_INITIAL: u32 = BIT_16;
    /// How long an ACK may wait for data to go with, or for a second segment: below the 500 ms of RFC 9293 section 3.8.6.3 (MUST-58), as long as Linux waits at least (`TCP_DELACK_MIN`).
    pub const DELAYED_ACK: u32 = 40;
    /// RFC 8985 section 7.2: PTO = 2 SRTT (here + 4 RTTVAR), and this for the clock's and the peer's coarseness (Linux: two ticks, `TCP_TIMEOUT_MIN_US`).
    pub const PTO_MARGIN: u32 = 3;
    /// So much longer is PTO as long as one round trip alone was measured, mostly the SYN's, which says nothing of a queue of ten segments (RFC 8985 section 7.2 has none of this): what they take at 5 Mb/s.
    pub const FIRST_FLIGHT: u32 = 24;
    /// In its place where no probe is to be sent, without SACK, in recovery and after a probe: more than RTO ever is.
    pub const NO_PROBE: u32 = CTL_ACK;
    /// R1 of RFC 9293 section 3.8.3 (at least 3 retransmissions): the application is told, at the end of each keepalive interval.
    pub const R1: u32 = 3;
    /// How long new text waits for more than a small window (RFC 9293 section 3.8.6.2.1, MUST-38: 0.1 to 1 s).
    pub const OVERRIDE: u32 = 200;
    /// RFC 5961 section 7: challenge ACKs of all connections together are so many ticks apart in the long run ...
    pub const CHALLENGE_INTERVAL: u32 = 20;
    /// ... and at most so many come at once: so never more than 100 in a second. How many at once is chosen anew each time, from about half of it on: who counts them does not learn how many
    /// others got (CVE-2016-5696).
    pub const CHALLENGE_BURST: u32 = 50;
}

/// Timers of a connection.
pub mod timer {
    /// Retransmission, SYN, ARP retry, zero-window probe, a small window's override timeout, the rest after which `cwnd` is the restart window: never two of these at once.
    pub const RETRANSMIT: u8 = 0;
    /// Keepalive: runs in every connection from ESTABLISHED on.
    pub const KEEPALIVE: u8 = 1;
    /// TIME-WAIT, and the wait for an application that has not yet read to the end. Before both, while something is sent again, the user timeout.
    pub const TIME_WAIT: u8 = 2;
    /// The delayed ACK.
    pub const DELAYED_ACK: u8 = 3;
}

/// The endpoint's program for a configuration.
///
/// # Panics
/// If the program is longer than `program_words`, which [`ToeConfig::check`] refuses, or a source line of it is wrong: what depends on the configuration are constants only, and a test assembles the extremes.
pub fn program(config: &ToeConfig) -> Program {
    assemble(config, config.program_words)
}

/// The program, which may have `limit` words.
fn assemble(config: &ToeConfig, limit: usize) -> Program {
    let mut a = Asm::new(limit);
    vectors(&mut a);
    receive::segment(&mut a, config);
    acknowledge::acknowledgement(&mut a, config);
    receive::text(&mut a, config);
    transmit::output(&mut a, config);
    receive::uncommon(&mut a, config);
    handshake::syn_received(&mut a, config);
    receive::exceptions(&mut a, config);
    acknowledge::rare(&mut a, config);
    handshake::passive_open(&mut a, config);
    handshake::syn_sent(&mut a, config);
    handshake::routines(&mut a, config);
    if config.isn_in_program() {
        isn::code(&mut a, config);
    }
    close::code(&mut a, config);
    timers::pending(&mut a, config);
    retransmit::code(&mut a, config);
    if config.sack {
        sack::code(&mut a, config);
    }
    if config.scoreboard() {
        probe::code(&mut a, config);
    }
    congestion::code(&mut a, config);
    cookies::code(&mut a, config);
    if config.cubic {
        cubic::code(&mut a, config);
    }
    if config.icmp_errors {
        path::code(&mut a, config);
    }
    if config.timestamps {
        stamps::code(&mut a, config);
    }
    if config.complete() {
        urgent::code(&mut a, config);
    }
    if config.user_timeout_option {
        user_timeout::code(&mut a, config);
    }
    if config.window_scale {
        scale::code(&mut a, config);
    }
    if config.ecn {
        ecn::code(&mut a, config);
    }
    host::command(&mut a, config);
    match a.assemble() {
        Ok(program) => program,
        Err(errors) => panic!("the endpoint's program is unsound:\n{errors}"),
    }
}

/// Words of the program for a configuration, whatever its memory holds. What only a larger program has needs all of that.
pub fn length(config: &ToeConfig) -> usize {
    let mut config = config.clone();
    config.program_words = config.program_words.max(config.least_program_words());
    assemble(&config, 4096).words.len()
}

/// The entries: four words for each but the last, which goes straight on.
fn vectors(a: &mut Asm) {
    use super::asm::{flags::*, operands::*};
    use super::isa::cmd;
    use marks::*;
    use words::*;

    a.org(vector::COMMAND).label("command_event");
    a.ld(SEG_IP);
    a.br("command");

    a.org(vector::STRANGER).label("stranger");
    a.ld(SEG_IP);
    a.cmd_a(cmd::LOOKUP, SEG_PORTS);
    a.when(OK).br("late");
    a.br("no_connection");

    a.org(vector::PENDING).label("pending_event");
    a.ld(STATE).zero(A);
    a.br("pending");

    a.org(vector::SEGMENT).note("falls into `segment`");
}

/// dst := 0
fn zero(a: &mut Asm, dst: Operand) {
    a.ld(k(0)).to(dst);
}

/// dst := all ones, the value that means none; the accumulator is lost
fn none(a: &mut Asm, dst: Operand) {
    a.ldi(1).rsb(k(0)).to(dst);
}

#[cfg(test)]
mod tests {
    use super::super::asm::Instruction;
    use super::super::isa::Op;
    use super::*;

    #[test]
    fn it_assembles_for_every_extreme_of_the_configuration() {
        let mut largest = 0;
        for (rx, tx, mtu, gateway, vlan) in [
            (256, 256, 576, [0; 4], false),
            (32768, 32768, 1500, [192, 168, 69, 1], true),
            (8192, 8192, 1500, [10, 0, 0, 1], true),
            (8192, 8192, 1500, [10, 0, 0, 1], false),
        ] {
            let config = ToeConfig {
                rx_ring_bytes: rx,
                tx_ring_bytes: tx,
                mtu,
                gateway,
                vlan,
                ..ToeConfig::default()
            };
            let p = program(&config);
            largest = largest.max(p.words.len());
        }
        if std::env::var_os("LISTING").is_some() {
            println!("{}", program(&ToeConfig::default()).listing);
        }
        println!("program: {largest} words, {} state words", words::USED);
        let cubic = program(&ToeConfig::default()).words.len();
        let without = ToeConfig {
            cubic: false,
            ..ToeConfig::default()
        };
        println!("CUBIC: {} words", cubic - program(&without).words.len());
        let with = ToeConfig {
            user_timeout_option: true,
            ..ToeConfig::default()
        };
        println!(
            "user timeout option: {} words",
            program(&with).words.len() - cubic
        );
        // The counters take one of the engine's occurrences in three cycles.
        let words = program(&ToeConfig::default()).words;
        let decoded: Vec<_> = words.iter().map(|w| Instruction::decode(*w)).collect();
        let counts = |i: &Option<Instruction>| {
            i.is_some_and(|i| i.op == Op::Cmd && i.dst == super::super::isa::cmd::COUNT)
        };
        for (at, near) in decoded.windows(3).enumerate() {
            let leaves = near[1].is_some_and(|i| i.leaves());
            let soon = counts(&near[1]) || counts(&near[2]) && !leaves;
            assert!(!counts(&near[0]) || !soon, "two COUNTs at word {at}");
        }
        let smallest = ToeConfig {
            rx_ring_bytes: 512,
            tx_ring_bytes: 512,
            mtu: 576,
            ethernet: false,
            program_words: 1024,
            sack: false,
            timestamps: false,
            window_scale: false,
            cubic: false,
            icmp_errors: false,
            isn_hash: false,
            syn_cookies: false,
            ecn: false,
            ..ToeConfig::default()
        };
        println!("over SLIP: {} words", program(&smallest).words.len());
    }
}

#[cfg(test)]
mod lengths {
    use crate::config::ToeConfig;

    /// With everything that one engine may have at once.
    #[test]
    fn the_largest_program_fits_the_default_memory() {
        let mut most = 0;
        for ring in [256, 2048, 32768] {
            for gateway in [[0; 4], [192, 168, 69, 1]] {
                for (vlan, pacing) in [(false, false), (true, false), (false, true), (true, true)] {
                    let config = ToeConfig {
                        gateway,
                        vlan,
                        pacing,
                        per_source: Some(2),
                        user_timeout_option: true,
                        rx_ring_bytes: ring,
                        tx_ring_bytes: ring,
                        ..ToeConfig::default()
                    };
                    let words = super::length(&ToeConfig {
                        program_words: 4096,
                        ..config.clone()
                    });
                    println!("ring {ring}, gateway {gateway:?}, tags {vlan}, pacer {pacing}: {words} words");
                    most = most.max(words);
                }
            }
        }
        let there = ToeConfig::default().program_words;
        assert!(most <= there, "{most} of {there}");
    }
}

#[cfg(test)]
mod cycles {
    use super::script::*;
    use crate::counters::Cause;

    /// Runs the engine's next event alone and holds it to a bound.
    fn bound(s: &mut Script, what: &str, segment: Option<Seg>, most: u64) {
        if let Some(segment) = segment {
            s.arrive(segment);
        }
        s.toe.step().expect("no fault");
        let cycles = s.toe.cost.cycles;
        println!("{what:44} {cycles:4} cycles of {most}");
        assert!(
            cycles <= most,
            "{what}: {cycles} cycles, {}",
            s.toe.machine.trace.as_ref().expect("traced")
        );
        s.settle();
        while s.next().is_some() {}
    }

    #[test]
    fn every_path_keeps_its_bound() {
        let mut s = Script::new();
        bound(&mut s, "SYN", Some(seg(SYN, 0, 0).mss(1000)), 170);
        bound(&mut s, "ACK of our SYN", Some(seg(ACK, 1, 1)), 170);
        bound(
            &mut s,
            "text in order, ACK sent",
            Some(seg(ACK, 1, 1).data(&[1; 100])),
            90,
        );
        bound(
            &mut s,
            "text ahead of a gap",
            Some(seg(ACK, 201, 1).data(&[1; 100])),
            170,
        );
        bound(
            &mut s,
            "text that fills a gap",
            Some(seg(ACK, 101, 1).data(&[1; 100])),
            170,
        );
        bound(
            &mut s,
            "text a second time",
            Some(seg(ACK, 101, 1).data(&[1; 100])),
            170,
        );
        s.toe.host_write(0, &[2; 2500]);
        bound(&mut s, "segment sent", None, 170);
        bound(
            &mut s,
            "pure ACK with a sample, tail cut and sent",
            Some(seg(ACK, 301, 2001)),
            170,
        );
        bound(
            &mut s,
            "pure ACK with a sample",
            Some(seg(ACK, 301, 2501)),
            170,
        );
        s.toe.host_write(0, &[2; 2000]);
        s.settle();
        while s.next().is_some() {}
        s.toe.machine.state[0][21] = u32::MAX; // none is timed
        bound(&mut s, "pure ACK", Some(seg(ACK, 301, 3501)), 84);
        s.toe.host_write(0, &[2; 300]);
        bound(&mut s, "written, held by Nagle", None, 170);
        s.toe.machine.state[0][21] = u32::MAX;
        bound(
            &mut s,
            "text and new ACK, data sent",
            Some(seg(ACK, 301, 4501).data(b"x")),
            170,
        );
        let rto = s.word(words::RTO);
        for _ in 0..rto {
            s.toe.tick();
        }
        bound(&mut s, "retransmission", None, 170);
        s.inject(seg(ACK, 302, 4801));
        s.write(b"y");
        s.next().expect("text");
        bound(
            &mut s,
            "text, new ACK with a sample, and FIN",
            Some(seg(ACK | FIN, 302, 4802).data(b"z")),
            165,
        );
        s.toe.host_close(0);
        bound(&mut s, "close", None, 170);
        bound(&mut s, "ACK of our FIN", Some(seg(ACK, 304, 4803)), 170);
        bound(&mut s, "stranger, RST sent", Some(seg(ACK, 304, 4803)), 170);
        let mut s = Script::established();
        bound(&mut s, "FIN", Some(seg(ACK | FIN, 1, 1)), 170);
        let mut s = Script::established();
        s.close();
        s.inject(seg(ACK, 1, 2));
        bound(&mut s, "FIN in FIN-WAIT-2", Some(seg(ACK | FIN, 1, 2)), 170);
        let mut s = Script::established();
        s.close();
        s.inject(seg(ACK | FIN, 1, 1));
        bound(
            &mut s,
            "ACK of our FIN in CLOSING",
            Some(seg(ACK, 2, 2)),
            170,
        );
        let mut s = Script::established();
        s.close();
        s.inject(seg(ACK, 1, 2));
        s.arrive(seg(ACK | FIN, 1, 2));
        s.toe.step().expect("no fault");
        bound(&mut s, "released, into TIME-WAIT", None, 150);
        s.waiting(1);
        let mut c = config();
        c.listeners[1] = c.listeners[1].backlog(1);
        c.syn_cookies = false;
        let mut s = Script::with(c.clone());
        s.inject(seg(SYN, 0, 0));
        let second = seg(SYN, 0, 0).with_source(1000);
        bound(&mut s, "SYN beyond the backlog", Some(second.clone()), 170);
        s.counted(Cause::Recycled, 1);
        // The waits of LOOKUP (24 cycles, and as many for the parser's), HASH (2) and ALLOC (13 to 24, and 3 a list) come to these.
        c.syn_cookies = true;
        let mut s = Script::with(c);
        s.inject(seg(SYN, 0, 0));
        s.arrive(second.clone()).settle();
        let cookie = s.toe.packet_out().and(s.toe.packet_out());
        let cookie = super::script::Seg::parse(&cookie.expect("two").bytes, US, PEER);
        bound(&mut s, "SYN, a cookie sent", Some(second), 170 - 2 * 24 - 2);
        let stray = seg(ACK, 1, cookie.seq.wrapping_add(9)).with_source(1000);
        bound(
            &mut s,
            "ACK of a wrong cookie",
            Some(stray),
            170 - 2 * 24 - 2,
        );
        let ack = seg(ACK, 1, cookie.seq.wrapping_add(1)).with_source(1000);
        s.arrive(ack);
        s.toe.step().expect("no fault");
        let cycles = s.toe.cost.cycles;
        println!("ACK of a cookie: {cycles}");
        assert!(cycles <= 170 - 2 * 24 - 19, "{cycles}");
        bound(&mut s, "its second event", None, 170);
        s.counted(Cause::Opened, 1);
        // No LOOKUP, but a HASH that waits for the tuple's.
        let mut c = config();
        c.listeners[1] = c.listeners[1].backlog(1);
        for (stamps, text) in [(false, &b""[..]), (true, b"hello")] {
            let mut s = Script::with(c.clone());
            s.inject(seg(SYN, 0, 0).with_source(1000)).next();
            let mut syn = seg(SYN, 0, 0).mss(1460).sack_permitted();
            if stamps {
                syn = syn.stamps(7, 0);
            }
            s.inject(syn.clone());
            let cookie = s.next().expect("a cookie").seq;
            s.inject(seg(RST, 1, 0).with_source(1000)).inject(syn);
            s.next().expect("a SYN-ACK");
            let ack = |cookie: u32| seg(ACK, 1, cookie.wrapping_add(1)).data(text);
            let what = "ACK of a cookie whose SYN came again";
            bound(&mut s, "a wrong one", Some(ack(cookie ^ 8)), 170 - 8 - 2);
            bound(&mut s, what, Some(ack(cookie)), 170 - 8 - 2);
            s.counted(Cause::Opened, 1);
        }
    }

    /// A SYN with every option takes no longer than any other event may.
    #[test]
    fn what_every_option_of_a_syn_costs() {
        let mut s = Script::new();
        let syn = seg(SYN, 0, 0).mss(1012).sack_permitted().stamps(1, 0);
        bound(&mut s, "SYN with every option", Some(syn.scale(7)), 170);
        let plain = seg(SYN, 0, 0).with_source(1).sack_permitted().scale(7);
        bound(&mut s, "the same without timestamps", Some(plain), 170);
    }

    /// Beyond the bounds of the others: what a connection with timestamps pays for them.
    #[test]
    fn what_timestamps_cost() {
        let mut s = Script::new();
        s.arrive(seg(SYN, 0, 0).mss(1012).sack_permitted().stamps(1, 0));
        s.toe.step().expect("no fault");
        println!("SYN: {} cycles", s.toe.cost.cycles);
        assert!(s.toe.cost.cycles <= 190, "SYN: {}", s.toe.cost.cycles);
        s.settle();
        let first = s.next().expect("a SYN-ACK").stamps.expect("timestamps").0;
        let seg = |seq, ack, n| seg(ACK, seq, ack).stamps(n, first);
        bound(&mut s, "ACK of our SYN", Some(seg(1, 1, 2)), 210);
        bound(
            &mut s,
            "text in order, ACK sent",
            Some(seg(1, 1, 3).data(&[1; 100])),
            170,
        );
        bound(
            &mut s,
            "text ahead of a gap",
            Some(seg(201, 1, 4).data(&[1; 100])),
            260,
        );
        bound(
            &mut s,
            "text that fills a gap",
            Some(seg(101, 1, 5).data(&[1; 100])),
            170,
        );
        s.toe.host_write(0, &[2; 2500]);
        bound(&mut s, "segment sent", None, 170);
        bound(
            &mut s,
            "pure ACK with a sample",
            Some(seg(301, 2001, 6)),
            190,
        );
        s.inject(seg(301, 2501, 6));
        s.toe.host_write(0, &[2; 2000]);
        s.settle();
        while s.next().is_some() {}
        s.toe.machine.state[0][21] = u32::MAX; // none is timed
        bound(&mut s, "pure ACK", Some(seg(301, 3501, 7)), 120);
    }

    use super::words;
}
