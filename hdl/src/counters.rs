//! Every drop, retransmission, reset and stall has a cause, and every cause a counter.

/// Declares the causes: number, name, meaning, one line each.
macro_rules! causes {
    ($($number:literal $name:ident $meaning:literal;)*) => {
        /// What is counted. The number is the counter's address.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Cause { $(#[doc = $meaning] $name = $number,)* }
        impl Cause {
            /// All causes, by number.
            pub const ALL: &'static [Cause] = &[$(Cause::$name,)*];
            /// The counter's name.
            pub const fn name(self) -> &'static str { match self { $(Cause::$name => stringify!($name),)* } }
            /// One sentence on what is counted.
            pub const fn meaning(self) -> &'static str { match self { $(Cause::$name => $meaning,)* } }
        }
    };
}

causes! {
    // The link.
    0 LinkBadFcs "frame dropped: check sequence wrong";
    1 LinkError "frame dropped: the line said error, or it broke off";
    2 LinkRunt "frame dropped: shorter than 64 bytes";
    3 LinkOversize "frame dropped: longer than 1518 bytes (1522 with a tag)";
    4 EthOtherAddress "frame passed over: for another station";
    5 EthOtherType "frame passed over: Ethertype nobody claims";
    // ARP.
    6 ArpIn "ARP packet accepted";
    7 ArpMalformed "ARP packet dropped: not IPv4 over Ethernet, or cut short, or neither to nor about us";
    // IPv4.
    8 Ip4BadHeader "packet dropped: version, header length or header checksum wrong";
    9 Ip4Fragment "packet dropped: a fragment (no reassembly)";
    10 Ip4OtherAddress "packet passed over: another address";
    11 Ip4BadLength "packet dropped: total length beyond the frame's end, or the frame was void";
    12 Ip4OtherProtocol "packet passed over: neither ICMP nor TCP";
    // ICMP.
    13 IcmpEcho "echo request answered";
    14 IcmpOther "ICMP message passed over: neither an echo request nor an error that is looked at";
    15 IcmpBad "ICMP message dropped: checksum wrong or too short";
    16 IcmpTooLong "echo request dropped: longer than the buffer, or the buffer still sending";
    // TCP, before the engine.
    17 TcpIn "segment handed to the engine";
    18 TcpBadChecksum "segment dropped: checksum wrong";
    19 TcpBadHeader "segment dropped: data offset or length impossible";
    20 TcpBadOption "segment dropped: an option's length is 0, 1 or past the header's end";
    21 RecordQueueFull "segment dropped: no free record slot";
    22 HeldFull "out-of-order bytes dropped: all intervals in use";
    // TCP, by the engine's program.
    23 BadSource "segment of no connection dropped: from an address that no peer has (multicast, broadcast, loopback, zero, our own)";
    24 Opened "connection established";
    25 Closed "connection closed in order";
    26 ResetIn "connection ended by the peer's RST, or half open by another SYN in its window";
    27 ResetOut "RST sent";
    28 Refused "SYN refused: nobody listens";
    29 NoSlot "SYN dropped: no connection free";
    30 Unacceptable "segment outside the window, answered with an ACK";
    31 BadAck "segment dropped: acknowledges what was never sent, or what is older than any window";
    32 NoAck "segment dropped: ACK flag missing";
    33 DuplicateAck "duplicate ACK";
    34 Retransmit "segment retransmitted";
    35 RtoExpired "retransmission timer expired";
    36 GaveUp "connection given up after too many tries";
    37 ZeroWindowProbe "zero-window probe sent";
    38 SegmentOut "segment sent";
    39 PureAckOut "segment without payload sent";
    40 OutOfOrder "segment received ahead of a gap";
    41 ArpWait "active open waiting for ARP";
    42 Recycled "half-open connection or TIME-WAIT that made way for another";
    43 StaleRecord "segment dropped: its connection ended before its turn";
    44 Accepted "segment accepted by a connection, or as its first SYN";
    45 Stray "segment of no connection: answered with RST, or ignored if it was one";
    46 ConnectRefused "active open refused: tuple in use, no connection free, or an address that no peer has; or an option: no such connection of its application, or no such option";
    47 ChallengeHeld "challenge ACK not sent: too many in a second; besides the segment's own cause";
    // Frames out.
    48 FrameOut "frame sent";
    49 FrameIn "frame received whole";
    50 IcmpIn "ICMP message received";
    // TCP again.
    51 TailProbe "probe for a loss of the tail sent";
    52 OldTimestamp "segment refused by its timestamp, an old duplicate (RFC 7323 section 5.3)";
    53 CongestionExperienced "text of a connection with ECN that came with CE (RFC 3168)";
    54 CookieOut "SYN answered with a cookie: nothing of it is kept; besides `Accepted`";
    55 SourceLimit "SYN, or the ACK of a cookie, dropped: its address has as many connections as it may";
    // ICMP errors.
    56 IcmpError "ICMP error about a segment handed to the engine";
    57 IcmpQuoteBad "ICMP error dropped: what it quotes is not the beginning of a TCP segment of ours";
    58 IcmpStray "ICMP error dropped: about a segment of no connection";
    59 IcmpOutside "ICMP error dropped: about a sequence number that is not on its way (RFC 5927 section 4.1)";
    60 IcmpSoft "ICMP error noted: the connection goes on (RFC 1122 section 4.2.3.9, RFC 5927 section 5)";
    61 IcmpRefused "active open ended: protocol or port unreachable";
    62 MtuLowered "fragmentation needed: the connection's segments are shorter from here on";
    63 MtuIgnored "fragmentation needed: passed over, for an MTU below 576, or no smaller than what is used or than the segment was";
}

impl Cause {
    /// The counter's number as the hardware carries it.
    pub const fn number(self) -> u8 {
        self as u8
    }
}
